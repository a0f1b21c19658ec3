//! Help and manual pages: groups of commands, examples, and what a message says of a command or an option that is not there.

use super::Cli;
use crate::failure::Failure;
use clap::builder::{StyledStr, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};
use clap_complete::Shell;
use populace_io::document::suggest;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Columns that every help page fits into.
pub(super) const COLUMNS: usize = 80;

/// The commands as they are used, one group after another.
const GROUPS: &[(&str, &[&str])] = &[
    ("Scenarios", &["scenarios", "check", "plan"]),
    ("Generate", &["generate", "stream", "consume", "replay"]),
    ("Read a data set", &["inspect", "report", "verify", "recover", "score", "policy", "features", "prepare"]),
    ("Services", &["serve", "flow"]),
    ("Shell", &["completions", "man", "help"]),
];

/// What is in some builds only: commands and options (with their hyphens), and the cargo feature that brings them.
const FEATURES: &[(&str, &str, bool)] = &[
    ("stream", "http", cfg!(any(feature = "http", feature = "kafka"))),
    ("consume", "kafka", cfg!(feature = "kafka")),
    ("serve", "flow", cfg!(feature = "flow")),
    ("flow", "flow", cfg!(feature = "flow")),
    ("--log", "kafka", cfg!(feature = "kafka")),
    ("--identities", "kafka", cfg!(feature = "kafka")),
];

/// Examples of each command: what it does, and the command.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "",
        &[
            ("A data set with its truth, in data/", "populace generate email -o data --seed 42"),
            ("One HTML page of figures, with the true curves beside the data", "populace report data"),
            ("The options and examples of a command", "populace generate --help"),
        ],
    ),
    (
        "generate",
        &[
            ("A data set with its truth, in data/", "populace generate email -o data --seed 42"),
            ("About 10 million events", "populace generate churn --events 10M -o large"),
            ("Values of your own", "populace generate email --set personas.night_owl.open_rate=.4 -o owls"),
            ("How much it would be", "populace generate traces -n 1M --summary"),
            ("One table as CSV on standard output", "populace generate traces -f csv -o -"),
        ],
    ),
    (
        "stream",
        &[
            ("A day of the scenario in 24 minutes", "populace stream email --to http://127.0.0.1:5215 --speed 60"),
            ("Events at the time of day at which they happen", "populace stream email --to http://127.0.0.1:5215 --now --forever"),
        ],
    ),
    (
        "consume",
        &[(
            "What is in the topic now",
            "populace consume --from kafka://localhost:9092/email-events \\\n      --to clickhouse://sendflowr:$PASSWORD@localhost:8123 --once",
        )],
    ),
    ("replay", &[("All rows of the user with index 17", "populace replay email --seed 42 --actor 17")]),
    (
        "inspect",
        &[("The tables of a run with their first rows", "populace inspect data"), ("The manifest", "populace inspect data --json")],
    ),
    (
        "report",
        &[
            ("data/report.html and data/report.json", "populace report data"),
            ("With the score of a model", "populace report data --scores scores.json"),
        ],
    ),
    ("check", &[("Every problem, with line, column and fix", "populace check shop.yaml")]),
    (
        "plan",
        &[
            ("What can be detected", "populace plan email --detect list"),
            ("Users and days for a power of 90%", "populace plan email --detect fatigue --power .9"),
        ],
    ),
    ("recover", &[("Estimates with 95% intervals beside the truth", "populace recover data")]),
    (
        "verify",
        &[
            ("Every check; the exit code is 1 if one fails", "populace verify data"),
            ("By another document", "populace verify data --scenario churn"),
        ],
    ),
    ("prepare", &[("Clean tables and the grid of users and days", "populace prepare churn raw processed")]),
    ("prepare churn", &[("The clean tables in processed/", "populace prepare churn raw processed --format parquet")]),
    (
        "features",
        &[
            ("data/features.parquet", "populace features data"),
            ("Curves by the hour: a fortieth of the size", "populace features data --curve hour -o features"),
        ],
    ),
    ("scenarios", &[("What there is", "populace scenarios list"), ("A document to edit", "populace scenarios show email > mine.yaml")]),
    ("scenarios list", &[("What there is", "populace scenarios list")]),
    ("scenarios show", &[("A document to edit", "populace scenarios show email > mine.yaml")]),
    ("scenarios tables", &[("The page docs/tables.md", "populace scenarios tables > tables.md")]),
    ("scenarios schema", &[("For an editor that checks YAML", "populace scenarios schema > scenario.schema.json")]),
    (
        "policy",
        &[
            ("An experiment: one message in ten in a slot at random", "populace generate email --policy explore --seed 42 -o log"),
            ("What policies are worth on the same people", "populace policy value log --policy uniform --policy oracle"),
        ],
    ),
    (
        "policy replay",
        &[
            ("The same people, mailed by a policy of your own", "populace policy replay log --policy best.csv -o replay"),
            ("By a schedule of your own", "populace policy replay log --schedule mine.csv -o replay"),
        ],
    ),
    ("policy value", &[("Clicks over a year", "populace policy value log --policy best.csv --reward click --days 365")]),
    ("policy learn", &[("The best hour of each recipient", "populace policy learn best_hour log --train-until 2025-11-20 -o best.csv")]),
    ("policy rewards", &[("The expected reward of every slot that a decision could have taken", "populace policy rewards log")]),
    (
        "policy evaluate",
        &[("Estimators off policy, against the truth", "populace policy evaluate log --target best.csv --from 2025-11-20")],
    ),
    (
        "score",
        &[
            ("Open probabilities, by message_id and score", "populace score open data predictions.csv"),
            ("Fail if less than half of the attainable is gained", "populace score churn data predictions.csv --min-gain .5"),
        ],
    ),
    ("serve", &[("Connector, log, consumer, table and features in one process", "populace serve --embedded")]),
    ("flow", &[("Every message accounted for", "populace flow demo --count 1000")]),
    ("flow demo", &[("Every message accounted for", "populace flow demo --count 1000")]),
    (
        "completions",
        &[
            ("For this bash", "source <(populace completions bash)"),
            ("For every fish", "populace completions fish > ~/.config/fish/completions/populace.fish"),
        ],
    ),
    ("man", &[("Read a page", "populace man generate | man -l -")]),
];

/// What people call options elsewhere, and what they are called here: the first that the command has.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("events", &["count"]),
    ("count", &["events", "rows"]),
    ("rows", &["count", "events"]),
    ("limit", &["count", "events", "rows"]),
    ("num-users", &["users"]),
    ("people", &["users"]),
    ("customers", &["users"]),
    ("recipients", &["users"]),
    ("actors", &["users"]),
    ("user", &["actor", "users"]),
    ("duration", &["days"]),
    ("from", &["start"]),
    ("begin", &["start"]),
    ("out", &["output"]),
    ("output-dir", &["output"]),
    ("dir", &["output"]),
    ("directory", &["output"]),
    ("file", &["output"]),
    ("random-seed", &["seed"]),
    ("random-state", &["seed"]),
    ("workers", &["threads"]),
    ("jobs", &["threads"]),
    ("cores", &["threads"]),
    ("force", &["overwrite"]),
    ("continue", &["resume"]),
    ("param", &["set"]),
    ("effect", &["detect"]),
    ("config", &["scenario"]),
    ("codec", &["compression"]),
    ("type", &["format"]),
];

/// The command line, with its groups and examples.
pub(crate) fn program() -> Command {
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut groups = String::new();
    let program = Cli::command();
    for (title, names) in GROUPS {
        let _ = writeln!(groups, "{header}{title}:{header:#}");
        for name in *names {
            let Some(about) = about(&program, name) else { continue };
            let _ = writeln!(groups, "  {literal}{name:<13}{literal:#}{about}");
        }
        groups.push('\n');
    }
    let absent: Vec<String> = absent().map(|(name, feature)| format!("{name} (feature {feature})")).collect();
    if !absent.is_empty() {
        let _ = writeln!(groups, "Not in this build: {}\n", absent.join(", "));
    }
    let template = format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}{header}Options:{header:#}\n{{options}}{{after-help}}");
    with_examples(program.help_template(StyledStr::from(template)), "")
}

/// Prints a shell's completion script.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut program = program();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "populace", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // A name or a file: the values that are proposed do not keep files from being completed.
        Shell::Zsh => script = script.lines().map(|line| with_files(line) + "\n").collect(),
        // The generator leaves arguments without a hyphen out.
        Shell::Fish => fish_arguments(&program, &mut Vec::new(), &mut script),
        _ => {}
    }
    io::stdout().write_all(script.as_bytes()).map_err(|error| Failure::output(&error))
}

/// A line of a zsh script in which an argument that is a name or a file completes both.
fn with_files(line: &str) -> String {
    let is_both = line.contains("SCENARIO|FILE") || line.contains("NAME|FILE") || line.starts_with("':scenario -- ");
    match line.rsplit_once(":(").and_then(|(before, rest)| Some((before, rest.split_once(")'")?))) {
        Some((before, (names, after))) if is_both => {
            format!("{before}:{{_alternative \"names:name:({names})\" \"files:file:_files\"}}'{after}")
        }
        _ => line.to_owned(),
    }
}

/// Lines of a fish script for the names that arguments of the commands below take.
fn fish_arguments(command: &Command, path: &mut Vec<String>, script: &mut String) {
    for below in command.get_subcommands() {
        path.push(below.get_name().to_owned());
        let (first, rest) = (&path[0], &path[1..]);
        let condition = [&[format!("__fish_populace_using_subcommand {first}")], rest].concat().join("; and __fish_seen_subcommand_from ");
        for argument in below.get_positionals() {
            let names: Vec<String> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            if !names.is_empty() {
                let names = names.join(" ");
                let _ = writeln!(script, "complete -c populace -n \"{condition}\" -a \"{names}\"");
            }
        }
        fish_arguments(below, path, script);
        path.pop();
    }
}

/// What a command does, in a line; none where this build does not have it.
fn about(program: &Command, name: &str) -> Option<String> {
    if name == "help" {
        return Some("Print this page or the help of a command".to_owned());
    }
    program.find_subcommand(name).map(|command| command.get_about().map(ToString::to_string).unwrap_or_default())
}

/// The commands that other builds have, with their features.
fn absent() -> impl Iterator<Item = (&'static str, &'static str)> {
    FEATURES.iter().filter(|(name, _, has)| !has && !name.starts_with('-')).map(|(name, feature, _)| (*name, *feature))
}

fn with_examples(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let path = format!("{path} {name}");
        command = command.mut_subcommand(name, |command| with_examples(command, path.trim()));
    }
    let examples = examples(path);
    if examples.is_empty() {
        return command;
    }
    let header = *Styles::styled().get_header();
    let mut text = format!("{header}Examples:{header:#}");
    for (what, example) in examples {
        let _ = write!(text, "\n  # {what}\n  {example}");
    }
    command.after_help(StyledStr::from(text))
}

fn examples(path: &str) -> &'static [(&'static str, &'static str)] {
    EXAMPLES.iter().find(|(of, _)| *of == path).map_or(&[], |(_, examples)| examples)
}

/// The names of the commands.
pub(super) fn commands() -> Vec<&'static str> {
    GROUPS.iter().flat_map(|(_, names)| *names).copied().collect()
}

/// Reads the command line.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut program = program();
    let read = program.try_get_matches_from_mut(arguments).and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    read.map_err(|mut error| {
        help_along(&mut error, &program, arguments);
        error.with_cmd(&program)
    })
}

/// Says what else a command or an option that is not there may be.
fn help_along(error: &mut clap::Error, program: &Command, arguments: &[OsString]) {
    let (kind, advice) = match error.kind() {
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        _ => return,
    };
    let Some(ContextValue::String(name)) = error.get(kind) else { return };
    let name = name.clone();
    if let Some(feature) = missing_feature(&name, FEATURES) {
        let build = format!("this build does not have it; build with `cargo build --release --features {feature}`");
        error.remove(advice);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![build.into()]));
        return;
    }
    if advice == ContextKind::SuggestedArg {
        // That anything can be a value after `--` helps nobody here.
        error.remove(ContextKind::Suggested);
        let mut command = program;
        for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
            command = command.find_subcommand(argument).unwrap_or(command);
        }
        let is_option = |name: &&&str| command.get_arguments().any(|argument| argument.get_long() == Some(**name));
        let synonym = SYNONYMS.iter().find(|(other, _)| Some(*other) == name.strip_prefix("--"));
        if let Some(option) = synonym.and_then(|(_, names)| names.iter().find(is_option)) {
            error.insert(advice, ContextValue::String(format!("--{option}")));
        }
    }
}

/// The cargo feature that a command or an option needs and this build does not have.
fn missing_feature(name: &str, features: &[(&str, &'static str, bool)]) -> Option<&'static str> {
    features.iter().find(|(of, _, has)| *of == name && !has).map(|(_, feature, _)| *feature)
}

/// Prints the manual page of the program, or of the command of some path.
pub(crate) fn manual(path: &[String]) -> Result<(), Failure> {
    let mut program = Cli::command();
    program.build();
    let mut page = &program;
    for name in path {
        let Some(command) = page.find_subcommand(name) else {
            let known: Vec<&str> = page.get_subcommands().map(Command::get_name).collect();
            return Err(Failure::input(format!("there is no command `{name}`\nhint: {}", suggest(name, &known, "commands"))));
        };
        page = command;
    }
    write_manual(page.clone(), path).map_err(|error| Failure::output(&error))
}

fn write_manual(command: Command, path: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let of_program = path.is_empty();
    let groups: Vec<(&str, Vec<(&str, String)>)> = GROUPS
        .iter()
        .map(|(title, names)| (*title, names.iter().filter_map(|name| Some((*name, about(&command, name)?))).collect()))
        .collect();
    let has_commands = command.has_subcommands();
    let page = clap_mangen::Man::new(command);
    page.render_title(&mut out)?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_description_section(&mut out)?;
    if of_program {
        for (title, commands) in groups {
            writeln!(out, ".SH {}", roff(&title.to_uppercase()))?;
            for (name, about) in commands {
                writeln!(out, ".TP\n\\fB{}\\fR\n{}", roff(name), roff(&about))?;
            }
        }
    }
    page.render_options_section(&mut out)?;
    if has_commands && !of_program {
        page.render_subcommands_section(&mut out)?;
    }
    let examples = examples(&path.join(" "));
    if !examples.is_empty() {
        writeln!(out, ".SH EXAMPLES")?;
    }
    for (what, example) in examples {
        writeln!(out, ".PP\n{}:\n.PP\n.RS\n.nf\n{}\n.fi\n.RE", roff(what), roff(example))?;
    }
    page.render_version_section(&mut out)
}

/// Text as roff shows it unchanged.
fn roff(text: &str) -> String {
    let lines = text.replace('\\', "\\e").replace('-', "\\-");
    let lines: Vec<String> =
        lines.lines().map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of all commands, but for `help`.
    fn paths(command: &Command, path: &str, found: &mut Vec<String>) {
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name()).trim().to_owned();
            paths(below, &path, found);
            found.push(path);
        }
    }

    #[test]
    fn every_command_has_a_group_and_examples_that_parse() {
        let mut all = Vec::new();
        paths(&Cli::command(), "", &mut all);
        let grouped = commands();
        assert!(all.iter().filter(|path| !path.contains(' ')).all(|name| grouped.contains(&name.as_str())), "{all:?}");
        for path in all.iter().map(String::as_str).chain([""]) {
            let examples = examples(path);
            assert!(!examples.is_empty(), "{path} has no example");
            for (_, example) in examples {
                let words = example.replace("\\\n", " ");
                let words = words.split(" | ").next().unwrap().split(" > ").next().unwrap();
                let words: Vec<OsString> =
                    words.trim_start_matches("source <(").trim_end_matches(')').split_whitespace().map(Into::into).collect();
                let is_help = |error: &clap::Error| error.kind() == ErrorKind::DisplayHelp;
                assert!(parse(&words).as_ref().err().is_none_or(is_help), "{example}: {}", parse(&words).unwrap_err());
                assert!(path.split(' ').all(|step| example.contains(step)), "{example} is none of {path}");
            }
        }
        let known =
            |name: &str| all.iter().any(|path| path == name) || name.starts_with("--") || absent().any(|(absent, _)| absent == name);
        assert!(FEATURES.iter().all(|(name, ..)| known(name)), "{all:?}");
    }

    #[test]
    fn a_command_of_another_build_names_its_feature() {
        let features = [("consume", "kafka", false), ("serve", "flow", true)];
        assert_eq!(missing_feature("consume", &features), Some("kafka"));
        assert_eq!((missing_feature("serve", &features), missing_feature("x", &features)), (None, None));
    }
}
