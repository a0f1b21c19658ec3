//! What the figures of a report hold, and the page that carries them.

use super::support::Run;
use populace_analysis::families;
use populace_analysis::report::{self, Options, Report};
use populace_analysis::score::{Bin, Column, Estimate, FORMAT, Gain, Metric, Predictor, RunInfo, Scorecard};
use populace_analysis::watch::Watch;
use populace_core::math;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The built-in scenarios with the figures that each has.
const FAMILIES: [(&str, &[&str]); 3] = [
    (
        "email",
        &[
            "funnel-persona",
            "days",
            "campaign",
            "week",
            "open-hour",
            "open-delay",
            "click-delay",
            "recent-sends",
            "hot-path",
            "breaker",
            "open-calibration",
            "latency-minute",
            "latency-hour",
        ],
    ),
    ("traces", &["workflow-graph", "learned", "length", "response-times", "statuses", "session", "cascade", "calls-day"]),
    (
        "churn",
        &[
            "survival-curve",
            "churn-calibration",
            "churn-activity",
            "engagement-spread",
            "engagement-activity",
            "active-day",
            "event-mix",
            "payments-day",
            "revenue-day",
        ],
    ),
];
/// Of the least probable test that may fail by chance.
const CHANCE: f64 = 1e-6;

fn run(scenario: &str) -> Run {
    let set: &[(&str, &str)] = if scenario == "traces" { &[("cascade_failure_rate", "0.2")] } else { &[] };
    Run::new(scenario, 11, set)
}

/// What is verified and scored is tested elsewhere.
fn figures_alone() -> Options {
    Options { verify: false, ..Options::default() }
}

fn ids(report: &Report) -> Vec<String> {
    report.sections.iter().flat_map(|section| section.figures.iter().map(|figure| figure.id.clone())).collect()
}

fn json(report: &Report) -> Value {
    serde_json::to_value(report).expect("a report is JSON")
}

/// Every chart of a report, with the name of its figure and panel.
fn charts(report: &Value) -> Vec<(String, &Value)> {
    let sections = report["sections"].as_array().expect("sections").iter();
    let figures = sections.flat_map(|section| section["figures"].as_array().expect("figures"));
    let panels = figures.flat_map(|figure| {
        let panels = figure["panels"].as_array().expect("panels").iter();
        panels.map(move |panel| (format!("{} {}", figure["id"], panel["name"]), &panel["plot"]))
    });
    panels.filter(|(_, plot)| plot["kind"] == "chart").collect()
}

fn numbers(values: &Value) -> Vec<Option<f64>> {
    values.as_array().map(|values| values.iter().map(Value::as_f64).collect()).unwrap_or_default()
}

fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        fs::copy(from.join(name), to.join(name)).expect("the table is there");
    }
}

/// P(a binomial of `n` and `p` is at least `least`), summed from the far end.
fn at_least(n: usize, p: f64, least: usize) -> f64 {
    let mut term = (1.0 - p).powi(n as i32);
    let mut below = 0.0;
    for k in 0..least.min(n + 1) {
        below += term;
        term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
    }
    1.0 - below
}

#[test]
fn every_family_has_its_figures() {
    for (scenario, expected) in FAMILIES {
        let report = families::report(run(scenario).path(), &figures_alone(), &Watch::none(2)).expect("the run can be shown");
        assert_eq!(ids(&report), expected, "{scenario}");
        assert_eq!(report.notes, [""; 0], "{scenario}");
        for figure in report.sections.iter().flat_map(|section| &section.figures) {
            assert!(figure.caption.ends_with('.') && figure.caption.len() > 40, "{scenario}: {} says what is to be seen", figure.id);
            assert!(!figure.panels.is_empty(), "{scenario}: {}", figure.id);
        }
    }
}

#[test]
fn numbers_lie_within_their_standard_errors_of_what_is_expected() {
    for (scenario, _) in FAMILIES {
        let report = families::report(run(scenario).path(), &figures_alone(), &Watch::none(2)).expect("the run can be shown");
        // What is a mean or a share of a sample has one.
        let bare = report.facts.iter().find(|fact| fact.standard_error.is_none() && serde_json::to_value(fact.format).unwrap() != "count");
        assert!(bare.is_none(), "{bare:?}");
        let known = report.facts.iter().filter_map(|fact| Some((fact, fact.expected?, fact.standard_error?)));
        let known: Vec<_> = known.filter(|(_, _, error)| *error > 0.0).collect();
        assert!(known.len() >= 4, "{scenario}: {:?}", report.facts);
        for (fact, expected, error) in known {
            let z = (fact.value - expected) / error;
            assert!(z.abs() < 4.9, "{scenario}: {}: {} against {expected}, z = {z}", fact.name, fact.value);
        }
    }
}

#[test]
fn two_runs_stand_beside_one_another() {
    let (one, other) = (Run::new("email", 11, &[]), Run::new("email", 12, &[("sends.per_day", "1.6")]));
    let watch = Watch::none(2);
    let both = families::compare(one.path(), other.path(), &figures_alone(), &watch).expect("they can be compared");
    assert_eq!((both.run.seed.as_deref(), both.other.as_ref().and_then(|run| run.seed.as_deref())), (Some("11"), Some("12")));
    assert!(both.notes[0].starts_with("The scenarios differ: sends.per_day: "), "{:?}", both.notes);
    // More is sent, and as much of it is delivered.
    let fact = |name: &str| both.facts.iter().find(|fact| fact.name == name).expect("a fact");
    assert!(fact("messages sent").other.unwrap().z.unwrap() > 10.0);
    assert!(fact("delivered, of sent").other.unwrap().z.unwrap().abs() < 4.0);
    // Every figure has the series of both, and each series as many values as there are places.
    let value = json(&both);
    let names: Vec<String> = ids(&both);
    assert!(FAMILIES[0].1.iter().all(|id| names.iter().filter(|name| name == id).count() == 1), "{names:?}");
    for (name, chart) in charts(&value) {
        let series = chart["series"].as_array().unwrap();
        let of = |letter: &str| series.iter().filter(|one| one["name"].as_str().unwrap().starts_with(letter)).count();
        assert!(of("A: ") > 0 && of("A: ") == of("B: "), "{name}");
        let places = chart["x"]["categories"].as_array().unwrap().len();
        for one in series {
            let expected = if places > 0 { places } else { one["x"].as_array().unwrap().len() };
            assert_eq!(one["y"].as_array().unwrap().len(), expected, "{name}");
        }
    }
    // A run beside itself differs in nothing, and two families cannot be compared.
    let same = families::compare(one.path(), one.path(), &figures_alone(), &watch).expect("they can be compared");
    assert_eq!(same.notes[0], "The scenarios are the same.");
    assert!(same.facts.iter().filter_map(|fact| fact.other?.z).all(|z| z == 0.0));
    let error = families::compare(one.path(), run("churn").path(), &figures_alone(), &watch).unwrap_err().to_string();
    assert!(error.contains("holds data of email") && error.contains("of churn; compare two directories of one family"), "{error}");
}

#[test]
fn captions_give_the_test_of_their_figure() {
    let captions = |path: &Path| {
        let report = families::report(path, &figures_alone(), &Watch::none(2)).expect("the run can be shown");
        let figures = report.sections.into_iter().flat_map(|section| section.figures);
        figures.map(|figure| (figure.id, figure.caption)).collect::<BTreeMap<String, String>>()
    };
    let sound = run("churn");
    for (scenario, _) in FAMILIES {
        let found = captions(run(scenario).path());
        assert!(found.values().any(|caption| caption.contains("p-value of all: 0.")), "{scenario}: {found:?}");
        assert!(!found.values().any(|caption| caption.contains("do not agree")), "{scenario}: {found:?}");
    }
    // The same data beside a document that says otherwise.
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("truth")).unwrap();
    copy(sound.path(), other.path(), &["users.csv", "events.csv", "truth/users.csv"]);
    let document = fs::read_to_string(sound.path().join("scenario.yaml")).unwrap();
    let edited = document.replace("base: 0.15", "base: 0.2");
    assert_ne!(edited, document);
    fs::write(other.path().join("scenario.yaml"), edited).unwrap();
    let found = captions(other.path());
    assert!(found["engagement-activity"].ends_with("below 0.0001: they do not agree."), "{found:?}");
    // Own files: nothing is said of personas, nor of a truth.
    let own = tempfile::tempdir().unwrap();
    copy(run("email").path(), own.path(), &["events.parquet"]);
    let report = json(&families::report(own.path(), &figures_alone(), &Watch::none(2)).expect("the file can be shown"));
    let sections = report["sections"].to_string().replace("funnel-persona", "");
    assert!(!sections.contains("ersona") && !sections.contains("p-value"), "{sections}");
}

#[test]
fn observed_shares_scatter_around_the_true_ones_as_their_intervals_say() {
    for (scenario, _) in FAMILIES {
        let report = json(&families::report(run(scenario).path(), &figures_alone(), &Watch::none(2)).expect("the run can be shown"));
        let (mut points, mut outside) = (0, 0);
        for (figure, chart) in charts(&report) {
            let series = chart["series"].as_array().expect("series");
            for one in series.iter().filter(|one| one["n"].is_array() && one["low"].is_array()) {
                let name = one["name"].as_str().expect("a name").replace("observed", "true");
                let places = numbers(&one["x"]);
                // The truth is the diagonal, or a series of the same name at the same places.
                let truth = if chart["diagonal"].is_string() {
                    places.clone()
                } else {
                    let names = [name.clone(), format!("{name}, true"), format!("{name} law")];
                    let found = series.iter().find(|other| names.iter().any(|name| other["name"] == name.as_str()));
                    match found.filter(|other| numbers(&other["x"]).len() == places.len()) {
                        Some(found) => numbers(&found["y"]),
                        None => continue,
                    }
                };
                let (low, high, n) = (numbers(&one["low"]), numbers(&one["high"]), numbers(&one["n"]));
                assert_eq!(truth.len(), low.len(), "{scenario}: {figure}: {name}");
                for place in 0..truth.len() {
                    // Below some dozens the normal law behind the interval does not hold yet.
                    let (Some(truth), Some(low), Some(high)) = (truth[place], low[place], high[place]) else { continue };
                    let n = n[place].expect("a count");
                    if n * truth.min(1.0 - truth) < 20.0 {
                        continue;
                    }
                    points += 1;
                    outside += usize::from(truth < low || truth > high);
                }
            }
        }
        assert!(points >= 50, "{scenario}: {points} points are compared");
        // Shares of one figure are not wholly independent of those of another, so the level is that of a wider interval.
        assert!(at_least(points, 0.08, outside) > CHANCE, "{scenario}: {outside} of {points} true values lie outside their 95% intervals");
    }
}

#[test]
fn survival_follows_its_law() {
    let run = run("churn");
    let report = json(&families::report(run.path(), &figures_alone(), &Watch::none(2)).expect("the run can be shown"));
    let survival: Vec<&Value> =
        charts(&report).into_iter().filter(|(figure, _)| figure.contains("survival-curve")).map(|(_, chart)| chart).collect();
    assert_eq!(survival.len(), 3, "all users, and each plan");
    for chart in survival {
        let of = |name: &str| {
            let series = chart["series"].as_array().expect("series").iter().find(|one| one["name"] == name);
            series.unwrap_or_else(|| panic!("there is a series {name}"))
        };
        let (seen, truth) = (of("churn dates of the truth"), of("true distribution"));
        let n = numbers(&seen["n"])[0].expect("a count");
        // Dvoretzky, Kiefer and Wolfowitz, with the constant of Massart (1990). Users differ in their probability, which narrows the law.
        let bound = (math::ln(2.0 / CHANCE) / (2.0 * n)).sqrt();
        let pairs: Vec<(f64, f64)> = numbers(&seen["y"])
            .into_iter()
            .zip(numbers(&truth["y"]))
            .map(|pair| (pair.0.expect("a share"), pair.1.expect("a share")))
            .collect();
        assert_eq!(pairs.len(), 121, "every day and the end");
        assert_eq!(pairs[0], (1.0, 1.0));
        let apart = pairs.iter().map(|(seen, truth)| (seen - truth).abs()).fold(0.0, f64::max);
        assert!(apart < bound, "{apart} against {bound}");
        assert!(pairs.windows(2).all(|pair| pair[1].0 <= pair[0].0), "nobody comes back");
        let alone = numbers(&of("from the data alone: last event")["y"]);
        assert!(alone.iter().zip(&pairs).all(|(alone, seen)| alone.expect("a share") <= seen.0 + 1e-12), "no event follows the churn date");
    }
}

#[test]
fn nothing_is_opened_within_a_circuit_breaker() {
    let report = json(&families::report(run("email").path(), &figures_alone(), &Watch::none(2)).expect("the run can be shown"));
    let mut within = 0.0;
    for (figure, chart) in charts(&report).into_iter().filter(|(figure, _)| figure.contains("breaker")) {
        let until = chart["marks"][0]["to"].as_f64().expect("a span");
        let seen = chart["series"].as_array().expect("series").iter().find(|one| one["name"] == "observed").expect("observed shares");
        for ((place, share), n) in numbers(&seen["x"]).into_iter().zip(numbers(&seen["y"])).zip(numbers(&seen["n"])) {
            let (place, Some(share)) = (place.expect("a place"), share) else { continue };
            if place > 0.0 && place < until {
                within += n.expect("a count");
                assert_eq!(share, 0.0, "{figure}, {place} h");
            } else if place < -12.0 {
                assert!(share > 0.1, "{figure}, {place} h: {share}");
            }
        }
    }
    assert!(within > 300.0, "{within} messages were delivered within circuit breakers");
}

#[test]
fn the_page_holds_the_figures_and_reaches_for_nothing() {
    for (scenario, _) in FAMILIES {
        let report = families::report(run(scenario).path(), &figures_alone(), &Watch::none(2)).expect("the run can be shown");
        let (page, json) = report::render(&report).expect("every number is finite");
        assert!(page.len() < 5 << 20, "{scenario}: {} bytes", page.len());
        let begins = page.find(r#"<script type="application/json" id="report">"#).expect("the figures are there");
        let inside = page[begins..].split_once('>').expect("a tag ends").1.split_once("</script>").expect("the script ends").0;
        assert_eq!(serde_json::from_str::<Value>(inside).unwrap(), serde_json::from_str::<Value>(&json).unwrap(), "{scenario}");
        for reach in ["src=\"", "@import", "url(", "fetch(", "XMLHttpRequest", "<link rel=\"stylesheet", "import("] {
            let own = page.replace(report_library(), "");
            assert!(!own.contains(reach), "{scenario}: the page has {reach}");
        }
        assert!(page.contains("default-src 'none'"), "the browser is told to load nothing");
    }
}

fn report_library() -> &'static str {
    include_str!("../../src/report/vendor/echarts.min.js")
}

#[test]
fn a_name_cannot_leave_the_page() {
    let mut report = families::report(run("churn").path(), &figures_alone(), &Watch::none(2)).expect("the run can be shown");
    report.run.name = "</title></script><script>alert(1)</script><!--{{library}}".into();
    let (page, _) = report::render(&report).expect("every number is finite");
    assert_eq!(page.matches("<script>").count(), 2, "the library and the page's own");
    assert!(!page.contains("<!--{{") && page.contains("\\u003c!--{{library}}"));
    assert_eq!(page.matches(report_library()).count(), 1);
}

#[test]
fn files_without_scenario_and_truth_are_shown_with_what_can_be_told() {
    for (scenario, tables, missing) in [
        ("email", &["events.parquet"][..], &["open-calibration"][..]),
        ("traces", &["calls.parquet"], &["learned", "cascade"]),
        ("churn", &["users.csv", "events.csv"], &["churn-calibration", "churn-activity", "engagement-activity"]),
    ] {
        let run = run(scenario);
        let own = tempfile::tempdir().expect("a temporary directory");
        copy(run.path(), own.path(), tables);
        let report = families::report(own.path(), &Options::default(), &Watch::none(2)).expect("the files can be shown");
        let whole = FAMILIES.iter().find(|family| family.0 == scenario).expect("a family").1;
        let expected: Vec<&str> = whole.iter().filter(|id| !missing.contains(id)).copied().collect();
        assert_eq!(ids(&report), expected, "{scenario}");
        assert!(report.notes.iter().any(|note| note.contains("scenario.yaml")), "{scenario}: {:?}", report.notes);
        assert_eq!((&report.run.seed, &report.run.window), (&None, &None));
        let text = json(&report).to_string();
        assert!(!text.contains("\"role\":\"truth\"") && !text.contains(", true\""), "{scenario}: no true curve");
        report::render(&report).expect("every number is finite");
    }
}

#[test]
fn verdicts_come_first_and_failures_before_all() {
    let run = run("email");
    let report = families::report(run.path(), &Options::default(), &Watch::none(2)).expect("the run can be shown");
    let verdicts = report.verdicts.expect("the run is verified");
    assert_eq!(verdicts.failed, 0, "{:?}", verdicts.checks.first());
    assert!(verdicts.passed > 50 && verdicts.checks.len() as u64 == verdicts.passed + verdicts.skipped);

    // The same data held against a scenario in which mail is opened more often.
    let own = tempfile::tempdir().expect("a temporary directory");
    copy(run.path(), own.path(), &["events.parquet", "users.parquet", "scenario.yaml"]);
    let scenario = fs::read_to_string(own.path().join("scenario.yaml")).expect("a scenario");
    let other = scenario.replace("open_rate: 0.35", "open_rate: 0.55");
    assert_ne!(scenario, other);
    fs::write(own.path().join("scenario.yaml"), other).expect("a file");
    let verdicts = families::report(own.path(), &Options::default(), &Watch::none(2))
        .expect("the data can be shown")
        .verdicts
        .expect("the data is verified");
    let order: Vec<&str> = verdicts.checks.iter().map(|check| check.verdict.as_str()).collect();
    assert!(verdicts.failed > 0 && order[..verdicts.failed as usize].iter().all(|verdict| *verdict == "fail"), "{order:?}");
    assert!(verdicts.checks[0].detail.contains("expected"), "{:?}", verdicts.checks[0]);
}

/// A scorecard of a run.
fn scorecard(seed: u64, scenario_digest: &str) -> Scorecard {
    let column = |predictor, loss| Column { predictor, metrics: [("log_loss".to_owned(), Estimate::exact(loss))].into() };
    let gain = |ceiling, share| Gain { metric: "log_loss".into(), ceiling, share: Estimate::exact(share), excess: None };
    Scorecard {
        format: FORMAT,
        task: "open".into(),
        run: RunInfo { scenario: "email".into(), scenario_digest: scenario_digest.into(), seed, users: 350 },
        predictions: "predictions.csv".into(),
        label: "an `opened` row exists".into(),
        n: 100,
        positives: Some(30),
        columns: vec![
            column(Predictor::Model, 0.58),
            column(Predictor::Observable, 0.52),
            column(Predictor::Latent, 0.5),
            column(Predictor::Base, 0.62),
        ],
        metrics: vec![Metric::less("log_loss", "the mean of −ln P(what happened)")],
        gains: vec![gain(Predictor::Observable, 0.4), gain(Predictor::Latent, 1.0 / 3.0)],
        calibration: vec![Bin { low: 0.1, high: 0.4, n: 100, predicted: 0.25, observed: 0.3, standard_error: 0.043 }],
        groups: Vec::new(),
        verdicts: Vec::new(),
        counts: BTreeMap::new(),
        notes: Vec::new(),
    }
}

#[test]
fn scores_stand_beside_their_ceilings() {
    let run = run("email");
    let digest = run.source().manifest().expect("a manifest").identity.scenario_digest.clone();
    let own = tempfile::tempdir().expect("a temporary directory");
    let path = own.path().join("card.json");
    let shown = |card: &Scorecard| {
        fs::write(&path, serde_json::to_string(card).expect("a card is JSON")).expect("a file");
        families::report(run.path(), &Options { scores: vec![path.clone()], ..figures_alone() }, &Watch::none(2))
    };
    let scores = shown(&scorecard(11, &digest)).expect("the run can be shown").scores;
    let [score] = scores.as_slice() else { panic!("one score, not {}", scores.len()) };
    assert_eq!((score.file.as_str(), score.task.as_str(), score.n, score.notes.len()), ("card.json", "open", 100, 0));
    let metric = &score.metrics[0];
    assert_eq!((metric.model, metric.observable, metric.latent, metric.base), (Some(0.58), Some(0.52), Some(0.5), Some(0.62)));
    assert_eq!((metric.attained_observable, metric.attained_latent), (Some(0.4), Some(1.0 / 3.0)));
    assert_eq!(score.figures[0].id, "calibration-card-json");

    let other = shown(&scorecard(12, &digest)).expect("the run can be shown").scores;
    assert!(other[0].notes[0].contains("another run: email, seed 12"), "{:?}", other[0].notes);
    let error = shown(&Scorecard { format: FORMAT + 1, ..scorecard(11, &digest) }).expect_err("the format is not known").to_string();
    assert!(error.contains("card.json: is a scorecard of format"), "{error}");
    fs::write(&path, "{}").expect("a file");
    let error = families::report(run.path(), &Options { scores: vec![path.clone()], ..figures_alone() }, &Watch::none(2))
        .expect_err("no card")
        .to_string();
    assert!(error.contains("card.json: is not a scorecard"), "{error}");
}

#[test]
fn what_is_no_data_is_refused() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    let error = families::report(empty.path(), &Options::default(), &Watch::none(2)).expect_err("there is nothing").to_string();
    assert!(error.contains("holds no data that a report can show") && error.contains("recipient_id"), "{error}");
    fs::write(empty.path().join("events.csv"), "user_id,event_time,event_type,watch_minutes,quiz_score,amount\n").expect("a file");
    fs::write(empty.path().join("users.csv"), "user_id,signup_date,is_paid\n").expect("a file");
    let error = families::report(empty.path(), &Options::default(), &Watch::none(2)).expect_err("there are no rows").to_string();
    assert!(error.contains("the table events holds no row"), "{error}");
    let row = "1,0203-01-01 10:00:00,login,,,\n1,2025-01-01 10:00:00,login,,,\n";
    fs::write(empty.path().join("events.csv"), format!("user_id,event_time,event_type,watch_minutes,quiz_score,amount\n{row}"))
        .expect("a file");
    let error = families::report(empty.path(), &Options::default(), &Watch::none(2)).expect_err("a date is wrong").to_string();
    assert!(error.contains("from 0203-01-01 to 2025-01-01") && error.contains("is a date wrong?"), "{error}");
}

/// Klaviyo reports no `sent`, and may be asked for opens and clicks alone.
#[test]
fn messages_exist_from_their_first_event_and_a_report_of_nothing_is_an_error() {
    let report_of = |kinds: &[&str], id: bool| {
        let own = tempfile::tempdir().expect("a temporary directory");
        let mut lines = vec!["recipient_id,timestamp,event_type,message_id".to_owned()];
        for message in 0..40 {
            for (step, kind) in kinds.iter().enumerate().filter(|(step, _)| step + message % 4 < 4) {
                let id = if id { format!("018cc251-f400-7cde-8f00-{message:012x}") } else { String::new() };
                lines.push(format!("r{},2025-10-{:02}T{:02}:00:00Z,{kind},{id}", message % 5, 1 + message % 20, 8 + step));
            }
        }
        fs::write(own.path().join("events.csv"), lines.join("\n") + "\n").expect("a file");
        families::report(own.path(), &Options::default(), &Watch::none(2))
    };
    let facts = |report: &Report| -> Vec<(String, f64)> {
        let json = json(report);
        let fact = |fact: &Value| (fact["name"].as_str().unwrap().to_owned(), fact["value"].as_f64().unwrap_or(f64::NAN));
        json["facts"].as_array().unwrap().iter().map(fact).collect()
    };
    for (kinds, opened) in [(&["delivered", "opened", "clicked"][..], 0.75), (&["opened", "clicked"], 1.0)] {
        let report = report_of(kinds, true).expect("messages");
        let facts = facts(&report);
        let value = |name: &str| facts.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name}: {facts:?}")).1;
        assert_eq!((value("messages sent"), value("opened, of delivered")), (40.0, opened), "{kinds:?}");
        assert!(!facts.iter().any(|(name, _)| name == "median latency"), "no time of sending is known: {facts:?}");
        report::render(&report).expect("every number is finite");
    }
    let error = report_of(&["open", "click"], true).expect_err("words that are not known").to_string();
    assert!(error.contains("none of the") && error.contains("opened, clicked"), "{error}");
    let error = report_of(&["opened", "clicked"], false).expect_err("no message").to_string();
    assert!(error.contains("have no message_id"), "{error}");
}
