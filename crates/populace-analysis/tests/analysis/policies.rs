//! Policies: their runs verify, a policy that was learned is worth what it should be, and estimators come out as theirs is known to.

use crate::support::{self, Run};
use populace_analysis::families::{policy_evaluate, policy_learn, policy_value, verify};
use populace_analysis::policy::{Candidate, Evaluate, Evaluation, Reward, Rule};
use populace_analysis::verify::{DEFAULT_ALPHA, Verdict};
use populace_analysis::watch::Watch;
use populace_core::time::Date;
use populace_io::document::Resolved;
use std::fmt::Write as _;

const OPEN: &str = "open";

fn document(policy: &str, users: &str) -> Resolved {
    support::document("email", &[("policy", policy), ("population.users", users)])
}

fn candidate(policy: &str, users: &str) -> Candidate {
    Candidate { name: policy.to_owned(), document: document(policy, users) }
}

fn reward(text: &str) -> Reward {
    text.parse().unwrap()
}

#[test]
fn runs_of_policies_verify() {
    for policy in [
        "{}",
        "{explore: {share: 0.1}}",
        "{base: {type: softmax, temperature: 0.3}, skip: 0.2, holdout: {share: 0.1}}",
        "{base: {type: oracle}, window: week, explore: {share: 0.2, unit: user}}",
        "{base: {type: uniform}, window: next_24h, caps: {per_day: 1, min_gap_hours: 16, quiet_hours: {from: 21, until: 8}}}",
    ] {
        let run = Run::of(&document(policy, "140"), 5);
        let source = run.source();
        let report = verify(&source, &source.scenario().unwrap(), DEFAULT_ALPHA, &Watch::none(2)).unwrap();
        let failed: Vec<_> = report.checks.iter().filter(|check| check.verdict == Verdict::Fail).collect();
        assert!(failed.is_empty(), "{policy}: {failed:#?}");
        assert!(report.checks.iter().any(|check| check.name.starts_with("a decision's propensity") && check.n > 5_000), "{policy}");
    }
}

/// Propensities of another document are not those of the log.
#[test]
fn a_wrong_propensity_is_found() {
    let run = Run::of(&document("{explore: {share: 0.1}}", "70"), 5);
    let source = run.source();
    let report = verify(&source, &document("{explore: {share: 0.12}}", "70"), DEFAULT_ALPHA, &Watch::none(2));
    let mut failed = report.unwrap().checks.into_iter().filter(|check| check.verdict == Verdict::Fail).map(|check| check.name);
    assert!(failed.any(|name| name.starts_with("a decision's propensity")));
}

#[test]
fn what_is_learned_is_worth_more_and_the_usual_mistake_less() {
    let users = "700";
    let run = Run::of(&document("{explore: {share: 0.2}}", users), 5);
    let until = Date::from_ymd(2025, 11, 20);
    let table = |rule: Rule, name: &str| {
        let learned = policy_learn(run.path(), rule, until, &Watch::none(2)).unwrap();
        assert!(learned.slots.len() == 700 && learned.messages > 20_000);
        let mut text = "recipient_id,slot\n".to_owned();
        learned.slots.iter().for_each(|(id, slot)| writeln!(text, "{id},{slot}").unwrap());
        let path = run.path().parent().unwrap().join(format!("{name}-{}.csv", run.path().file_name().unwrap().display()));
        std::fs::write(&path, text).unwrap();
        candidate(&format!("{{base: {{type: table, file: '{}'}}}}", path.display()), users)
    };
    let (best, most) = (table(Rule::BestHour, "best"), table(Rule::MostOpens, "most"));
    let others =
        ["{explore: {share: 0.2}}", "{}", "{base: {type: uniform}}", "{base: {type: oracle}}"].map(|policy| candidate(policy, users));
    let [log, scheduled, uniform, oracle] = others;
    let candidates = [log, scheduled, uniform, oracle, best, most];
    let value = |reward_text: &str, expected: bool| policy_value(&candidates, 5, reward(reward_text), expected, &Watch::none(2)).unwrap();
    let expected = value(OPEN, true);
    let of = |policy: usize| expected.policies[policy].message.value;
    assert!(of(3) > of(4) && of(4) > of(5) && of(5) > of(1) && of(1) > of(2), "{expected}");
    // What happened is its probability, within its error; and has more of it.
    let happened = value(OPEN, false);
    for (probable, real) in expected.policies.iter().zip(&happened.policies) {
        let error = probable.message.standard_error.hypot(real.message.standard_error);
        assert!((probable.message.value - real.message.value).abs() < 4.0 * error, "{probable:?} {real:?}");
        assert_eq!((probable.messages, probable.decisions), (real.messages, real.decisions));
    }
    assert!(expected.differences.iter().all(|of| of.message_variance_ratio > 2.0), "{expected}");
    let (within, click) = (value("open_within:24h", true), value("click", true));
    assert!((1..6).all(|policy| within.policies[policy].message.value < of(policy) && click.policies[policy].message.value < of(policy)));
    // What it is worth does not depend on how many threads there are.
    assert_eq!(policy_value(&candidates, 5, reward(OPEN), true, &Watch::none(1)).unwrap(), expected);
    for file in [&candidates[4], &candidates[5]] {
        std::fs::remove_file(file.document.config["policy"]["base"]["file"].as_str().unwrap()).unwrap();
    }
}

fn evaluated(log: &str, target: &str, seed: u64) -> Evaluation {
    let run = Run::of(&document(log, "350"), seed);
    let target = &candidate(target, "350");
    policy_evaluate(run.path(), &Evaluate { reward: reward(OPEN), from: None, allow_unsupported: false, target }, &Watch::none(2)).unwrap()
}

#[test]
fn estimators_tell_what_another_policy_is_worth() {
    let log = "{explore: {share: 0.1}}";
    for (target, effective) in [
        ("{base: {type: softmax, temperature: 0.4}}", 12_000.0..24_000.0),
        ("{base: {type: uniform}}", 14_000.0..22_000.0),
        ("{base: {type: global_best}}", 1_000.0..2_200.0),
    ] {
        let found = evaluated(log, target, 11);
        assert!((found.mean_weight.value - 1.0).abs() < 4.0 * found.mean_weight.standard_error, "{found}");
        assert!(effective.contains(&found.effective_sample_size), "{found}");
        for of in found.estimators.iter().filter(|of| ["ips", "snips", "dr", "sndr"].contains(&of.estimator.as_str())) {
            assert!(of.z.abs() < 4.0, "{found}");
        }
    }
    // To clip below the inverse propensities loses half, and who only counts where both do the same is confounded.
    let oracle = evaluated(log, "{base: {type: oracle}}", 11);
    let of = |name: &str| oracle.estimators.iter().find(|of| of.estimator == name).unwrap();
    assert!(of("ips_clip").estimate < 0.7 * oracle.truth.value, "{oracle}");
    assert!(of("snips").z.abs() < 4.0 && of("dr").z.abs() < 4.0, "{oracle}");
}

#[test]
fn what_the_log_never_does_is_refused() {
    let run = Run::of(&document("{base: {type: fixed, slot: 9}}", "35"), 5);
    let target = &candidate("{base: {type: uniform}}", "35");
    let how = |allow_unsupported| Evaluate { reward: reward(OPEN), from: None, allow_unsupported, target };
    let refused = policy_evaluate(run.path(), &how(false), &Watch::none(1)).unwrap_err().to_string();
    assert!(refused.contains("95.8%") && refused.contains("--allow-unsupported"), "{refused}");
    assert!(policy_evaluate(run.path(), &how(true), &Watch::none(1)).unwrap().unsupported > 0.95);
    let other = &candidate("{window: week}", "35");
    let how = Evaluate { reward: reward(OPEN), from: None, allow_unsupported: false, target: other };
    assert!(policy_evaluate(run.path(), &how, &Watch::none(1)).unwrap_err().to_string().contains("other windows or slots"));
    let none = Run::new("email", 5, &[("population.users", "35")]);
    assert!(policy_evaluate(none.path(), &how, &Watch::none(1)).unwrap_err().to_string().contains("has no policy"));
}
