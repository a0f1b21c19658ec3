//! The part of JSON Schema that schemars derives, read as questions a document's checker and merger ask.

use super::tree::{Kind, Map};
use serde_json::Value;

/// A place in a schema.
#[derive(Clone, Copy)]
pub(super) struct Schema<'a> {
    root: &'a Value,
    at: &'a Value,
}

/// What a map's schema says of one key.
pub(super) struct Child<'a> {
    pub(super) schema: Schema<'a>,
    /// The key is a name that the document chose, not one that the schema knows.
    pub(super) named: bool,
}

/// How the variants of a union of maps are told apart.
pub(super) enum Tagging<'a> {
    /// By the value of this key.
    Internal(&'a str),
    /// By the only key.
    External,
}

impl<'a> Schema<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self { root, at: root }
    }

    fn to(self, at: &'a Value) -> Self {
        Self { at, ..self }
    }

    /// The schema, then what it refers to, and so on: all of these hold together.
    fn layers(self) -> impl Iterator<Item = &'a Value> {
        const LONGEST_CHAIN: usize = 16;
        let next = move |layer: &&'a Value| self.root.pointer(layer.get("$ref")?.as_str()?.strip_prefix('#')?);
        std::iter::successors(Some(self.at), next).take(LONGEST_CHAIN)
    }

    /// A keyword's value.
    pub(super) fn get(self, keyword: &str) -> Option<&'a Value> {
        self.layers().find_map(|layer| layer.get(keyword))
    }

    /// Nothing matches the schema `false`.
    pub(super) fn is_never(self) -> bool {
        self.layers().any(|layer| *layer == Value::Bool(false))
    }

    /// The alternatives of a union, nested unions opened; the schema itself if it is none.
    pub(super) fn variants(self) -> Vec<Self> {
        let Some(alternatives) = self.get("anyOf").or_else(|| self.get("oneOf")).and_then(Value::as_array) else { return vec![self] };
        alternatives.iter().flat_map(|alternative| self.to(alternative).variants()).collect()
    }

    /// The names of the JSON types that match; empty if any does.
    pub(super) fn types(self) -> Vec<&'a str> {
        if let Some(choices) = self.choices() {
            let mut types: Vec<_> = choices.iter().map(|choice| type_of(choice)).collect();
            types.dedup();
            return types;
        }
        match self.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ if self.get("properties").is_some() => vec!["object"],
            _ => Vec::new(),
        }
    }

    /// The only values that match, if they are listed.
    pub(super) fn choices(self) -> Option<Vec<&'a Value>> {
        if let Some(only) = self.get("const") {
            return Some(vec![only]);
        }
        self.get("enum")?.as_array().map(|choices| choices.iter().collect())
    }

    pub(super) fn permits_null(self) -> bool {
        self.variants().iter().any(|variant| {
            let types = variant.types();
            !variant.is_never() && (types.is_empty() || types.contains(&"null"))
        })
    }

    /// Whether a value of this kind can match.
    pub(super) fn accepts(self, kind: &Kind) -> bool {
        let types = self.types();
        let names: &[&str] = match kind {
            Kind::Null => &["null"],
            Kind::Bool(_) => &["boolean"],
            Kind::Number(..) => &["number", "integer"],
            Kind::Text(_) => &["string"],
            Kind::List(_) => &["array"],
            Kind::Map(_) => &["object"],
        };
        !self.is_never() && (types.is_empty() || types.iter().any(|name| names.contains(name)))
    }

    /// The keys that a map of this schema knows, in the schema's order, with their schemas. Not for unions.
    pub(super) fn properties(self) -> Vec<(&'a str, Schema<'a>)> {
        let mut properties: Vec<(&'a str, Schema<'a>)> = Vec::new();
        for (key, schema) in self.layers().filter_map(|layer| layer.get("properties")?.as_object()).flatten() {
            if properties.iter().all(|(known, _)| known != key) {
                properties.push((key, self.to(schema)));
            }
        }
        properties
    }

    /// The keys that a map of this schema must have. Not for unions.
    pub(super) fn required(self) -> Vec<&'a str> {
        self.layers().filter_map(|layer| layer.get("required")?.as_array()).flatten().filter_map(Value::as_str).collect()
    }

    /// What the schema says of a key, or `None` if it does not know it. Not for unions.
    pub(super) fn child(self, key: &str) -> Option<Child<'a>> {
        let property = self.layers().find_map(|layer| layer.get("properties")?.get(key));
        if let Some(property) = property {
            return Some(Child { schema: self.to(property), named: false });
        }
        let patterns = self.layers().filter_map(|layer| layer.get("patternProperties")?.as_object()).flatten();
        for (pattern, schema) in patterns {
            // The two that schemars derives, for maps whose keys are numbers.
            let digits = if pattern == r"^-?\d+$" { key.strip_prefix('-').unwrap_or(key) } else { key };
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Some(Child { schema: self.to(schema), named: true });
            }
        }
        match self.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(Child { schema: self.to(schema), named: true }),
            // A struct that forgot to deny unknown fields denies them all the same: a misspelt key is never silent.
            None if self.get("properties").is_some() || self.get("patternProperties").is_some() => None,
            None => Some(Child { schema: self.to(&Value::Bool(true)), named: true }),
        }
    }

    /// As [`Schema::child`], in whichever alternative knows the key.
    pub(super) fn child_of_any(self, key: &str) -> Option<Child<'a>> {
        self.variants().into_iter().filter(|variant| variant.is_map()).find_map(|variant| variant.child(key))
    }

    /// The schema of a list's item, in whichever alternative is a list.
    pub(super) fn item(self, index: usize) -> Option<Self> {
        let prefix = |schema: Self| Some(schema.to(schema.get("prefixItems")?.get(index)?));
        let rest = |schema: Self| Some(schema.to(schema.get("items")?));
        self.variants().into_iter().find_map(|variant| prefix(variant).or_else(|| rest(variant)))
    }

    /// The keys that any alternative knows.
    pub(super) fn known_keys(self) -> Vec<&'a str> {
        let mut keys = Vec::new();
        for (key, _) in self.variants().into_iter().flat_map(Self::properties) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Where below a key of this name is known, nearest first: `population.users` for `users`.
    pub(super) fn below(self, key: &str) -> Option<String> {
        const DEEPEST: usize = 4;
        let mut level: Vec<(String, Self)> = vec![(String::new(), self)];
        for _ in 0..DEEPEST {
            let inner = level.iter().flat_map(|(path, schema)| {
                let properties = schema.variants().into_iter().flat_map(Self::properties);
                properties.map(move |(key, schema)| (if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }, schema))
            });
            level = inner.collect();
            if let Some((path, _)) = level.iter().find(|(path, _)| path.rsplit('.').next() == Some(key)) {
                return Some(path.clone());
            }
        }
        None
    }

    /// Whether maps match.
    pub(super) fn is_map(self) -> bool {
        self.types().contains(&"object") || (self.types().is_empty() && self.get("additionalProperties").is_some())
    }

    /// A key that can have one value only: the mark of a variant.
    fn mark(self, key: &str) -> Option<&'a str> {
        let schema = self.child(key).filter(|child| !child.named)?.schema;
        match schema.choices()?.as_slice() {
            [Value::String(only)] => Some(only),
            _ => None,
        }
    }

    /// This alternative's name, if it goes by one.
    pub(super) fn variant_name(self, tagging: &Tagging<'a>) -> Option<&'a str> {
        match tagging {
            Tagging::Internal(key) => self.mark(key),
            Tagging::External => Some(self.properties().first()?.0),
        }
    }
}

/// How alternatives that are all maps are told apart, if they are.
pub(super) fn tagging<'a>(alternatives: &[Schema<'a>]) -> Option<Tagging<'a>> {
    let (first, rest) = alternatives.split_first()?;
    let keys = first.properties();
    if let Some((key, _)) = keys.iter().find(|(key, _)| alternatives.iter().all(|schema| schema.mark(key).is_some())) {
        return Some(Tagging::Internal(key));
    }
    let external = |schema: &Schema<'_>| schema.properties().len() == 1 && schema.required().len() == 1;
    (external(first) && !rest.is_empty() && rest.iter().all(external)).then_some(Tagging::External)
}

/// Whether a map laid over another speaks of another variant of a union, so that the two cannot be merged.
pub(super) fn switches_variant(schema: Schema<'_>, base: &Map, overlay: &Map) -> bool {
    let maps: Vec<_> = schema.variants().into_iter().filter(|variant| variant.is_map()).collect();
    match tagging(&maps) {
        Some(Tagging::Internal(key)) => match (base.get(key), overlay.get(key)) {
            (Some(old), Some(new)) => old.value.to_json() != new.value.to_json(),
            _ => false,
        },
        Some(Tagging::External) => {
            let known = |map: &Map| map.keys().find(|key| maps.iter().any(|schema| schema.child(key).is_some())).cloned();
            matches!((known(base), known(overlay)), (Some(old), Some(new)) if old != new)
        }
        None => false,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
