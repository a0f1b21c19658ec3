//! Opens and clicks: the ceilings are right, and what is scored is what was asked.

use super::Bench;
use crate::support::{MIXTURE, Run, SEASONS, actors};
use populace_analysis::email::{EVENT_COLUMNS, History, Inference, Law};
use populace_analysis::score::{Estimate, Options, Predictor, Scorecard, Threshold};
use populace_analysis::source::{As, Columns, Side, Want};
use populace_core::email::EmailModel;
use populace_core::time::{HOUR, Instant, MINUTE};
use std::fmt::Write;
use std::fs;

/// A row that was scored.
#[derive(Clone, Debug)]
pub(super) struct Row {
    id: String,
    pub(super) label: bool,
    pub(super) observable: f64,
    pub(super) latent: f64,
}

/// The message ids of a run that have an event of a type.
fn ids(run: &Run, event_type: &str) -> Vec<String> {
    let wants = [Want::nullable("message_id", As::Text), Want::new("event_type", As::Text)];
    let mut ids = Vec::new();
    for batch in run.source().table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let (id, kind) = (batch.text("message_id"), batch.text("event_type"));
        ids.extend((0..batch.num_rows()).filter(|row| kind.value(*row) == event_type).map(|row| id.value(row).to_owned()));
    }
    ids
}

fn file<'a>(rows: impl Iterator<Item = (&'a str, f64)>) -> String {
    let mut text = "message_id,score\n".to_owned();
    for (id, score) in rows {
        writeln!(text, "{id},{score}").unwrap();
    }
    text
}

/// The rows of a task, every one predicted alike.
pub(super) fn rows(bench: &Bench, task: &str) -> (Vec<Row>, Scorecard) {
    let event_type = if task == "open" { "delivered" } else { "opened" };
    let ids = ids(&bench.run, event_type);
    let path = bench.file("rows.csv");
    let options = Options { rows: Some(path.clone()), ..Options::default() };
    let card = bench.score(task, &file(ids.iter().map(|id| (id.as_str(), 0.25))), &options).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("message_id,label,score,p_observable,p_latent"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[2], "0.25");
        Row { id: cells[0].into(), label: cells[1] == "1", observable: cells[3].parse().unwrap(), latent: cells[4].parse().unwrap() }
    };
    let rows: Vec<Row> = lines.map(row).collect();
    assert_eq!((rows.len(), card.n), (ids.len(), ids.len() as u64));
    (rows, card)
}

/// That events happen as often as their probabilities say: the sum of what was predicted is within `bound` standard deviations.
pub(super) fn assert_calibrated(pairs: &[(bool, f64)], bound: f64, what: &str) {
    let expected: f64 = pairs.iter().map(|(_, p)| p).sum();
    let variance: f64 = pairs.iter().map(|(_, p)| p * (1.0 - p)).sum();
    let observed = pairs.iter().filter(|(label, _)| *label).count() as f64;
    let z = (observed - expected) / variance.sqrt().max(1e-9);
    assert!(z.abs() < bound, "{what}: {observed} instead of {expected:.1} of {}, z = {z:.2}", pairs.len());
}

/// The same by bins of the prediction.
pub(super) fn assert_calibrated_by_bin(mut pairs: Vec<(bool, f64)>, what: &str) {
    const BINS: usize = 25;
    pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
    for bin in pairs.chunks(pairs.len().div_ceil(BINS)) {
        // Of 25 bins, twice for two tasks, a normal deviation passes 4.5 once in 1,500 seeds.
        assert_calibrated(bin, 4.5, what);
    }
}

fn model(run: &Run) -> EmailModel {
    run.source().model().unwrap()
}

/// The ceilings of a task are calibrated, and who knows more loses less.
pub(super) fn assert_calibrated_and_ordered(bench: &Bench, task: &str) -> Scorecard {
    let (rows, card) = rows(bench, task);
    assert_calibrated_by_bin(rows.iter().map(|row| (row.label, row.latent)).collect(), "latent");
    assert_calibrated_by_bin(rows.iter().map(|row| (row.label, row.observable)).collect(), "observable");
    let loss = |predictor| card.metric(predictor, "log_loss").unwrap().value;
    let (latent, observable, base) = (loss(Predictor::Latent), loss(Predictor::Observable), loss(Predictor::Base));
    assert!(latent < observable && observable < base, "{latent}, {observable}, {base}");
    card
}

#[test]
fn ceilings_are_calibrated_and_ordered() {
    let with: [(&str, &[(&str, &str)]); 3] = [("email", &[]), ("email-v1", &[]), ("email", &[SEASONS, MIXTURE])];
    for (scenario, set) in with {
        let bench = Bench::new(Run::new(scenario, 11, set));
        for task in ["open", "click"] {
            let card = assert_calibrated_and_ordered(&bench, task);
            let auc = |predictor| card.metric(predictor, "auc").unwrap().value;
            assert!(auc(Predictor::Latent) > auc(Predictor::Observable) && auc(Predictor::Observable) > 0.5);
        }
    }
}

#[test]
fn opens_that_breakers_silence_are_as_many_as_foreseen() {
    // Breakers in numbers, some of them short, so that every part of the law of what is still to come counts.
    let set = [
        ("circuit_breakers.probability", "0.2"),
        ("circuit_breakers.kinds.complaint.hours", "5"),
        ("circuit_breakers.kinds.unsubscribe_request.hours", "30"),
        ("sends.per_day", "3"),
    ];
    for decided_at in ["delivery", "send"] {
        let run = Run::new("email", 12, &[&set[..], &[("engagement.decided_at", decided_at)]].concat());
        let bench = Bench::new(run);
        let (rows, _) = rows(&bench, "open");
        assert_calibrated_by_bin(rows.iter().map(|row| (row.label, row.latent)).collect(), "latent");
        assert_calibrated_by_bin(rows.iter().map(|row| (row.label, row.observable)).collect(), "observable");
        let wants = [Want::new("message_id", As::Text), Want::nullable("p_open", As::Float), Want::nullable("dropped_reason", As::Text)];
        let mut truth = std::collections::HashMap::new();
        for batch in bench.run.source().table("truth/messages").unwrap().read(&wants).unwrap() {
            let batch = batch.unwrap();
            for row in 0..batch.num_rows() {
                let reasons = batch.text("dropped_reason");
                let dropped = reasons.is_valid(row) && reasons.value(row) == "open_suppressed";
                truth.insert(batch.text("message_id").value(row).to_owned(), (batch.float("p_open").value(row), dropped));
            }
        }
        // What is drawn against is the exported p_open: of all opens that were decided for, and of those that were then dropped.
        let decided = |row: &Row| row.label || truth[&row.id].1;
        assert_calibrated(&rows.iter().map(|row| (decided(row), truth[&row.id].0)).collect::<Vec<_>>(), 4.0, "decided");
        let drops: Vec<(bool, f64)> = rows.iter().map(|row| (truth[&row.id].1, truth[&row.id].0 - row.latent)).collect();
        let count = drops.iter().filter(|(dropped, _)| *dropped).count();
        assert!(count > 300, "{count} drops are enough to tell");
        assert_calibrated(&drops, 4.0, "dropped");
    }
}

#[test]
fn the_posterior_of_personas_is_calibrated() {
    let run = Run::new("email", 13, &[("population.users", "1400"), ("window.days", "30"), ("circuit_breakers.probability", "0.1")]);
    let model = model(&run);
    let law = Law::new(&model, Some(13));
    let inference = Inference::new(&law);
    let personas = law.personas().len();
    let mut pairs = Vec::new();
    let (mut sure, mut users) = (0.0, 0.0);
    for events in actors(&run.source(), "recipient_id", Side { table: "events", wants: &EVENT_COLUMNS, time: Some("timestamp") }) {
        let history = History::new(law.model(), &events);
        let own = law.persona_of(&history.recipient_id).unwrap();
        // In the middle of the run, so that some messages are still open.
        let middle = law.config().window.start.plus(15).midnight().plus(13 * HOUR);
        let mut filter = inference.filter(&history);
        for day in 1..15 {
            // Asking on the way changes nothing.
            filter.before(law.config().window.start.plus(day).midnight()).unwrap();
        }
        let weights = filter.before(middle).unwrap();
        let at_once = inference.filter(&history).before(middle).unwrap();
        assert!(weights.iter().zip(&at_once).all(|(a, b)| (a - b).abs() < 1e-9));
        pairs.extend((0..personas).map(|persona| (persona == own, weights[persona])));
        sure += weights[own];
        users += 1.0;
    }
    assert!(sure / users > 0.3, "the posterior learns: {}", sure / users);
    assert_calibrated_by_bin(pairs, "persona");
}

#[test]
fn a_filter_that_knows_the_persona_gives_the_latent_ceiling() {
    let bench = Bench::new(Run::new("email", 14, &[("population.users", "70"), ("drift", "null")]));
    let (rows, _) = rows(&bench, "open");
    let known: std::collections::HashMap<&str, f64> = rows.iter().map(|row| (row.id.as_str(), row.latent)).collect();
    let model = model(&bench.run);
    let law = Law::new(&model, Some(14));
    let inference = Inference::new(&law);
    let mut messages = 0;
    for events in actors(&bench.run.source(), "recipient_id", Side { table: "events", wants: &EVENT_COLUMNS, time: Some("timestamp") }) {
        let history = History::new(law.model(), &events);
        let own = law.persona_of(&history.recipient_id).unwrap();
        let mut prior = vec![0.0; law.personas().len()];
        prior[own] = 1.0;
        let mut delivered: Vec<_> = history.messages.iter().filter(|message| message.delivered.is_some()).collect();
        delivered.sort_by_key(|message| message.delivered);
        let mut filter = inference.filter_from(&history, &prior);
        for message in delivered {
            let time = message.delivered.unwrap();
            let weights = filter.before(time).unwrap();
            let unsuppressed = inference.open_unsuppressed(0, &history, time);
            let p: f64 = (0..prior.len()).map(|k| weights[k] * law.p_open(&model.typical(k), message).unwrap() * unsuppressed[k]).sum();
            let id = format!("{:032x}", message.id);
            let id = format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
            assert!((p - known[id.as_str()]).abs() < 1e-12);
            messages += 1;
        }
    }
    assert_eq!(messages, rows.len());
}

#[test]
fn delays_are_those_of_the_simulation() {
    for law in [("open_delay", "attention"), MIXTURE] {
        delays_are_simulated_as_they_are_known(law);
    }
}

fn delays_are_simulated_as_they_are_known(law: (&str, &str)) {
    let run = Run::new("email", 15, &[("population.users", "1"), ("timezone", "UTC+05:30"), law]);
    let model = model(&run);
    let law = Law::new(&model, None);
    let clicks = &model.config().click_delays;
    // P(click delay ≤ x): the least delay and an exponential, truncated at the greatest.
    let share = |x: f64| -(-(x - clicks.min_minutes).max(0.0) / clicks.mean_minutes).exp_m1();
    for start in [0, 59 * MINUTE + 1_234_000, 31 * HOUR, 167 * HOUR + 30 * MINUTE] {
        let from = model.config().window.start.midnight().plus(start);
        let (open, click) = (law.open_delay(0, from), law.click_delay(from));
        for minutes in [0.0, 0.5, 1.5, 17.0, 30.0, 31.0, 59.9, 61.0, 600.0, 2879.0, 2880.0, 4000.0, 20_000.0, 43_201.0] {
            let time = Instant(from.0 + (minutes * MINUTE as f64) as i64);
            for persona in 0..law.personas().len() {
                let expected = model.open_delay_cdf(persona, from, minutes);
                assert!((open.cdf(persona, time) - expected).abs() < 1e-9, "{start} {minutes} {persona}");
            }
            let expected = share(minutes.min(clicks.max_minutes)) / share(clicks.max_minutes);
            assert!((click.cdf(0, time) - expected).abs() < 1e-9, "{start} {minutes}");
        }
    }
}

#[test]
fn the_truth_has_all_of_the_gain_and_the_base_rate_none() {
    let bench = Bench::new(Run::new("email", 16, &[("population.users", "105")]));
    for task in ["open", "click"] {
        let (rows, _) = rows(&bench, task);
        let score = |value: &dyn Fn(&Row) -> f64| {
            bench.score(task, &file(rows.iter().map(|row| (row.id.as_str(), value(row)))), &Options::default()).unwrap()
        };
        let share = |card: &Scorecard, ceiling| card.gain(ceiling).unwrap().share.value;
        let same = |card: &Scorecard, predictor, tolerance: f64| {
            for (name, estimate) in &card.column(predictor).unwrap().metrics {
                let of_model = card.metric(Predictor::Model, name).unwrap();
                assert!((of_model.value - estimate.value).abs() < tolerance, "{name}: {of_model:?} instead of {estimate:?}");
            }
        };
        let observable = score(&|row| row.observable);
        assert!((share(&observable, Predictor::Observable) - 1.0).abs() < 1e-9);
        assert!(share(&observable, Predictor::Latent) < 1.0);
        same(&observable, Predictor::Observable, 1e-12);
        let latent = score(&|row| row.latent);
        assert!((share(&latent, Predictor::Latent) - 1.0).abs() < 1e-9);
        assert!(share(&latent, Predictor::Observable) > 1.0);
        assert!(latent.gain(Predictor::Latent).unwrap().share.standard_error.unwrap() < 1e-9);
        let rate = rows.iter().filter(|row| row.label).count() as f64 / rows.len() as f64;
        let base = score(&|_| rate);
        assert!(share(&base, Predictor::Observable).abs() < 1e-9 && share(&base, Predictor::Latent).abs() < 1e-9);
        assert_eq!(base.metric(Predictor::Model, "auc").unwrap().value, 0.5);
        // Who peeks at the outcome is found out; who knows as much as can be known is not.
        let leak = score(&|row| if row.label { 0.98 } else { 0.02 });
        assert!(leak.notes.iter().any(|note| note.contains("standard errors above 100%") && note.contains("leak")), "{:?}", leak.notes);
        assert!(observable.notes.is_empty(), "{:?}", observable.notes);
        // A model half way between the two has more than half of the gain.
        let half = score(&|row| 0.5 * (row.observable + rate));
        let Estimate { value, standard_error } = half.gain(Predictor::Observable).unwrap().share;
        assert!(value >= 0.5 && standard_error.unwrap() > 0.0, "log-loss is convex: {value} ± {standard_error:?}");
        // Ranks alone are scored alike, whatever the scale.
        let order = bench.score(
            task,
            &file(rows.iter().map(|row| (row.id.as_str(), 100.0 * row.observable - 7.0))),
            &Options { ranks: true, ..Options::default() },
        );
        let order = order.unwrap();
        assert_eq!(order.metric(Predictor::Model, "auc"), observable.metric(Predictor::Model, "auc"));
        assert!(order.gains.is_empty() && order.metric(Predictor::Model, "log_loss").is_none());
    }
}

#[test]
fn standard_errors_of_the_gain_cover_what_varies_from_run_to_run() {
    // The same model, ignorant of who opens, on many runs: its share of the gain varies as its standard errors say.
    let mut shares = Vec::new();
    for seed in 0..24 {
        let bench = Bench::new(Run::new("email-v1", seed, &[("population.users", "70"), ("window.days", "40")]));
        let (rows, _) = rows(&bench, "open");
        let text = file(rows.iter().map(|row| (row.id.as_str(), 0.5 * row.latent + 0.5 * 0.33)));
        let card = bench.score("open", &text, &Options::default()).unwrap();
        let share = card.gain(Predictor::Latent).unwrap().share;
        shares.push((share.value, share.standard_error.unwrap()));
    }
    let n = shares.len() as f64;
    let mean = shares.iter().map(|(value, _)| value).sum::<f64>() / n;
    let variance = shares.iter().map(|(value, _)| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let stated = shares.iter().map(|(_, error)| error * error).sum::<f64>() / n;
    // A ratio of variances with 23 degrees of freedom lies within 0.3 to 2.4 in all but one of 2,000 cases.
    assert!((0.3..2.4).contains(&(variance / stated)), "{variance} and {stated}");
}

#[test]
fn bad_predictions_are_named() {
    let bench = Bench::new(Run::new("email", 17, &[("population.users", "20"), ("window.days", "20"), ("delivery.probability", "0.9")]));
    let (sent, delivered, opened) = (ids(&bench.run, "sent"), ids(&bench.run, "delivered"), ids(&bench.run, "opened"));
    let lost = sent.iter().find(|id| !delivered.contains(id)).unwrap();
    let unopened = delivered.iter().find(|id| !opened.contains(id)).unwrap();
    let good = |skip: usize| file(delivered.iter().skip(skip).map(|id| (id.as_str(), 0.5)));
    let error = |task, text: &str| bench.score(task, text, &Options::default()).unwrap_err();
    assert!(bench.score("open", &good(0), &Options::default()).is_ok());

    let missing = error("open", &good(5));
    assert!(missing.contains(&format!("no prediction for message_id {}", delivered[0])), "{missing}");
    assert!(missing.contains("and 2 more; every delivered message must have one") && missing.contains("--subset"), "{missing}");
    let subset = bench.score("open", &good(5), &Options { subset: true, ..Options::default() }).unwrap();
    assert_eq!((subset.n, subset.counts["without a prediction"]), (delivered.len() as u64 - 5, 5));

    let unknown = error("open", &format!("{}{lost},0.5\n", good(0)));
    assert!(unknown.contains(&format!("{lost} in row {} is not a delivered message of the run", delivered.len() + 1)), "{unknown}");
    let of_clicks = file(opened.iter().chain([unopened]).map(|id| (id.as_str(), 0.5)));
    let unknown = error("click", &of_clicks);
    assert!(unknown.contains(&format!("{unopened} in row {} is not an opened message", opened.len() + 1)), "{unknown}");

    let repeated = error("open", &format!("{}{},0.5\n", good(0), delivered[3]));
    assert!(repeated.contains(&format!("{} in rows 4 and {}", delivered[3], delivered.len() + 1)), "{repeated}");
    for (score, what) in [
        ("NaN", "score is NaN, and must be a finite number"),
        ("inf", "score is inf, and must be a finite number"),
        ("1.5", "score is 1.5, and must be a probability from 0 to 1\nhint: pass --ranks"),
        ("", "row 2, column score: is empty, and must be a number"),
        ("high", "row 2, column score: `high` is not a number"),
    ] {
        let text = good(0).replacen(&format!("{},0.5", delivered[1]), &format!("{},{score}", delivered[1]), 1);
        let error = error("open", &text);
        assert!(error.contains("predictions.csv: row 2") && error.contains(what), "{error}");
    }
    assert!(error("open", "message_id,score\n").contains("has no rows"));
    assert!(error("open", "message_id,p\n1,2\n").contains("has no column score"));
    assert!(!bench.file("rows.csv").exists());

    // A prediction that is certain and wrong is counted.
    let certain = file(delivered.iter().map(|id| (id.as_str(), 0.0)));
    let card = bench.score("open", &certain, &Options::default()).unwrap();
    assert_eq!(card.counts["predicted impossible, and happened"], opened.len() as u64);

    // A threshold of what is not there.
    let threshold = Threshold { option: "--max-log-loss".into(), metric: "log_loss".into(), is_least: false, bound: 1.0 };
    let options = Options { ranks: true, thresholds: vec![threshold], ..Options::default() };
    assert!(bench.score("open", &good(0), &options).unwrap_err().contains("--max-log-loss: open has no log_loss here"));
}

#[test]
fn a_run_of_another_kind_or_without_truth_is_named() {
    let text = "message_id,score\n018cc251-f400-7cde-8f00-0123456789ab,0.5\n";
    let churn = Bench::new(Run::new("churn", 1, &[("population.users", "5"), ("window.days", "10")]));
    assert!(churn.score("open", text, &Options::default()).unwrap_err().contains("is a run of churn; open is scored on runs of email"));
}
