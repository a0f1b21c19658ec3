//! Policies: their runs verify, a policy that was learned is worth what it should be, and estimators come out as theirs is known to.

use crate::support::{self, Run};
use populace_analysis::families::{policy_evaluate, policy_learn, policy_rewards, policy_rounds, policy_value, verify};
use populace_analysis::policy::{Candidate, Estimators, Evaluate, Evaluation, Reward, Rule, Valuation, Values, Wanted};
use populace_analysis::source::{As, Columns, Side, Want};
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

fn valued(candidates: &[Candidate], seed: u64, reward_text: &str, expected: bool, threads: usize) -> Values {
    policy_value(candidates, seed, &Valuation { reward: reward(reward_text), expected, discount: 1.0 }, &Watch::none(threads)).unwrap()
}

fn how(target: &Candidate) -> Evaluate<'_> {
    Evaluate {
        reward: reward(OPEN),
        from: None,
        allow_unsupported: false,
        estimators: Estimators::default(),
        q_hat: None,
        replicates: 0,
        target,
    }
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
    let value = |reward: &str, expected: bool| valued(&candidates, 5, reward, expected, 2);
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
    assert_eq!(valued(&candidates, 5, OPEN, true, 1), expected);
    for file in [&candidates[4], &candidates[5]] {
        std::fs::remove_file(file.document.config["policy"]["base"]["file"].as_str().unwrap()).unwrap();
    }
}

fn evaluated(log: &str, target: &str, seed: u64) -> Evaluation {
    let run = Run::of(&document(log, "350"), seed);
    policy_evaluate(run.path(), &how(&candidate(target, "350")), &Watch::none(2)).unwrap()
}

fn of<'a>(found: &'a Evaluation, estimator: &str) -> &'a populace_analysis::policy::Graded {
    found.estimators.iter().find(|of| of.estimator == estimator).unwrap()
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
    assert!(of(&oracle, "ips_clip").estimate < 0.7 * oracle.truth.value, "{oracle}");
    assert!(of(&oracle, "snips").z.abs() < 4.0 && of(&oracle, "dr").z.abs() < 4.0, "{oracle}");
    assert!(oracle.notes.iter().any(|note| note.contains("below the median inverse propensity")), "{oracle}");
}

#[test]
fn what_the_log_never_does_is_refused() {
    let run = Run::of(&document("{base: {type: fixed, slot: 9}}", "35"), 5);
    let target = &candidate("{base: {type: uniform}}", "35");
    let allowing = |allow_unsupported| Evaluate { allow_unsupported, ..how(target) };
    let refused = policy_evaluate(run.path(), &allowing(false), &Watch::none(1)).unwrap_err().to_string();
    assert!(refused.contains("95.8%") && refused.contains("--allow-unsupported"), "{refused}");
    assert!(policy_evaluate(run.path(), &allowing(true), &Watch::none(1)).unwrap().unsupported > 0.95);
    let other = &candidate("{window: week}", "35");
    let how_other = how(other);
    assert!(policy_evaluate(run.path(), &how_other, &Watch::none(1)).unwrap_err().to_string().contains("other windows or slots"));
    let none = Run::new("email", 5, &[("population.users", "35")]);
    assert!(policy_evaluate(none.path(), &how_other, &Watch::none(1)).unwrap_err().to_string().contains("has no policy"));
}

/// No breakers and no hot paths, so that sends alone couple decisions.
fn plain(policy: &str, users: &str) -> Resolved {
    support::document("email", &[("policy", policy), ("population.users", users), ("circuit_breakers", "null"), ("hot_paths", "null")])
}

/// A slot's worth is that of the simulation: one step from a policy to itself is the policy. Where as much goes out, one step is all;
/// where a half is left out, mail that follows is less tired: 3.5% by the factors of fatigue at Poisson(.8) and Poisson(.4) sends.
#[test]
fn one_step_is_all_but_for_policies_of_volume() {
    let candidates = |log: &str, others: &[&str]| -> Vec<Candidate> {
        let of = |policy: &&str| Candidate { name: (*policy).to_owned(), document: plain(policy, "700") };
        std::iter::once(&log).chain(others).map(of).collect()
    };
    let timing = valued(&candidates("{}", &["{base: {type: oracle}}", "{base: {type: uniform}}"]), 5, OPEN, true, 2);
    for policy in &timing.policies {
        assert!(policy.one_step.unwrap().relative_bias.abs() < 0.004, "{timing}");
    }
    let volume =
        valued(&candidates("{skip: 0.5}", &["{}", "{base: {type: oracle}}", "{caps: {per_day: 1}}", "{window: week}"]), 5, OPEN, true, 2);
    let bias = |policy: usize| volume.policies[policy].one_step.map(|of| (of.relative_bias, of.interference_bias));
    assert!(bias(0).unwrap().0.abs() < 0.012, "{volume}");
    for policy in [1, 2] {
        let (relative, bias) = bias(policy).unwrap();
        assert!((relative - 0.0355).abs() < 0.006 && bias.value > 10.0 * bias.standard_error, "{volume}");
    }
    // Who allows other slots is not one step away.
    assert!(bias(3).is_none() && bias(4).is_none());
    // IPS from the log is of one step, not of the truth; weighing states as well is nearer to it.
    let run = Run::of(&plain("{skip: 0.5}", "700"), 5);
    let target = Candidate { name: "always".to_owned(), document: plain("{}", "700") };
    let found = policy_evaluate(run.path(), &how(&target), &Watch::none(2)).unwrap();
    let step = found.one_step.unwrap();
    let ips = of(&found, "ips");
    assert!((ips.estimate - step.value.value).abs() < 4.0 * ips.standard_error_by_user, "{found}");
    assert!(ips.relative_error > 0.02 && of(&found, "smis").relative_error.abs() < 0.6 * ips.relative_error, "{found}");
}

#[test]
fn rewards_of_those_who_leave_and_of_later_days_count() {
    let document = support::document("email", &[("policy", "{}"), ("population.users", "350"), ("leaving", "{}")]);
    let candidates = [Candidate { name: "a".to_owned(), document }];
    let of = |reward: &str, expected: bool| valued(&candidates, 5, reward, expected, 2).policies.remove(0);
    for reward in [r#"{"unsubscribe": -20}"#, r#"{"complaint": -60}"#] {
        let (probable, real) = (of(reward, true), of(reward, false));
        let error = probable.user.standard_error.hypot(real.user.standard_error);
        assert!(probable.user.value < 0.0 && (probable.user.value - real.user.value).abs() < 4.0 * error, "{probable:?} {real:?}");
        assert!(probable.one_step.is_none());
    }
    let discounted = |discount: f64| {
        let how = Valuation { reward: reward(OPEN), expected: true, discount };
        policy_value(&candidates, 5, &how, &Watch::none(2)).unwrap().policies.remove(0).user.value
    };
    let (all, half) = (discounted(1.0), discounted(0.97716));
    assert!(discounted(0.0) < 0.01 * all && half > 0.3 * all && half < 0.6 * all, "{all} {half}");
}

/// Short form of 200 logs: `POPULACE_REPLICATES=200` is the long one.
#[test]
fn intervals_have_the_truth_as_often_as_they_say() {
    let replicates: u32 = std::env::var("POPULACE_REPLICATES").map_or(20, |text| text.parse().unwrap());
    let (log, target) = ("{explore: {share: 0.1}}", candidate("{base: {type: softmax, temperature: 0.4}}", "140"));
    let run = Run::of(&document(log, "140"), 11);
    let found = policy_evaluate(run.path(), &Evaluate { replicates, ..how(&target) }, &Watch::none(2)).unwrap();
    let n = f64::from(replicates);
    for name in ["ips", "snips", "dr", "sndr", "dm"] {
        let of = found.replicated.iter().find(|of| of.estimator == name).unwrap();
        assert!(of.bias.abs() < 4.0 * of.sd / n.sqrt() + if name == "dm" { 0.03 } else { 0.0 }, "{found}");
        let least = 0.95 - 3.5 * (0.95f64 * 0.05 / n).sqrt();
        assert!(name == "dm" || (of.coverage > least && of.coverage_by_user > least), "{found}");
    }
    let again = policy_evaluate(run.path(), &Evaluate { replicates, ..how(&target) }, &Watch::none(1)).unwrap();
    assert_eq!(again.replicated, found.replicated);
}

#[test]
fn values_of_ones_own_are_taken_and_checked() {
    let run = Run::of(&document("{explore: {share: 0.5}}", "20"), 11);
    let target = candidate("{base: {type: uniform}}", "20");
    let path = run.path().parent().unwrap().join(format!("q-{}.csv", run.path().file_name().unwrap().display()));
    let evaluated = |text: &str| {
        std::fs::write(&path, text).unwrap();
        policy_evaluate(run.path(), &Evaluate { q_hat: Some(&path), ..how(&target) }, &Watch::none(2)).map_err(|error| error.to_string())
    };
    let log = policy_evaluate(run.path(), &how(&target), &Watch::none(2)).unwrap();
    let wants = [Want::new("recipient_id", As::Text), Want::new("decision_id", As::Text)];
    let batches = support::actors(&run.source(), "recipient_id", Side { table: "decisions", wants: &wants, time: None });
    let of_batch = |batch: &arrow_array::RecordBatch| -> Vec<String> {
        (0..batch.num_rows()).map(|row| batch.text("decision_id").value(row).to_owned()).collect()
    };
    let ids: Vec<String> = batches.iter().flat_map(of_batch).collect();
    let mut text = "decision_id,action,q\n".to_owned();
    for (id, action) in ids.iter().flat_map(|id| (0..24).map(move |action| (id, action))) {
        writeln!(text, "{id},{action},0.25").unwrap();
    }
    let found = evaluated(&text).unwrap();
    assert!((of(&found, "dm").estimate - 0.25).abs() < 1e-12 && of(&found, "ips") == of(&log, "ips"), "{found}");
    for (wrong, what) in [
        (text.replacen(",3,0.25", ",24,0.25", 1), "row 4: action is 24, which is no slot; give 0 to 23"),
        (text.replacen(",3,0.25", ",4,0.25", 1), "action 4 of a decision has two rows"),
        (
            text.lines().filter(|line| !line.ends_with(",3,0.25")).fold(String::new(), |text, line| text + line + "\n"),
            "action 3 of decision",
        ),
    ] {
        let error = evaluated(&wrong).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    std::fs::remove_file(path).unwrap();
}

/// Runs whose recipients have time zones verify, are valued, and tell of another policy as others do.
#[test]
fn policies_work_where_recipients_have_time_zones() {
    let zones = ("timezones", "{zones: {America/New_York: 0.4, Asia/Kolkata: 0.2, Europe/Berlin: 0.4}, known_share: 0.8}");
    let of = |policy: &str, clock: &str| {
        support::document("email", &[("policy", policy), ("population.users", "140"), zones, ("sends.clock", clock)])
    };
    for (policy, clock) in [
        ("{explore: {share: 0.1}}", "recipient"),
        ("{base: {type: oracle}, skip: 0.1, caps: {quiet_hours: {from: 21, until: 8}}, explore: {share: 0.3}}", "recipient"),
        ("{base: {type: uniform}, clock: utc}", "utc"),
    ] {
        let run = Run::of(&of(policy, clock), 5);
        let source = run.source();
        let report = verify(&source, &source.scenario().unwrap(), DEFAULT_ALPHA, &Watch::none(2)).unwrap();
        let failed: Vec<_> = report.checks.iter().filter(|check| check.verdict == Verdict::Fail).collect();
        assert!(failed.is_empty(), "{policy}: {failed:#?}");
    }
    let named = |policy: &str| Candidate { name: policy.to_owned(), document: of(policy, "recipient") };
    let [log, scheduled, oracle] = ["{explore: {share: 0.3}}", "{}", "{base: {type: oracle}}"].map(named);
    let values = valued(&[log.clone(), scheduled.clone(), oracle.clone()], 5, OPEN, true, 2);
    assert!(values.policies[2].message.value > 1.2 * values.policies[1].message.value, "{values}");
    let bias = values.policies[1].one_step.unwrap();
    assert!(bias.interference_bias.value.abs() < 4.0 * bias.interference_bias.standard_error + 0.003, "{values}");
    let run = Run::of(&log.document, 5);
    let card = policy_evaluate(run.path(), &how(&scheduled), &Watch::none(2)).unwrap();
    assert!((card.mean_weight.value - 1.0).abs() < 4.0 * card.mean_weight.standard_error, "{card}");
    for estimator in card.estimators.iter().filter(|of| ["ips", "snips", "dr"].contains(&of.estimator.as_str())) {
        assert!(estimator.z.abs() < 4.0, "{card}");
    }
}

/// What each slot would have been worth is what it was worth where it was taken, of any number of recent sends and in any slot; and by the
/// clock alone it is not, as recent sends, hot paths and circuit breakers are left out there.
#[test]
fn action_values_are_what_happens() {
    let run = Run::of(&document("{base: {type: uniform}}", "70"), 5);
    let file = run.path().join("truth").join("values.csv");
    let made = policy_rewards(run.path(), reward(r#"{"open": 2, "click": 1}"#), &file, &Watch::none(2)).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("decision_id,action,q_open,q_click,q_reward"));
    let rows: Vec<[f64; 3]> = lines
        .map(|line| {
            let mut numbers = line.split(',').skip(2).map(|number| number.parse().unwrap());
            core::array::from_fn(|_| numbers.next().unwrap())
        })
        .collect();
    let wanted = |text: &str| Wanted { reward: reward(text), from: None, target: None };
    let [opens, clicks] = [OPEN, "click"].map(|text| policy_rounds(run.path(), &wanted(text), &Watch::none(2)).unwrap());
    assert_eq!((made.decisions, made.rows), (opens.action.len() as u64, rows.len() as u64));
    assert_eq!(rows.len(), 24 * opens.action.len());
    let z = |of: &dyn Fn(usize) -> Option<(f64, f64)>| {
        let (sum, variance) =
            (0..opens.action.len()).filter_map(of).fold((0.0, 0.0), |(sum, variance), (y, q)| (sum + y - q, variance + q * (1.0 - q)));
        sum / f64::sqrt(variance)
    };
    let taken = |decision: usize| rows[24 * decision + opens.action[decision] as usize];
    let all = z(&|decision| Some((opens.reward[decision], taken(decision)[0])));
    assert!(all.abs() < 4.0, "opens: {all}");
    let clicked = z(&|decision| Some((clicks.reward[decision], taken(decision)[1])));
    assert!(clicked.abs() < 4.0, "clicks: {clicked}");
    for slot in 0..24 {
        let own = z(&|decision| (opens.action[decision] == slot).then(|| (opens.reward[decision], taken(decision)[0])));
        assert!(own.abs() < 4.0, "slot {slot}: {own}");
    }
    for (low, high) in [(0.0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1.0)] {
        let own = z(&|decision| {
            let q = taken(decision)[0];
            (low <= q && q < high).then(|| (opens.reward[decision], q))
        });
        assert!(own.abs() < 4.0, "from {low} to {high}: {own}");
    }
    let by_clock = z(&|decision| {
        let q = opens.expected[24 * decision + opens.action[decision] as usize];
        Some((opens.reward[decision], q.min(1.0)))
    });
    assert!(by_clock < -4.0, "{by_clock}");
    assert!(rows.iter().all(|[open, click, worth]| (2.0 * open + click - worth).abs() < 1e-9 && *click <= *open));
}

/// Who knows the laws learns more from the same log than who does not.
#[test]
fn what_can_be_known_is_worth_more_than_what_is_learned() {
    let users = "210";
    let run = Run::of(&document("{explore: {share: 0.2}}", users), 5);
    let mut files = Vec::new();
    let mut candidates = vec![candidate("{}", users)];
    for rule in [Rule::BestHour, Rule::OracleObservable] {
        let learned = policy_learn(run.path(), rule, Date::from_ymd(2025, 11, 20), &Watch::none(2)).unwrap();
        let mut text = "recipient_id,slot\n".to_owned();
        learned.slots.iter().for_each(|(id, slot)| writeln!(text, "{id},{slot}").unwrap());
        let path = run.path().join(format!("{rule:?}.csv"));
        std::fs::write(&path, text).unwrap();
        candidates.push(candidate(&format!("{{base: {{type: table, file: '{}'}}}}", path.display()), users));
        files.push(path);
    }
    candidates.push(candidate("{base: {type: oracle}}", users));
    let values = valued(&candidates, 5, OPEN, true, 2);
    let of = |policy: usize| values.policies[policy].message.value;
    assert!(of(0) < of(1) && of(1) < of(2) && of(2) <= of(3) + 1e-3, "{values}");
}
