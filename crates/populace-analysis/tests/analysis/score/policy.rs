//! Slots for recipients, and estimates of policies.

use super::Bench;
use crate::support::{self, Run};
use populace_analysis::score::{Options, Predictor};

fn bench(policy: &str) -> Bench {
    Bench::new(Run::of(&support::document("email", &[("policy", policy), ("population.users", "70")]), 31))
}

fn file(slot: impl Fn(usize) -> usize) -> String {
    (0..70).fold("recipient_id,slot\n".to_owned(), |text, user| text + &format!("synth_user_{:05},{}\n", 1_000 + user, slot(user)))
}

#[test]
fn slots_are_worth_what_decisions_say() {
    let bench = bench("{explore: {share: 0.1}}");
    let card = bench.score("policy", &file(|_| 9), &Options::default()).unwrap();
    let of = |predictor, name| card.metric(predictor, name).unwrap().value;
    let value = |predictor| of(predictor, "expected_open_probability");
    let [model, observable, oracle, scheduled] = [Predictor::Model, Predictor::Observable, Predictor::Latent, Predictor::Base].map(value);
    assert!(oracle >= observable && observable > scheduled && model < observable, "{model} {observable} {oracle} {scheduled}");
    assert!((scheduled - 0.3575).abs() < 0.03 && (oracle - 0.5335).abs() < 0.04, "{scheduled} {oracle}");
    assert!((of(Predictor::Model, "regret") - (oracle - model)).abs() < 1e-12);
    let gain = card.gain(Predictor::Latent).unwrap().share.value;
    assert!((gain - (model - scheduled) / (oracle - scheduled)).abs() < 1e-12);
    assert_eq!((card.n, card.groups.iter().map(|group| group.n).sum::<u64>()), (70, 70));
    for (text, what) in [
        (file(|_| 24), "row 1, recipient_id synth_user_01000: slot is 24, and must be from 0 to 23"),
        (file(|_| 9).replacen("synth_user_01003,9\n", "", 1), "no prediction for recipient_id synth_user_01003"),
    ] {
        let error = bench.score("policy", &text, &Options::default()).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    let none = Bench::new(Run::new("email", 31, &[("population.users", "70")]));
    assert!(none.score("policy", &file(|_| 9), &Options::default()).unwrap_err().contains("has no policy"));
}

#[test]
fn estimates_are_held_against_the_truth() {
    let bench = bench("{explore: {share: 0.1}, holdout: {share: 0.1}}");
    let head = "target,estimator,estimate,low,high\n";
    let score = |rows: &str| bench.score("ope", &format!("{head}{rows}"), &Options::default());
    let card = score("oracle,mine,0.5,0.2,0.8\nscheduled,mine,0.9,0.89,0.91\n").unwrap();
    let group = |name: &str| &card.groups.iter().find(|group| group.name == name).unwrap().values;
    let (oracle, scheduled) = (group("mine of oracle"), group("mine of scheduled"));
    assert!((oracle["covered"], scheduled["covered"]) == (1.0, 0.0) && oracle["truth"] > scheduled["truth"]);
    assert!(scheduled["z"] > 10.0 && (oracle["error"] - (0.5 - oracle["truth"])).abs() < 1e-12);
    assert_eq!(card.metric(Predictor::Model, "coverage").unwrap().value, 0.5);
    // A table of slots may have been written by a spreadsheet or a library of doubles.
    let tables = tempfile::tempdir().unwrap();
    let truth = |name: &str, text: String| {
        let path = tables.path().join(name);
        std::fs::write(&path, text).unwrap();
        let card = score(&format!("{},mine,0.5,0,1\n", path.display()))?;
        Ok::<f64, String>(card.groups[0].values["truth"])
    };
    let nines = truth("nines.csv", file(|_| 9)).unwrap();
    assert_eq!(truth("nines.tsv", file(|_| 9).replace(',', ";").replace(";9", ";9.0")), Ok(nines));
    assert!(truth("nines.csv", file(|_| 9).replace(",9", ",9.5")).unwrap_err().contains("`9.5` is not a slot"));
    assert!(truth("nines.jsonl", "{}".into()).unwrap_err().contains("slots are read from CSV alone"));
    for (rows, what) in [
        ("orcle,mine,0.5,0.2,0.8\n", "row 1, target: `orcle` is no policy"),
        ("oracle,mine,0.5,0.6,0.8\n", "row 1, low and high"),
        ("oracle,mine,0.5,0.2,0.8\noracle,mine,0.5,0.2,0.8\n", "row 2: mine of oracle is in row 1 too"),
        ("", "has no rows"),
    ] {
        let error = score(rows).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}
