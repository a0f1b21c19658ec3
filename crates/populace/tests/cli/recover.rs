//! `populace recover`.

use super::support::{Scratch, generate, populace, succeed, text};
use serde_json::Value;
use std::fs;

#[test]
fn estimates_stand_beside_the_truth_on_screen_and_on_file() {
    let scratch = Scratch::new("recover");
    for (scenario, users, parameter) in
        [("email", "60", "minute.peak_factor"), ("traces", "200", "delays.thinking"), ("churn", "80", "activity.probability.slope")]
    {
        let data = scratch.path(scenario);
        generate(scenario, &data, &["-n", users, "-s", "3"]);
        let directory = data.to_str().unwrap();
        let table = text(&succeed(&["recover", directory]).stdout);
        assert!(table.starts_with(&format!("{scenario} ({scenario}). ")) && table.contains(parameter), "{table}");
        let on_file: Value = serde_json::from_slice(&fs::read(data.join("recover.json")).unwrap()).unwrap();
        let printed: Value = serde_json::from_slice(&succeed(&["recover", directory, "--json"]).stdout).unwrap();
        assert_eq!(on_file, printed);
        let estimates = on_file["estimates"].as_array().unwrap();
        let covered = estimates.iter().filter(|estimate| estimate["covered"] == true).count();
        assert_eq!(on_file["coverage"].as_f64().unwrap(), covered as f64 / estimates.len() as f64);
        assert!(table.contains(&format!("{covered} of {} intervals at 0.95 contain the truth", estimates.len())), "{table}");
    }
}

#[test]
fn a_level_a_directory_and_a_scenario_that_do_not_fit_are_told() {
    let scratch = Scratch::new("recover-wrong");
    let data = scratch.path("data");
    generate("churn", &data, &["-n", "20", "-s", "3"]);
    let directory = data.to_str().unwrap();
    for (arguments, message) in [
        (vec!["recover", directory, "--level", "95"], "--level: must be above 0 and below 1, such as 0.95, got 95"),
        (vec!["recover", "no-such-directory"], "no-such-directory: is not a directory"),
        (vec!["recover", directory, "--scenario", "traces"], "has no table calls"),
    ] {
        let output = populace(&arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(message), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && !data.join("recover.json").exists());
    }
}
