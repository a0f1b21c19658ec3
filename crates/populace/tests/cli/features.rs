//! `populace features`.

use super::support::{Scratch, generate, populace, succeed, text};

#[test]
fn features_lie_beside_the_data_unless_told_otherwise() {
    let scratch = Scratch::new("features");
    let (mail, api, out) = (scratch.path("mail"), scratch.path("api"), scratch.path("out"));
    generate("email", &mail, &["-n", "12", "-d", "10", "-s", "3"]);
    generate("traces", &api, &["-n", "20", "-s", "3"]);
    let [mail, api, out] = [&mail, &api, &out].map(|path| path.to_str().unwrap());

    let printed = text(&succeed(&["features", mail]).stderr);
    assert!(printed.starts_with("12 recipients at 2025-10-11T00:00:00Z, the end of the run's window, from"), "{printed}");
    assert!(scratch.path("mail/features.parquet").is_file());
    succeed(&["inspect", mail]);
    let again = populace(&["features", mail]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("is there already; replace it with --overwrite"));

    let json = succeed(&["features", mail, "--overwrite", "--as-of", "2025-10-05", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&report["family"], &report["computed_at"]), (&"email".into(), &"2025-10-05T00:00:00Z".into()));
    assert!(report["later"].as_u64().unwrap() > 0 && json.stderr.is_empty());

    let json = succeed(&["features", api, "-o", out, "--format", "csv", "--ngram", "4", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["family"], "traces");
    assert_eq!(report["ngrams"].as_object().unwrap().keys().collect::<Vec<_>>(), ["4"]);
    for name in ["transitions.csv", "ngrams.csv", "pairs.csv", "statistics.json"] {
        assert!(scratch.path("out").join(name).is_file(), "{name}");
    }
    assert!(succeed(&["features", api, "-o", out, "-q", "--overwrite"]).stderr.is_empty());
    assert!(!scratch.path("out/pairs.csv").exists() && scratch.path("out/pairs.parquet").is_file());
}

#[test]
fn what_has_no_features_is_refused() {
    let scratch = Scratch::new("features-bad");
    let churn = scratch.path("churn");
    generate("churn", &churn, &["-n", "5", "-d", "5", "-s", "3"]);
    let churn = churn.to_str().unwrap();
    for (arguments, expected) in [
        (&["nowhere"][..], "is not a directory"),
        (&[churn], "see populace prepare churn"),
        (&[churn, "--as-of", "soon"], "--as-of soon: is not a moment"),
        (&[churn, "--curve", "day"], "possible values: minute, hour, none"),
        (&[churn, "--ngram", "1"], "must be a whole number from 2 to 16"),
    ] {
        let refused = populace(&[&["features"], arguments].concat());
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(text(&refused.stderr).contains(expected), "{arguments:?}: {}", text(&refused.stderr));
    }
}
