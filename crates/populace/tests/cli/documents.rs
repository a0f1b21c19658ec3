//! Documents that are made from the code and kept on file.

use super::support::{populace, succeed, text};
use std::fs;
use std::path::{Path, PathBuf};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// A page on file is what the code makes; `UPDATE_DOCS=1` writes it.
fn assert_on_file(name: &str, page: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(docs(name), page).unwrap();
    }
    let on_file = fs::read_to_string(docs(name)).unwrap_or_default();
    assert!(on_file == page, "docs/{name} is out of date: run the tests once with UPDATE_DOCS=1");
}

#[test]
fn the_schema_for_editors_is_on_file() {
    assert_on_file("scenario.schema.json", &text(&succeed(&["scenarios", "schema"]).stdout));
}

#[test]
fn the_tables_are_on_file() {
    assert_on_file("tables.md", &text(&succeed(&["scenarios", "tables"]).stdout));
}

#[test]
fn every_built_in_scenario_can_be_printed_checked_and_listed() {
    let list = text(&succeed(&["scenarios", "list"]).stdout);
    let folder = std::env::temp_dir().join(format!("populace-test-{}-show", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for name in ["email", "email-v1", "traces", "churn", "ecommerce", "simple", "microservices"] {
        assert!(list.contains(name), "{list}");
        let file = folder.join(format!("my-{name}.yaml"));
        fs::write(&file, succeed(&["scenarios", "show", name]).stdout).unwrap();
        let checked = text(&succeed(&["check", file.to_str().unwrap()]).stderr);
        assert!(checked.ends_with("no problem\n"), "{checked}");
    }
    fs::remove_dir_all(folder).unwrap();
    let unknown = populace(&["scenarios", "show", "emial"]);
    assert_eq!(unknown.status.code(), Some(2));
}

/// The paths of all commands, found from help to help.
fn commands(path: &[String], found: &mut Vec<Vec<String>>) {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["-h"]).collect();
    let help = text(&succeed(&arguments).stdout);
    found.push(path.to_vec());
    let is_group = |line: &str| line.ends_with(':') && !line.starts_with([' ', '-']);
    let mut in_commands = false;
    for line in help.lines() {
        if is_group(line) {
            in_commands = path.is_empty() && !["Options:", "Examples:"].contains(&line) || line == "Commands:";
        } else if let Some(name) = line.strip_prefix("  ").filter(|_| in_commands).and_then(|line| line.split(' ').next())
            && !name.is_empty()
            && name != "help"
        {
            commands(&[path, &[name.to_owned()]].concat(), found);
        }
    }
}

#[test]
fn every_help_fits_a_terminal_and_has_examples() {
    let mut found = Vec::new();
    commands(&[], &mut found);
    assert!(found.len() > 20, "{found:?}");
    for path in &found {
        for flag in ["-h", "--help"] {
            let arguments: Vec<&str> = path.iter().map(String::as_str).chain([flag]).collect();
            let help = text(&succeed(&arguments).stdout);
            let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{arguments:?}: {long:#?}");
            assert!(help.contains("\nExamples:\n  # "), "{arguments:?}: {help}");
        }
        let arguments: Vec<&str> = ["man"].into_iter().chain(path.iter().map(String::as_str)).collect();
        let page = text(&succeed(&arguments).stdout);
        assert!(page.contains(".SH EXAMPLES") && page.contains("populace"), "{arguments:?}");
    }
}

#[test]
fn populace_alone_shows_groups_of_commands_and_an_example() {
    let alone = populace(&[]);
    let help = text(&alone.stderr);
    assert_eq!(alone.status.code(), Some(2));
    assert!(help.lines().all(|line| line.chars().count() <= 80) && help.lines().count() < 50, "{help}");
    for group in ["Scenarios:", "Generate:", "Read a data set:", "Services:", "Shell:", "Options:", "Examples:"] {
        assert!(help.lines().any(|line| line == group), "{group}: {help}");
    }
    assert!(help.contains("populace generate email -o data --seed 42"), "{help}");
    let page = text(&succeed(&["man"]).stdout);
    assert!(page.contains(".SH READ A DATA SET") && page.contains("\\fBverify\\fR"), "{page}");
}

#[test]
fn options_of_one_scenario_have_their_own_heading() {
    for command in ["generate", "plan", "replay"] {
        let help = text(&succeed(&[command, "-h"]).stdout);
        let under = |heading: &str| help.split_once(heading).unwrap_or_else(|| panic!("{heading}: {help}")).1.split("\n\n").next().unwrap();
        assert!(under("\nOptions of churn:\n").contains("--target-churn-rate"), "{help}");
        assert!(under("\nOptions of traces:\n").contains("--workflow"), "{help}");
        assert!(!under("\nOptions:\n").contains("--target-churn-rate") && under("\nOptions:\n").contains("--users"), "{help}");
    }
}

#[test]
fn completions_propose_commands_and_names() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&succeed(&["completions", shell]).stdout);
        let names = ["generate", "replay", "email-v1", "microservices", "dense", "fatigue", "send_time", "truth/messages", "zstd", "hour"];
        for name in names {
            assert!(script.contains(name), "{shell} does not propose {name}");
        }
        let both = "{_alternative \"names:name:(email email-v1 email-industry traces churn)\" \"files:file:_files\"}'";
        assert_eq!(script.contains(both), shell == "zsh", "{shell}: a scenario is a name or a file");
    }
}
