//! The scenarios there are. A new one adds a line to each list here, and nothing elsewhere.

use crate::document::{Diagnostics, Library, Request, Resolved, Source};
use crate::files::Format;
use crate::generator::Generator;
use crate::tables::churn::Churn;
use crate::tables::email::Email;
use crate::tables::traces::Traces;
use populace_core::churn::{self, ChurnConfig, ChurnModel};
use populace_core::email::{self, EmailConfig, EmailModel};
use populace_core::scenario::{ConfigError, Problem, Scenario};
use populace_core::traces::{self, TracesConfig, TracesModel};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The built-in documents.
pub const LIBRARY: Library = Library::new(DOCUMENTS);

const DOCUMENTS: &[(&str, &str)] = &[email::DOCUMENTS[0], email::DOCUMENTS[1], traces::DOCUMENTS[0], churn::DOCUMENTS[0]];

/// The families of scenarios.
pub const FAMILIES: &[&str] = &["churn", "email", "traces"];

/// The JSON Schema of a family's configuration.
pub fn schema(family: &str) -> Option<Value> {
    let schema = match family {
        "churn" => schemars::schema_for!(ChurnConfig),
        "email" => schemars::schema_for!(EmailConfig),
        "traces" => schemars::schema_for!(TracesConfig),
        _ => return None,
    };
    Some(schema.into())
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
pub fn generator(resolved: &Resolved) -> Result<Box<dyn Generator>, Diagnostics> {
    let made: Result<Box<dyn Generator>, ConfigError> = match resolved.family.as_str() {
        "churn" => checked::<ChurnModel>(&resolved.config).map(|model| Box::new(Churn::new(model)) as _),
        "email" => checked::<EmailModel>(&resolved.config).map(|model| Box::new(Email::new(model)) as _),
        "traces" => checked::<TracesModel>(&resolved.config).map(|model| Box::new(Traces::new(model)) as _),
        family => unreachable!("{family} has a schema and no generator"),
    };
    made.map_err(|error| resolved.diagnose(&error))
}

/// The model of a document of the family `S`.
///
/// # Errors
/// Everything that the family's own checks find wrong.
pub fn model<S: Scenario<Config: DeserializeOwned>>(resolved: &Resolved) -> Result<S, Diagnostics> {
    checked(&resolved.config).map_err(|error| resolved.diagnose(&error))
}

fn checked<S: Scenario<Config: DeserializeOwned>>(config: &Value) -> Result<S, ConfigError> {
    let config = serde_json::from_value(config.clone()).map_err(|error| ConfigError {
        problems: vec![Problem { path: String::new(), message: error.to_string(), hint: String::new() }],
    })?;
    S::from_config(&config)
}

/// The format in which a family is written unless another is asked for.
pub fn default_format(family: &str) -> Format {
    if family == "churn" { Format::Csv } else { Format::Parquet }
}

/// The `churn_base_rate` at which the population's churn rate is `target` in expectation.
///
/// # Errors
/// The document is not of `churn` or not sound, or no base rate gives that share.
pub fn churn_base_for(resolved: &Resolved, target: f64) -> Result<f64, Diagnostics> {
    let solved = serde_json::from_value::<ChurnConfig>(resolved.config.clone())
        .map_err(|_| ConfigError {
            problems: vec![Problem {
                path: String::new(),
                message: format!("a target churn rate is for churn, and {} is of {}", resolved.name, resolved.family),
                hint: String::new(),
            }],
        })
        .and_then(|config| churn::laws::base_for_target(&config, target));
    solved.map_err(|error| resolved.diagnose(&error))
}

/// Whether a document is a workflow by itself, not a scenario.
///
/// # Errors
/// It cannot be read, or is no YAML.
pub fn is_workflow(source: Source<'_>) -> Result<bool, Diagnostics> {
    let keys = LIBRARY.keys(source)?;
    let has = |key: &str| keys.iter().any(|known| known == key);
    Ok(!has("scenario") && !has("extends") && (has("entry_points") || has("transitions")))
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
    for family in FAMILIES {
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
