//! `populace policy`, and the scores of policies.

use super::support::{Scratch, generate, populace, succeed, text};
use serde_json::Value;
use std::fs;

/// From a log to what a policy is worth, and to what the log would have said.
#[test]
fn a_policy_is_learned_valued_evaluated_and_scored() {
    let scratch = Scratch::new("policy");
    let (log, best, page) = (scratch.path("log"), scratch.path("best.csv"), scratch.path("ope.json"));
    generate("email", &log, &["-n", "70", "-d", "60", "-s", "42", "--set", "policy={explore: {share: 0.3}}"]);
    let [log, best, page] = [&log, &best, &page].map(|path| path.to_str().unwrap());
    let learned = succeed(&["policy", "learn", "best_hour", log, "--train-until", "2025-11-10", "-o", best]);
    assert!(text(&learned.stderr).contains("slots of 70 recipients"), "{}", text(&learned.stderr));
    assert!(fs::read_to_string(best).unwrap().starts_with("recipient_id,slot\nsynth_user_01000,"));

    let json = |arguments: &[&str]| -> Value { serde_json::from_slice(&succeed(&[arguments, &["--json"]].concat()).stdout).unwrap() };
    let valued = ["policy", "value", log, "--policy", best, "--policy", "oracle", "--days", "30", "--discount", "0.99"];
    let values = json(&valued);
    let of = |policy: usize, key: &str| values["policies"][policy][key]["value"].as_f64().unwrap();
    assert!(of(2, "message") > of(1, "message") && of(1, "message") > of(0, "message") && of(0, "user") > 0.0);
    assert!(values["policies"][1]["one_step"]["relative_bias"].as_f64().unwrap().abs() < 0.03);
    assert_eq!((values["days"].as_u64(), values["discount"].as_f64()), (Some(30), Some(0.99)));
    let table = text(&succeed(&valued).stdout);
    assert!(table.contains("interference bias") && table.contains("variance of pairs"), "{table}");

    let evaluated = ["policy", "evaluate", log, "--target", best, "--from", "2025-11-10", "-o", page];
    let found = json(&evaluated);
    assert_eq!(found, serde_json::from_slice::<Value>(&fs::read(page).unwrap()).unwrap());
    let names: Vec<&str> = found["estimators"].as_array().unwrap().iter().map(|of| of["estimator"].as_str().unwrap()).collect();
    assert_eq!(names, ["ips", "ips_clip", "snips", "dm", "dr", "sndr", "switch_dr", "dros", "pdis", "smis", "naive"]);
    let tried = json(&["policy", "evaluate", log, "--target", "uniform", "--replicates", "3"]);
    assert_eq!((tried["replicates"].as_u64(), tried["replicated"].as_array().unwrap().len()), (Some(3), names.len()));

    let scored = text(&succeed(&["score", "policy", log, best, "--min-gain", "0.1"]).stdout);
    assert!(scored.contains("expected open probability") && scored.contains("everything known"), "{scored}");
    let failed = populace(&["score", "policy", log, best, "--min-gain", "1.5"]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    let mine = scratch.path("mine.csv");
    fs::write(&mine, format!("target,estimator,estimate,low,high\n{best},ips,0.4,0.1,0.9\noracle,ips,0.9,0.8,1\n")).unwrap();
    let graded = json(&["score", "ope", log, mine.to_str().unwrap()]);
    assert_eq!(graded["columns"][0]["metrics"]["coverage"]["value"].as_f64(), Some(0.5));

    let no_file = scratch.path("none.csv");
    for (arguments, message) in [
        (vec!["policy", "value", log, "--reward", "opens"], "`opens` is not a reward"),
        (vec!["policy", "value", log, "--discount", "2"], "must be from 0 to 1"),
        (vec!["policy", "value", log, "--policy", "orcle"], "orcle"),
        (vec!["policy", "evaluate", log, "--target", no_file.to_str().unwrap()], "none.csv"),
        (vec!["policy", "evaluate", log, "--target", best, "--replicates", "2"], "is a table of these people"),
        (vec!["score", "polcy", log, best], "a similar value exists: 'policy'"),
    ] {
        let output = populace(&arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && output.stdout.is_empty() && said.contains(message), "{arguments:?}: {said}");
    }
    // What cannot be is said at once.
    let rows = fs::read_to_string(best).unwrap().replacen("synth_user_01000,", "synth_user_99999,", 1);
    fs::write(best, rows + "synth_user_01001,99\n").unwrap();
    let wrong = populace(&["policy", "value", log, "--policy", best]);
    let said = text(&wrong.stderr);
    assert!(wrong.status.code() == Some(2) && said.contains("row 1") && said.contains("99"), "{said}");
    let capped = scratch.path("capped.yaml");
    fs::write(&capped, "caps: {per_day: 1}\n").unwrap();
    let wrong = populace(&["policy", "evaluate", log, "--target", capped.to_str().unwrap()]);
    assert!(wrong.status.code() == Some(2) && text(&wrong.stderr).contains("has other caps than the log"), "{}", text(&wrong.stderr));
}
