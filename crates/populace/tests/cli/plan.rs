//! `populace plan`.

use super::support::{populace, succeed, text};
use serde_json::Value;

#[test]
fn a_plan_names_users_and_days_on_screen_and_as_json() {
    let arguments = ["plan", "traces", "-d", "10", "--detect", "/api/payment→/api/confirmation", "--at", "0.85", "--power", ".8"];
    let table = text(&succeed(&arguments).stdout);
    let plan: Value = serde_json::from_slice(&succeed(&[&arguments[..], &["--json"]].concat()).stdout).unwrap();
    let (users, effect) = (plan["users"].as_u64().unwrap(), &plan["effects"][0]);
    assert!(table.starts_with(&format!("traces: {users} users for 10 days detect ")), "{table}");
    assert_eq!((effect["from"].as_f64(), effect["value"].as_f64(), effect["users"].as_u64()), (Some(0.92), Some(0.85), Some(users)));
    assert_eq!(plan["power"], 0.8);
}

#[test]
fn effects_are_listed_and_what_is_not_one_is_refused() {
    for (scenario, effect) in [("email", "fatigue"), ("traces", "cascade"), ("churn", "paid_factor")] {
        let listed = text(&succeed(&["plan", scenario, "--detect", "list"]).stdout);
        assert!(listed.lines().any(|line| line.starts_with(&format!("{effect} "))), "{listed}");
    }
    for (arguments, message) in [
        (vec!["plan", "churn", "--detect", "paid_fctor", "--pilot-users", "300"], "did you mean `paid_factor`"),
        (vec!["plan", "churn", "--detect", "paid_factor", "--power", "1.5"], "--power: must be above 0 and below 1, got 1.5"),
        (vec!["plan", "churn"], "--detect"),
    ] {
        let output = populace(&arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && output.stdout.is_empty() && said.contains(message), "{arguments:?}: {said}");
    }
}
