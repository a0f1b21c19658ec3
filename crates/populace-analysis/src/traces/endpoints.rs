//! Endpoints without what makes each request its own.

pub use populace_core::traces::endpoints::normalise;
use std::cmp::Reverse;

/// Templates of paths, such as `/orders/{id}`: a workflow's endpoints, or a user's.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    templates: Vec<String>,
}

impl Templates {
    /// Of these endpoints, by their place.
    pub fn new<T: Into<String>>(templates: impl IntoIterator<Item = T>) -> Self {
        Self { templates: templates.into_iter().map(Into::into).collect() }
    }

    /// The place of the template that a path is of; of several the one that says most of it. Letters may be large or small.
    pub fn find(&self, path: &str) -> Option<usize> {
        let path = bare(path);
        let fits = |(place, template): (usize, &String)| Some((literals(bare(template), path)?, Reverse(place)));
        self.templates.iter().enumerate().filter_map(fits).max().map(|(_, place)| place.0)
    }

    /// The endpoint of a request's path: the template's spelling, or else the [normalised](normalise) path.
    pub fn endpoint(&self, path: &str) -> String {
        self.find(path).map_or_else(|| normalise(path), |place| self.templates[place].clone())
    }
}

/// A path without query, fragment and closing slash.
fn bare(path: &str) -> &str {
    let path = path.trim();
    let path = path.find(['?', '#']).map_or(path, |end| &path[..end]);
    if path.len() > 1 { path.trim_end_matches('/') } else { path }
}

/// How many segments of a path a template says, letter by letter before small or large; `None` if the path is not of it.
fn literals(template: &str, path: &str) -> Option<(usize, usize)> {
    let (mut segments, mut said, mut exact) = (path.split('/'), 0, 0);
    for expected in template.split('/') {
        let segment = segments.next()?;
        if expected == segment || expected.to_lowercase() == segment.to_lowercase() {
            said += 1;
            exact += usize::from(expected == segment);
        } else if segment.is_empty() || !(expected.starts_with('{') && expected.ends_with('}')) {
            return None;
        }
    }
    segments.next().is_none().then_some((said, exact))
}

#[cfg(test)]
mod tests {
    use super::Templates;

    #[test]
    fn paths_are_of_the_template_that_says_most() {
        let templates = Templates::new(["/pet/{id}", "/pet/findByStatus", "/pet/{id}/photos", "/v1/1", "/", "/v1/A", "/v1/a"]);
        for (path, endpoint) in [
            ("/pet/findByStatus?status=sold", "/pet/findByStatus"),
            ("/PET/FINDBYSTATUS/", "/pet/findByStatus"),
            ("/pet/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/pet/{id}"),
            ("/pet/{id}", "/pet/{id}"),
            ("/pet/7/photos", "/pet/{id}/photos"),
            ("/v1/1", "/v1/1"),
            ("/v1/2", "/v1/{id}"),
            ("/v1/a", "/v1/a"),
            ("/pet/", "/pet"),
            ("/", "/"),
        ] {
            assert_eq!(templates.endpoint(path), endpoint, "{path}");
        }
    }
}
