//! The description of the services (`OpenAPI` 3.1), gathered from the handlers. A test holds it against the routes and the columns of events.

use super::problem::Problem;
use super::schema;
use crate::connector::webhooks::PROVIDERS;
use serde_json::{Value, json};
use std::fmt::Write;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};
use utoipa_scalar::Scalar;

/// Scalar's reader of such descriptions (MIT), which the reader's browser loads, and nothing but exactly these bytes. It is the one thing
/// that is not served from here (4 MB), so the page says everything without it, too.
const SCRIPT: &str = "https://cdn.jsdelivr.net/npm/@scalar/api-reference@1.72.1/dist/browser/standalone.js";
/// The digest of those bytes, as published.
const SCRIPT_DIGEST: &str = "sha384-U11tb2XnKvmwt8RlTvnwUnYgrN+ur4Xyh9htLhjajWNR/Oyl5AX5DEz00qRmlrmK";

const ABOUT: &str = "Events as providers send them, published to a log. A 2xx status is given only after the log has acknowledged. The same \
event_id, or the same Idempotency-Key, twice is one event. Addresses are resolved to persons and dropped. The paths of features are served at \
an address of their own, 127.0.0.1:8001 by default.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Populace", description = ABOUT, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    components(schemas(Problem)),
    security((), ("token" = [])),
)]
struct Description;

/// What all paths have: a token where one is asked for, and problems.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let problem = ResponseBuilder::new()
            .description("A problem")
            .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
            .build();
        let operations = document
            .paths
            .paths
            .values_mut()
            .flat_map(|path| [&mut path.get, &mut path.post, &mut path.delete].into_iter().filter_map(Option::as_mut));
        for operation in operations {
            operation.responses.responses.insert("default".to_owned(), problem.clone().into());
        }
    }
}

/// The description of paths that were gathered, as JSON: with what bodies must be, and a path for each provider.
pub(super) fn document(paths: OpenApi) -> Value {
    let mut document = Description::openapi();
    document.merge(paths);
    Common.modify(&mut document);
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["components"]["schemas"]["Event"] = schema::event();
    let paths = &mut document["paths"];
    for (base, name) in [("/api/webhooks", "webhook"), ("/api/webhook", "described_webhook")] {
        let Some(webhook) = paths.as_object_mut().and_then(|paths| paths.remove(&format!("{base}/{{esp}}"))) else { continue };
        for provider in PROVIDERS {
            let mut webhook = webhook.clone();
            if let Some(parameters) = webhook["post"]["parameters"].as_array_mut() {
                parameters.retain(|parameter| parameter["name"] != "esp");
            }
            webhook["post"]["operationId"] = format!("{name}_{provider}").into();
            paths[format!("{base}/{provider}")] = webhook;
        }
    }
    for (path, body) in schema::bodies() {
        paths[path.as_str()]["post"]["requestBody"]["content"]["application/json"]["schema"] = body;
    }
    // A seed has 64 bits, which no number of the macros says.
    let operations = paths.as_object_mut().into_iter().flatten().filter_map(|(_, path)| path.get_mut("post"));
    for parameter in operations.filter_map(|operation| operation.get_mut("parameters")?.as_array_mut()).flatten() {
        if parameter["name"] == "seed" {
            parameter["schema"] = json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX });
        }
    }
    document
}

/// The page that shows a description: Scalar's where its script comes through, or else a list of the paths.
pub(super) fn page(document: Value) -> String {
    let list = list(&document);
    // Nothing in the description ends the script element that it is put into.
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>$title</title>\n\
         <style>body {{ font: 16px/1.5 system-ui, sans-serif }} #api {{ max-width: 60rem; margin: 0 auto; padding: 1rem }} \
         #api.read {{ max-width: none; padding: 0 }} dt {{ margin-top: 1rem }}</style>\n</head>\n<body>\n<div id=\"api\">\n{list}</div>\n\
         <script id=\"description\" type=\"application/json\">$spec</script>\n\
         <script src=\"{SCRIPT}\" integrity=\"{SCRIPT_DIGEST}\" crossorigin=\"anonymous\"></script>\n\
         <script>if (window.Scalar) {{ document.getElementById('api').className = 'read'; Scalar.createApiReference('#api', \
         {{ content: JSON.parse(document.getElementById('description').textContent), telemetry: false, agent: {{ disabled: true }}, \
         mcp: {{ disabled: true }} }}); }}</script>\n</body>\n</html>\n"
    );
    Scalar::new(document).title("Populace").custom_html(page).to_html()
}

/// The paths with what they do, take and answer, as HTML.
fn list(document: &Value) -> String {
    let mut out = format!("<h1>Populace</h1>\n<p>{}</p>\n<dl>\n", escape(ABOUT));
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let paths = document["paths"].as_object().into_iter().flatten();
    for (path, method, operation) in paths
        .flat_map(|(path, methods)| methods.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation)))
    {
        let _ = writeln!(out, "<dt><code>{} {}</code></dt>\n<dd>{}", method.to_uppercase(), escape(path), text(&operation["summary"]));
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let _ = writeln!(
                out,
                "<br><code>{}</code> ({}): {}",
                text(&parameter["name"]),
                text(&parameter["in"]),
                text(&parameter["description"])
            );
        }
        for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
            let _ = writeln!(out, "<br>{}: {}", escape(status), text(&answer["description"]));
        }
        out.push_str("</dd>\n");
    }
    out + "</dl>\n<p>All of it as OpenAPI 3.1: <a href=\"/openapi.json\">/openapi.json</a></p>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
