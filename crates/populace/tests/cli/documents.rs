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

#[test]
fn help_completions_and_the_manual_page_name_the_commands() {
    for arguments in [&["--help"][..], &["man"], &["completions", "bash"], &["completions", "zsh"], &["completions", "fish"]] {
        let page = text(&succeed(arguments).stdout);
        for command in ["generate", "replay", "inspect", "check", "scenarios"] {
            assert!(page.contains(command), "{arguments:?} does not name {command}");
        }
    }
}
