//! From documents to generators, whatever their family.

use crate::document::{Diagnostics, Graft, Library, Request, Resolved, Source};
use crate::family::{self, Component, FAMILIES, Family};
use crate::generator::Generator;
use populace_core::scenario::Scenario;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The built-in documents.
pub static LIBRARY: LazyLock<Library> = LazyLock::new(|| FAMILIES.iter().flat_map(|family| family.documents).collect());

/// The JSON Schema of a family's configuration.
pub fn schema(family: &str) -> Option<Value> {
    Family::named(family).map(|family| (family.schema)())
}

/// Reads a document.
///
/// # Errors
/// Everything that is wrong with it, each problem in its place.
pub fn resolve(request: &Request<'_>) -> Result<Resolved, Diagnostics> {
    let (resolved, mut problems) = LIBRARY.examine(request, schema);
    match resolved {
        Some(resolved) if problems.is_empty() => Ok(resolved),
        Some(resolved) => {
            // What the schema finds wrong does not hide what the family's own checks find elsewhere.
            if let Err(further) = generator(&resolved) {
                problems.complete(further);
            }
            Err(problems)
        }
        None => Err(problems),
    }
}

/// The generator of a document.
///
/// # Errors
/// Everything that the family's own checks find wrong.
///
/// # Panics
/// Never: a document that was resolved has a family.
pub fn generator(resolved: &Resolved) -> Result<Box<dyn Generator>, Diagnostics> {
    let family = Family::named(&resolved.family).expect("a document that was resolved has a family");
    (family.generator)(&resolved.config).map_err(|error| resolved.diagnose(&error))
}

/// The model of a document of the family `S`.
///
/// # Errors
/// Everything that the family's own checks find wrong.
pub fn model<S: Scenario<Config: DeserializeOwned>>(resolved: &Resolved) -> Result<S, Diagnostics> {
    family::model(&resolved.config).map_err(|error| resolved.diagnose(&error))
}

/// The component that a document is by itself, with its family; none for a scenario.
///
/// # Errors
/// It cannot be read, or is not YAML.
pub fn component(source: Source<'_>) -> Result<Option<(&'static Family, Component)>, Diagnostics> {
    let keys = LIBRARY.keys(source)?;
    let has = |key: &str| keys.iter().any(|known| known == key);
    if has("scenario") || has("extends") {
        return Ok(None);
    }
    Ok(family::components().find(|(_, component)| component.keys.iter().any(|key| has(key))))
}

/// Reads the built-in document of a family with a component in its place; `option` is what messages call it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn resolve_component(family: &Family, component: Component, option: &str, source: Source<'_>) -> Result<Resolved, Diagnostics> {
    let graft = [Graft { option, path: component.name, beside: component.beside, source }];
    resolve(&Request { grafts: &graft, ..Request::new(Source::Named(family.documents[0].0)) })
}

/// The JSON Schema of scenario documents, for editors: of one family, or of all. A document may leave out what it extends has.
///
/// # Panics
/// There is no such family.
pub fn document_schema(family: Option<&str>) -> Value {
    let of = |family: &str| {
        let mut schema = schema(family).expect("a family has a schema");
        forget_required(&mut schema);
        let properties = schema["properties"].as_object_mut().expect("a configuration is a map");
        let own = properties.clone();
        *properties = envelope(family, &own);
        properties.extend(own);
        schema
    };
    if let Some(family) = family {
        return of(family);
    }
    let mut definitions = Map::new();
    let mut documents = Vec::new();
    for Family { name: family, .. } in FAMILIES {
        let mut schema = of(family);
        schema.as_object_mut().map(|schema| schema.remove("$schema"));
        // Families may use one name for different things, so each keeps its definitions to itself.
        let text = schema.to_string().replace("#/$defs/", &format!("#/$defs/{family}/$defs/"));
        definitions.insert((*family).into(), serde_json::from_str(&text).expect("renamed references leave JSON"));
        documents.push(json!({ "$ref": format!("#/$defs/{family}") }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Populace scenario",
        "anyOf": documents,
        "$defs": definitions,
    })
}

/// The keys that every document has.
fn envelope(family: &str, own: &Map<String, Value>) -> Map<String, Value> {
    let keys = json!({
        "version": { "const": 1, "description": "Version of the document format." },
        "scenario": { "const": family, "description": "The family of the scenario." },
        "name": { "type": "string", "description": "Name of the scenario." },
        "description": { "type": "string", "description": "What it is, in a sentence." },
        "seed": { "type": "integer", "minimum": 0, "maximum": u64::MAX, "description": "Seed of runs that are given none." },
        "extends": { "type": "string", "description": "A built-in scenario or a file that this document changes." },
        "profiles": {
            "type": "object",
            "description": "Named changes, applied by --profile.",
            "additionalProperties": { "type": "object", "properties": own, "additionalProperties": false },
        },
    });
    let Value::Object(keys) = keys else { unreachable!("a map was written above") };
    keys
}

fn forget_required(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("required");
            map.values_mut().for_each(forget_required);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_required),
        _ => {}
    }
}
