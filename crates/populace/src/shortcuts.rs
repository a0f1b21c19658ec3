//! The options that set single values of a document, and files in the place of parts of it: arguments made from the lists of the families.

use crate::args::proposed;
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use populace_io::family::{FAMILIES, Family, Shortcut, Takes, components, shortcuts};

/// What was given of them.
#[derive(Clone, Debug, Default)]
pub struct Shortcuts {
    /// Values of shortcuts, as a document writes them.
    pub values: Vec<(&'static Shortcut, String)>,
    /// Documents by the names of their components.
    pub components: Vec<(&'static str, ComponentArg)>,
}

/// A document in the place of a part.
#[derive(Clone, Debug)]
pub enum ComponentArg {
    /// A built-in one or a file.
    Named(String),
    /// Its text.
    Text(String),
}

impl Shortcuts {
    /// The value of a shortcut.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(shortcut, _)| shortcut.name == name).map(|(_, text)| text.as_str())
    }

    /// Sets the value of a shortcut.
    ///
    /// # Panics
    /// There is no such shortcut.
    pub fn set(&mut self, name: &str, text: impl Into<String>) {
        let shortcut = shortcuts().map(|(_, shortcut)| shortcut).find(|shortcut| shortcut.name == name).expect("a shortcut");
        self.values.retain(|(known, _)| known.name != name);
        self.values.push((shortcut, text.into()));
    }
}

/// One argument for each name: families may share a name. Those of families have a heading of their own.
fn arguments() -> Vec<Arg> {
    let mut arguments: Vec<Arg> = Vec::new();
    for (family, component) in components() {
        let names = move || component.builtins.iter().map(|(name, _)| *name).collect();
        let argument = Arg::new(component.name).long(component.name).help(sentence(component.help)).value_name("NAME|FILE");
        arguments.push(argument.value_parser(proposed(names)).hide_possible_values(true).help_heading(heading(&[family.name])));
    }
    for (family, shortcut) in shortcuts() {
        if arguments.iter().any(|known| known.get_id() == shortcut.name) {
            continue;
        }
        let mut argument = Arg::new(shortcut.name).long(shortcut.name).help(sentence(shortcut.help));
        if family.is_some() {
            let has = |family: &&Family| family.shortcuts.iter().any(|known| known.name == shortcut.name);
            let names: Vec<&str> = FAMILIES.iter().filter(has).map(|family| family.name).collect();
            argument = argument.help_heading(heading(&names));
        }
        if matches!(shortcut.takes, Takes::Nothing) {
            argument = argument.action(ArgAction::SetTrue);
        } else {
            argument = argument.value_name(shortcut.value).value_parser(ValueParser::new(|text: &str| shortcut.read(text)));
        }
        if let Some(letter) = shortcut.short {
            argument = argument.short(letter);
        }
        if let Some(alias) = shortcut.alias {
            argument = argument.visible_alias(alias);
        }
        if let Some(other) = shortcut.excludes {
            argument = argument.conflicts_with(other);
        }
        arguments.push(argument);
    }
    arguments
}

fn heading(families: &[&str]) -> &'static str {
    format!("Options of {}", families.join(" and ")).leak()
}

/// A help text as a line of its own.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl Args for Shortcuts {
    fn augment_args(command: Command) -> Command {
        command.args(arguments())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Shortcuts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Self::default();
        for (_, shortcut) in shortcuts() {
            let text = match shortcut.takes {
                Takes::Nothing => matches.get_flag(shortcut.name).then(|| false.to_string()),
                _ => matches.get_one::<String>(shortcut.name).cloned(),
            };
            if let Some(text) = text.filter(|_| given.get(shortcut.name).is_none()) {
                given.values.push((shortcut, text));
            }
        }
        for (_, component) in components() {
            let named = matches.get_one::<String>(component.name).cloned();
            given.components.extend(named.map(|name| (component.name, ComponentArg::Named(name))));
        }
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
