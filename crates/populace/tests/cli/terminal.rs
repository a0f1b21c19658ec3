//! What data, documents and arguments hold cannot act on the terminal of whoever looks at them.

use super::support::{Scratch, generate, populace, text};
use std::fs;

/// Clears the screen, goes up a line, sets the window's title, rings, turns the direction of what follows, goes back.
const ACTS: &str = "\u{1b}[2J\u{9b}1A\u{1b}]0;x\u{7}\u{202e}\u{2066}\u{8}\r\u{0}\u{7f}";

/// Asserts that what is printed does no more than stand there, and that it was printed.
fn assert_escaped(what: &str, printed: &str) {
    let acts = |character: char| {
        (character.is_control() && !"\n\t".contains(character)) || ('\u{202a}'..='\u{202e}').contains(&character) || character == '\u{2066}'
    };
    assert!(!printed.contains(acts), "{what}: {printed:?}");
}

#[test]
fn control_characters_are_escaped_wherever_they_are_printed() {
    let scratch = Scratch::new("terminal");
    let mut shown = 0;
    let mut look = |arguments: &[&str], escaped: bool| {
        let output = populace(arguments);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &text(&output.stderr);
        assert_escaped(&format!("{arguments:?}"), &printed);
        assert!(
            !escaped || ["\\u001b[2J", "\\u{1b}[2J"].iter().any(|escaped| printed.contains(escaped)),
            "{arguments:?} does not print it: {printed}"
        );
        assert!(!printed.contains("panicked"), "{printed}");
        shown += 1;
    };
    let visible: String = ACTS.chars().filter(|character| *character != '\0').collect();

    // In data, of every format.
    for format in ["csv", "jsonl"] {
        let data = scratch.path(format);
        generate("email", &data, &["-n", "4", "-d", "4", "-s", "3", "-f", format]);
        let path = data.join(format!("events.{format}"));
        let written =
            if format == "csv" { visible.replace('\r', "") } else { serde_json::json!(ACTS).to_string().trim_matches('"').to_owned() };
        let events = fs::read_to_string(&path).unwrap();
        // The same length, as inspect holds the size against the manifest.
        let campaign =
            events.split(',').find(|cell| cell.contains("sf_")).unwrap().trim_matches('"').rsplit('"').next().unwrap().to_owned();
        fs::write(&path, events.replace(&campaign, &format!("{written}{campaign}"))).unwrap();
        let manifest = fs::read_to_string(data.join("manifest.json")).unwrap();
        let (old, new) = (events.len().to_string(), fs::metadata(&path).unwrap().len().to_string());
        fs::write(data.join("manifest.json"), manifest.replace(&format!("\"bytes\": {old}"), &format!("\"bytes\": {new}"))).unwrap();
        let directory = data.to_str().unwrap();
        look(&["inspect", directory], true);
        look(&["inspect", directory, "--json"], false);
        look(&["verify", directory, "-o", scratch.path("verdicts.json").to_str().unwrap(), "--no-progress"], false);
        look(&["features", directory, "-q", "-o", scratch.path("features").to_str().unwrap(), "--overwrite"], false);
        look(&["report", directory, "-o", scratch.path("report.html").to_str().unwrap()], false);
        look(&["recover", directory], false);
        let predictions = scratch.path("predictions.csv");
        fs::write(&predictions, format!("message_id,score\n{},0.3\n", visible.replace('\r', ""))).unwrap();
        look(&["score", "open", directory, predictions.to_str().unwrap()], true);
    }

    // In documents: names, values, keys.
    let document = scratch.path("document.yaml");
    // YAML takes none of them as they are.
    let escaped = ACTS.chars().map(|character| format!("\\u{:04x}", u32::from(character))).collect::<Vec<_>>().concat();
    let quoted = format!("\"{escaped}\"");
    for yaml in [
        format!("version: 1\nextends: email\npersonas: {{night_owl: {{{quoted}: 1}}}}\n"),
        format!("version: 1\nextends: {quoted}\n"),
        format!("version: 1\nextends: email\npopulation: {{users: {quoted}}}\n"),
        format!("version: 1\nextends: email\n{quoted}: 1\n"),
    ] {
        fs::write(&document, yaml).unwrap();
        look(&["check", document.to_str().unwrap()], true);
        look(&["generate", document.to_str().unwrap(), "--summary"], true);
        look(&["replay", document.to_str().unwrap(), "-s", "1", "--actor", "0"], true);
    }
    let workflow = scratch.path("workflow.yaml");
    let path = format!("\"/{escaped}\"");
    fs::write(
        &workflow,
        format!(
            "name: {quoted}\nentry_points: {{{path}: 1.0}}\ntransitions: {{}}\nexit_points: [{path}]\navg_response_times: {{{path}: 20}}\n"
        ),
    )
    .unwrap();
    let arguments = ["traces", "--workflow", workflow.to_str().unwrap(), "-n", "4", "-s", "1"];
    look(&["check", workflow.to_str().unwrap()], false);
    look(&[&["replay"], &arguments[..], &["--actor", "0"]].concat(), false);
    look(&[&["generate"], &arguments[..], &["--summary"]].concat(), false);

    // In arguments; some messages leave the value out.
    for (arguments, escaped) in [
        (&["generate", &visible][..], true),
        (&["generate", "email", "--set", &visible], true),
        (&["generate", "email", "--set", &format!("{visible}=1")], true),
        (&["generate", "email", "--users", &visible], false),
        (&["generate", "email", &format!("--{visible}")], false),
        (&["generate", "email", "--to", &visible], false),
        (&["generate", "email", "--to", &format!("http://{visible}")], false),
        (&["generate", "email", "-f", &visible], false),
        (&["inspect", &visible], true),
        (&["verify", &visible], true),
        (&["score", &visible, "x", "y"], false),
        (&["replay", "email", "-s", "1", "--actor", &visible], false),
        (&["plan", "email", "--detect", &visible], true),
        (&["man", &visible], true),
        (&[&visible], false),
    ] {
        look(arguments, escaped);
    }
    println!("{shown} commands print what acts on terminals, all of them escaped");
}
