//! The families of scenarios, and what each is to all that does not know it. A new one adds its line to [`FAMILIES`].

use crate::argument::{number, whole};
use crate::generator::Generator;
use crate::tables::{Tables, churn::Churn, email::Email, traces::Traces};
use crate::wording;
use populace_core::scenario::{ConfigError, Problem, Scenario};
use populace_core::time::Date;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Every family.
pub const FAMILIES: &[Family] = &[Family::of::<Email>(), Family::of::<Traces>(), Family::of::<Churn>()];

/// A family of scenarios.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name: `scenario:` of its documents.
    pub name: &'static str,
    /// Its built-in documents, by name.
    pub documents: &'static [(&'static str, &'static str)],
    /// The options that set single values of its documents, besides [`COMMON`].
    pub shortcuts: &'static [Shortcut],
    /// The part of its documents that may be a document of its own.
    pub component: Option<Component>,
    /// Whether a connector takes its main table.
    pub for_connectors: bool,
    /// The JSON Schema of its configuration.
    pub schema: fn() -> Value,
    /// The generator of a configuration, or everything that is wrong with it.
    pub generator: fn(&Value) -> Result<Box<dyn Generator>, ConfigError>,
}

impl Family {
    const fn of<T: Tables<Model: Scenario<Config: DeserializeOwned + JsonSchema>>>() -> Self {
        Self {
            name: T::Model::NAME,
            documents: T::DOCUMENTS,
            shortcuts: T::SHORTCUTS,
            component: T::COMPONENT,
            for_connectors: T::FOR_CONNECTORS,
            schema: || schemars::schema_for!(<T::Model as Scenario>::Config).into(),
            generator: |config| Ok(Box::new(T::new(T::complete(model(config)?)?))),
        }
    }

    /// The family of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// The options that set single values of its documents.
    pub fn all_shortcuts(&self) -> impl Iterator<Item = &'static Shortcut> + use<> {
        COMMON.iter().chain(self.shortcuts)
    }
}

/// The model of a configuration.
pub(crate) fn model<S: Scenario<Config: DeserializeOwned>>(config: &Value) -> Result<S, ConfigError> {
    S::from_config(&read(config)?)
}

/// A configuration as its type.
///
/// # Errors
/// It is of another family.
pub fn read<C: DeserializeOwned>(config: &Value) -> Result<C, ConfigError> {
    serde_json::from_value(config.clone())
        .map_err(|error| ConfigError { problems: vec![Problem { path: String::new(), message: error.to_string(), hint: String::new() }] })
}

/// A part of a document that may be a document of its own: `--workflow FILE`.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// The name of the option, and where the part is in a document.
    pub name: &'static str,
    /// The built-in ones, by name.
    pub builtins: &'static [(&'static str, &'static str)],
    /// Keys of which it has one at least: such a document is a component, not a scenario.
    pub keys: &'static [&'static str],
    /// Keys of the scenario that such a document may have beside; the part itself may then stand under its own name.
    pub beside: &'static [&'static str],
    /// For the help.
    pub help: &'static str,
}

impl Component {
    /// The text of a built-in one.
    pub fn text(&self, name: &str) -> Option<&'static str> {
        self.builtins.iter().find(|(builtin, _)| *builtin == name).map(|(_, text)| *text)
    }
}

/// What a shortcut takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// A whole number from 0 up to this.
    Whole(u64),
    /// A number.
    Number,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// One of some words.
    Word(&'static [&'static str]),
    /// Nothing: it sets the value to false.
    Nothing,
    /// A number from which the value follows, given the rest of the configuration.
    Solved(fn(&Value, f64) -> Result<f64, ConfigError>),
}

/// An option that sets a single value of a document: `--users 100` for `--set population.users=100`. The command line, Python and Spark
/// have the same, from these lists.
#[derive(Clone, Copy, Debug)]
pub struct Shortcut {
    /// Its name, with `-` between words.
    pub name: &'static str,
    /// What it sets, a dotted path.
    pub path: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What the help calls what it takes.
    pub value: &'static str,
    /// For the help.
    pub help: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// Another name of it.
    pub alias: Option<&'static str>,
    /// The shortcut that it cannot be used with.
    pub excludes: Option<&'static str>,
}

impl Shortcut {
    /// A shortcut with one name.
    pub const fn new(name: &'static str, path: &'static str, takes: Takes, value: &'static str, help: &'static str) -> Self {
        Self { name, path, takes, value, help, short: None, alias: None, excludes: None }
    }

    /// The shortcut that cannot be used with another.
    #[must_use]
    pub const fn excluding(self, other: &'static str) -> Self {
        Self { excludes: Some(other), ..self }
    }

    /// As an option of the command line.
    pub fn option(&self) -> String {
        wording::option(self.name)
    }

    /// As a keyword of Python and an option of Spark: `latent`, which may be false, for `--no-latent`.
    pub fn keyword(&self) -> String {
        self.name.strip_prefix("no-").unwrap_or(self.name).replace('-', "_")
    }

    /// The value that some text gives, as a document writes it.
    ///
    /// # Errors
    /// It is not what the shortcut takes.
    pub fn read(&self, text: &str) -> Result<String, String> {
        match self.takes {
            Takes::Whole(most) => whole(text, &(0..=most)).map(|number| number.to_string()),
            Takes::Number | Takes::Solved(_) => number(text).map(|number| number.to_string()),
            Takes::Date => text.parse::<Date>().map(|date| date.to_string()),
            Takes::Word(known) if known.contains(&text) => Ok(text.to_owned()),
            Takes::Word(known) => Err(format!("must be one of {}", known.join(", "))),
            Takes::Nothing => Ok("false".to_owned()),
        }
    }
}

/// The shortcuts of every family.
pub const COMMON: &[Shortcut] = &[
    Shortcut {
        short: Some('n'),
        alias: Some("n-users"),
        ..Shortcut::new("users", "population.users", Takes::Whole(u64::MAX), "N", "Number of users")
    },
    Shortcut { short: Some('d'), ..Shortcut::new("days", "window.days", Takes::Whole(u32::MAX as u64), "N", "Number of days") },
    Shortcut { alias: Some("start-date"), ..Shortcut::new("start", "window.start", Takes::Date, "DATE", "First day, YYYY-MM-DD") },
];

/// Every shortcut, with the family it is for; none for those of every family.
pub fn shortcuts() -> impl Iterator<Item = (Option<&'static Family>, &'static Shortcut)> {
    let of_families = FAMILIES.iter().flat_map(|family| family.shortcuts.iter().map(move |shortcut| (Some(family), shortcut)));
    COMMON.iter().map(|shortcut| (None, shortcut)).chain(of_families)
}

/// Every component, with its family.
pub fn components() -> impl Iterator<Item = (&'static Family, Component)> {
    FAMILIES.iter().filter_map(|family| Some((family, family.component?)))
}
