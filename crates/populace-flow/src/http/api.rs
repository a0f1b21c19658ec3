//! The description of the services (`OpenAPI` 3.1), gathered from the handlers. A test holds it against the routes and the columns of events.

use super::{features, identity, problem, routes};
use crate::event::{CAMPAIGN_TYPES, COLUMNS};
use populace_core::email::EventType;
use serde_json::Value;
use std::fmt::Write;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi, PartialSchema, ToSchema};
use utoipa_scalar::Scalar;

/// Scalar's reader of such descriptions (MIT), which the reader's browser loads, and nothing but exactly these bytes. It is the one thing
/// that is not served from here (4 MB), so the page says everything without it, too.
const SCRIPT: &str = "https://cdn.jsdelivr.net/npm/@scalar/api-reference@1.72.1/dist/browser/standalone.js";
/// The digest of those bytes, as published.
const SCRIPT_DIGEST: &str = "sha384-U11tb2XnKvmwt8RlTvnwUnYgrN+ur4Xyh9htLhjajWNR/Oyl5AX5DEz00qRmlrmK";

const ABOUT: &str = "Events as providers send them, published to a log. A 2xx status is given only after the log has acknowledged. The same \
event_id, or the same Idempotency-Key, twice is one event. Addresses are resolved to persons and dropped. The paths of features are served at \
an address of their own, 127.0.0.1:8001 by default.";

#[derive(OpenApi)]
#[openapi(
    info(title = "Populace", description = ABOUT, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    paths(
        routes::generate,
        routes::pattern,
        routes::synthetic,
        routes::webhook,
        identity::resolve,
        identity::link,
        identity::person,
        identity::erase,
        features::compute,
        features::features,
        routes::health,
        routes::ready,
        routes::version,
        routes::figures,
    ),
    components(schemas(problem::Problem)),
    security((), ("token" = [])),
    modifiers(&Common),
)]
struct Description;

/// What all paths have: a token where one is asked for, and problems.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
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

/// The description.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// The page that shows the description: Scalar's where its script comes through, or else a list of the paths.
pub(super) fn page() -> String {
    let document = document();
    let list = list(&serde_json::to_value(&document).unwrap_or_default());
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

/// What `synthetic` takes: an event, or a list.
pub(super) struct Events;

impl ToSchema for Events {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Event::name().into_owned(), Event::schema()));
    }
}

impl PartialSchema for Events {
    fn schema() -> RefOr<Schema> {
        let event = || Ref::from_schema_name(Event::name());
        let list = ArrayBuilder::new().items(event()).min_items(Some(1)).max_items(Some(1_000));
        OneOfBuilder::new().item(event()).item(list).into()
    }
}

/// A row of the table `events`, without `ingested_at`, which the connector gives. It is read by hand, so that each problem names its field.
pub(super) struct Event;

impl ToSchema for Event {}

impl PartialSchema for Event {
    fn schema() -> RefOr<Schema> {
        let maybe = |kind: Type| ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]));
        let one_of = |names: &[&str]| ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.iter().copied()));
        let of_kind = |name: &str| match name {
            "event_id" | "message_id" => maybe(Type::String).format(Some(SchemaFormat::Custom("uuid".to_owned()))),
            "timestamp" => ObjectBuilder::new().schema_type(Type::String).format(Some(moment())),
            "send_time" => maybe(Type::String).format(Some(moment())),
            "event_type" => one_of(&EventType::NAMES),
            "campaign_type" => maybe(Type::String).enum_values(Some([Some(CAMPAIGN_TYPES[0]), Some(CAMPAIGN_TYPES[1]), None])),
            "metadata" => maybe(Type::Object),
            "latency_seconds" => maybe(Type::Number),
            "hour_of_day" | "minute" | "day_of_week" | "payload_size_bytes" => maybe(Type::Integer),
            _ => maybe(Type::String),
        };
        let columns = COLUMNS.iter().filter(|name| **name != "ingested_at");
        let event = columns.fold(ObjectBuilder::new(), |event, name| event.property(*name, of_kind(name)));
        let identifiers = [
            ("recipient_email", "In the place of universal_id and recipient_email_hash: an address, which is resolved and dropped"),
            ("phone", "A telephone number with its country code, which is resolved and dropped"),
            ("provider_id", "The provider's id of the person, which is resolved and dropped"),
        ];
        let event =
            identifiers.into_iter().fold(event, |event, (name, about)| event.property(name, maybe(Type::String).description(Some(about))));
        let required = ["event_type", "timestamp", "esp", "campaign_id", "campaign_name", "source"];
        let event = required.into_iter().fold(event, ObjectBuilder::required);
        event.additional_properties(Some(AdditionalProperties::FreeForm(false))).into()
    }
}

fn moment() -> SchemaFormat {
    SchemaFormat::KnownFormat(KnownFormat::DateTime)
}
