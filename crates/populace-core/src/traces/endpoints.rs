//! Endpoints without what makes each request its own.

use crate::scenario::Problem;
use std::collections::BTreeMap;

/// The endpoint of a request's path: small letters, without query, fragment and closing slash; segments that are numbers or UUIDs are
/// `{id}`.
///
/// ```
/// use populace_core::traces::endpoints::normalise;
///
/// assert_eq!(normalise("/API/Users/123/Profile/?ref=mail"), "/api/users/{id}/profile");
/// assert_eq!(normalise("/orders/550e8400-e29b-41d4-a716-446655440000"), "/orders/{id}");
/// ```
pub fn normalise(path: &str) -> String {
    let path = path.trim();
    let path = path.find(['?', '#']).map_or(path, |end| &path[..end]);
    let mut endpoint = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            endpoint.push('/');
        }
        if is_number(segment) || is_uuid(segment) {
            endpoint.push_str("{id}");
        } else {
            endpoint.extend(segment.chars().flat_map(char::to_lowercase));
        }
    }
    while endpoint.len() > 1 && endpoint.ends_with('/') {
        endpoint.pop();
    }
    endpoint
}

/// Warnings of a workflow's endpoints that are one where paths are [normalised](normalise).
pub(crate) fn folded(names: &[String]) -> Vec<Problem> {
    let mut known: BTreeMap<String, &String> = BTreeMap::new();
    let mut found = Vec::new();
    for name in names {
        let parts = normalise(name);
        let parts = parts.split('/').map(|part| if part.starts_with('{') && part.ends_with('}') { "{id}" } else { part });
        let endpoint = parts.collect::<Vec<_>>().join("/");
        if let Some(first) = known.get(&endpoint) {
            found.push(Problem {
                path: format!("workflow.transitions.{name}"),
                message: format!("is one endpoint with {first} where paths are normalised: both are {endpoint}"),
                hint: "let them differ by more than capitals, numbers and the names of parameters".into(),
            });
        } else {
            known.insert(endpoint, name);
        }
    }
    found
}

fn is_number(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_uuid(segment: &str) -> bool {
    segment.len() == 36
        && segment.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn endpoints_lose_what_makes_a_request_its_own() {
        for (path, endpoint) in [
            ("/api/login", "/api/login"),
            ("/API/Users/", "/api/users"),
            ("/search?q=a/1", "/search"),
            ("/users/12/orders/7#top", "/users/{id}/orders/{id}"),
            ("/users/{id}/profile", "/users/{id}/profile"),
            ("/Orders/550E8400-E29B-41D4-A716-446655440000/", "/orders/{id}"),
            ("/v1/12a/-3", "/v1/12a/-3"),
            ("/", "/"),
            ("//", "/"),
            ("", ""),
            ("/ÄB/٣", "/äb/٣"),
            ("/550e8400-e29b-41d4-a716-44665544000g", "/550e8400-e29b-41d4-a716-44665544000g"),
        ] {
            assert_eq!(normalise(path), endpoint, "{path}");
            assert_eq!(normalise(endpoint), endpoint, "what is an endpoint stays one");
        }
    }
}
