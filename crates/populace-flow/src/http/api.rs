//! The description of the services (`OpenAPI` 3.1). A test holds it against the routes and the columns of events.

use crate::event::{CAMPAIGN_TYPES, COLUMNS};
use populace_core::email::EventType;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Scalar's reader of such descriptions (MIT), which the reader's browser loads, and nothing but exactly these bytes. It is the one thing
/// that is not served from here (4 MB), so the page says everything without it, too.
const SCRIPT: &str = "https://cdn.jsdelivr.net/npm/@scalar/api-reference@1.72.1/dist/browser/standalone.js";
/// The digest of those bytes, as published.
const SCRIPT_DIGEST: &str = "sha384-U11tb2XnKvmwt8RlTvnwUnYgrN+ur4Xyh9htLhjajWNR/Oyl5AX5DEz00qRmlrmK";

const ABOUT: &str = "Events as providers send them, published to a log. A 2xx status is given only after the log has acknowledged. The same \
event_id, or the same Idempotency-Key, twice is one event. Addresses are resolved to persons and dropped. The paths of features are served at \
an address of their own, 127.0.0.1:8001 by default.";

/// The page that shows the description: Scalar's where its script comes through, or else a list of the paths.
pub(super) fn page() -> String {
    let document = document();
    // Within a script element only `</` would end it.
    let content = document.to_string().replace("</", "<\\/");
    let list = list(&document);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Populace</title>\n\
         <style>body {{ font: 16px/1.5 system-ui, sans-serif }} #api {{ max-width: 60rem; margin: 0 auto; padding: 1rem }} \
         #api.read {{ max-width: none; padding: 0 }} dt {{ margin-top: 1rem }}</style>\n</head>\n<body>\n<div id=\"api\">\n{list}</div>\n\
         <script id=\"description\" type=\"application/json\">{content}</script>\n\
         <script src=\"{SCRIPT}\" integrity=\"{SCRIPT_DIGEST}\" crossorigin=\"anonymous\"></script>\n\
         <script>if (window.Scalar) {{ document.getElementById('api').className = 'read'; Scalar.createApiReference('#api', \
         {{ content: JSON.parse(document.getElementById('description').textContent), telemetry: false, agent: {{ disabled: true }}, \
         mcp: {{ disabled: true }} }}); }}</script>\n</body>\n</html>\n"
    )
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

/// The description.
pub(super) fn document() -> Value {
    let key = parameter("header", "Idempotency-Key", false, "string", "The same key twice is one request, whose answer is given again");
    let seed = parameter("query", "seed", false, "integer", "Seed; without one, one is drawn and told");
    let count = parameter("query", "count", false, "integer", "How many, 1 to 10,000; 100 unless given");
    let user = parameter("query", "userId", true, "string", "A recipient of the scenario, such as synth_user_01000, or any id");
    let esp = parameter("path", "esp", true, "string", "klaviyo or sendgrid");
    let person = parameter("path", "universal_id", true, "string", "The person: an id that it has or has had");
    let events =
        json!({ "oneOf": [reference("Event"), { "type": "array", "items": reference("Event"), "minItems": 1, "maxItems": 1_000 }] });
    let free = json!({ "type": ["object", "array"] });
    let accepted = [("202", "In the log", Some("Receipt")), ("422", "No event: each field with its reason", Some("Problem"))];
    let done = |what| [("200", what, None)];

    let mut paths = Paths::default();
    let about = "Generate the last events of the scenario email before now, and publish them";
    paths.add("post", "/api/mock/events/generate", about, &[count, seed.clone(), key.clone()], None, &accepted[..1]);
    let about = "Publish the latest full journey of a user before now: sent, delivered, opened and clicked of one message";
    paths.add("post", "/api/mock/events/pattern", about, &[user, seed, key.clone()], None, &accepted[..1]);
    let about = "Publish one event, or a list of at most 1,000; with one problem nothing is published";
    paths.add("post", "/api/mock/events/synthetic", about, std::slice::from_ref(&key), Some(events), &accepted);
    let about = "Take a webhook of an email service provider";
    paths.add("post", "/api/webhooks/{esp}", about, &[esp, key], Some(free), &accepted);

    let identifiers = json!({
        "type": "object", "required": ["identifiers"],
        "properties": { "identifiers": { "type": "array", "minItems": 1, "maxItems": 16, "items": { "type": "object", "properties": {
            "email": { "type": "string" }, "phone": { "type": "string" }, "provider": { "type": "string" }, "id": { "type": "string" },
        } } } },
    });
    let about = "Resolve identifiers that belong to one person, and link them";
    paths.add(
        "post",
        "/api/identity/resolve",
        about,
        &[],
        Some(identifiers),
        &done("The person, and what was done: known, new, linked or merged"),
    );
    let link = json!({
        "type": "object", "required": ["ids", "source"],
        "properties": {
            "ids": { "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 },
            "source": { "type": "string", "description": "Who says so" },
            "weight": { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": "Probability; without it the link is sure" },
        },
    });
    paths.add(
        "post",
        "/api/identity/links",
        "Record that two ids belong to one person",
        &[],
        Some(link),
        &done("The person, and what was done"),
    );
    let persons = "/api/identity/persons/{universal_id}";
    let about = "What is known of a person: identifiers by kind, links, earlier ids, number of resolutions";
    paths.add("get", persons, about, std::slice::from_ref(&person), None, &done("The person"));
    let about = "Erase a person: identifiers, links and resolutions, and events in the log, the table and the dead letters, and features";
    paths.add("delete", persons, about, std::slice::from_ref(&person), None, &done("How many rows were erased where"));

    paths.add("post", "/compute-features", "Compute the features of all recipients anew", &[], None, &done("What was computed"));
    paths.add("get", "/features/{universal_id}", "The features of a person, as last computed", &[person], None, &done("The features"));
    paths.add("get", "/health", "Whether the process answers", &[], None, &done("It does"));
    paths.add("get", "/ready", "Whether events would be taken now", &[], None, &done("They would; 503 says what is not ready"));
    paths.add("get", "/version", "Which version this is", &[], None, &done("The version"));
    paths.add("get", "/metrics", "Everything that is counted, for Prometheus", &[], None, &done("Text format 0.0.4"));
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Populace", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT, "license": { "name": "Apache-2.0" } },
        "security": [{}, { "token": [] }],
        "paths": paths.0,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Event": event(), "Receipt": receipt(), "Problem": problem() },
        },
    })
}

/// The paths, as they are described.
#[derive(Default)]
struct Paths(Map<String, Value>);

impl Paths {
    fn add(
        &mut self,
        method: &str,
        path: &str,
        about: &str,
        parameters: &[Value],
        body: Option<Value>,
        answers: &[(&str, &str, Option<&str>)],
    ) {
        let mut responses = Map::new();
        for (status, what, schema) in answers {
            let content = schema.map_or_else(|| json!({}), |schema| json!({ "application/json": { "schema": reference(schema) } }));
            responses.insert((*status).to_owned(), json!({ "description": what, "content": content }));
        }
        let problem = json!({ "description": "A problem", "content": { "application/problem+json": { "schema": reference("Problem") } } });
        responses.insert("default".to_owned(), problem);
        let mut operation = json!({ "summary": about, "parameters": parameters, "responses": responses });
        if let Some(schema) = body {
            operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
        let entry = self.0.entry(path).or_insert_with(|| json!({}));
        entry[method] = operation;
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn parameter(place: &str, name: &str, required: bool, kind: &str, about: &str) -> Value {
    json!({ "name": name, "in": place, "required": required, "description": about, "schema": { "type": kind } })
}

/// A row of the table `events`, without `ingested_at`, which the connector gives.
fn event() -> Value {
    let text = || json!({ "type": ["string", "null"] });
    let of_kind = |name: &str| match name {
        "event_id" | "message_id" => json!({ "type": ["string", "null"], "format": "uuid" }),
        "timestamp" => json!({ "type": "string", "format": "date-time" }),
        "send_time" => json!({ "type": ["string", "null"], "format": "date-time" }),
        "event_type" => json!({ "enum": EventType::NAMES }),
        "campaign_type" => json!({ "enum": [CAMPAIGN_TYPES[0], CAMPAIGN_TYPES[1], null] }),
        "metadata" => json!({ "type": ["object", "null"] }),
        "latency_seconds" => json!({ "type": ["number", "null"] }),
        "hour_of_day" | "minute" | "day_of_week" | "payload_size_bytes" => json!({ "type": ["integer", "null"] }),
        _ => text(),
    };
    let columns = COLUMNS.iter().filter(|name| **name != "ingested_at").map(|name| ((*name).to_owned(), of_kind(name)));
    let mut properties: Map<String, Value> = columns.collect();
    for (name, about) in [
        ("recipient_email", "In the place of universal_id and recipient_email_hash: an address, which is resolved and dropped"),
        ("phone", "A telephone number with its country code, which is resolved and dropped"),
        ("provider_id", "The provider's id of the person, which is resolved and dropped"),
    ] {
        properties.insert(name.to_owned(), json!({ "type": ["string", "null"], "description": about }));
    }
    let required = ["event_type", "timestamp", "esp", "campaign_id", "campaign_name", "source"];
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

fn receipt() -> Value {
    json!({
        "type": "object",
        "properties": {
            "accepted": { "type": "integer", "description": "Events that are in the log: published + duplicates" },
            "published": { "type": "integer", "description": "Events that this request put there" },
            "duplicates": { "type": "integer", "description": "Events that were there before, by their id" },
            "ignored": { "type": "array", "items": { "type": "object", "properties": { "item": { "type": "integer" }, "reason": { "type": "string" } } } },
            "seed": { "type": "integer" },
            "replayed": { "type": "boolean", "description": "Whether an earlier request with this Idempotency-Key did it" },
        },
    })
}

/// A problem document (RFC 9457).
fn problem() -> Value {
    let error = json!({ "type": "object", "properties": {
        "item": { "type": "integer" }, "field": { "type": "string" }, "reason": { "type": "string" },
    } });
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" }, "detail": { "type": "string" },
            "errors": { "type": "array", "items": error },
        },
    })
}
