//! Churn: the posterior over engagement, the ceilings, and curves.

use super::Bench;
use super::engagement::{assert_calibrated, assert_calibrated_by_bin};
use crate::support::{Run, joined};
use arrow_array::Array;
use populace_analysis::churn::SIDES;
use populace_analysis::churn::score::concordance;
use populace_analysis::churn::{Evidence, Inference, User};
use populace_analysis::score::{Options, Predictor, Scorecard};
use populace_analysis::source::{As, Columns, Side, Want};
use populace_analysis::stats::likelihood_ratio;
use populace_core::churn::ChurnModel;
use populace_core::time::Date;
use std::fmt::Write;
use std::fs;

const START: Date = Date(20_089);

/// A user's truth: id, churn date as a day of the window, engagement.
fn truth(run: &Run) -> Vec<(i64, Option<i32>, f64)> {
    let wants = [Want::new("user_id", As::Int), Want::nullable("churn_date", As::Date), Want::new("engagement", As::Float)];
    let mut users = Vec::new();
    for batch in run.source().table("truth/users").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let (ids, dates) = (batch.int("user_id"), batch.date("churn_date"));
        users
            .extend((0..batch.num_rows()).map(|row| {
                (ids.value(row), dates.is_valid(row).then(|| dates.value(row) - START.0), batch.float("engagement").value(row))
            }));
    }
    users
}

/// What a row of the rows file says: id, label, observable, latent.
type Row = (i64, bool, f64, f64);

/// The rows as of a day, everybody predicted alike.
fn rows(bench: &Bench, as_of: Option<i32>) -> (Vec<Row>, Scorecard) {
    let path = bench.file("rows.csv");
    let options = Options { rows: Some(path.clone()), as_of: as_of.map(|day| START.plus(day)), ..Options::default() };
    let text = truth(&bench.run).iter().fold("user_id,score\n".to_owned(), |text, (id, _, _)| text + &format!("{id},0.25\n"));
    let card = bench.score("churn", &text, &options).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[0].parse().unwrap(), cells[1] == "1", cells[3].parse().unwrap(), cells[4].parse().unwrap())
    };
    (fs::read_to_string(path).unwrap().lines().skip(1).map(row).collect(), card)
}

fn file(rows: impl Iterator<Item = (i64, f64)>) -> String {
    rows.fold("user_id,score\n".to_owned(), |mut text, (id, score)| {
        writeln!(text, "{id},{score}").unwrap();
        text
    })
}

#[test]
fn the_posterior_of_engagement_is_calibrated() {
    // Minutes and scores that are often clipped, so that the atoms count.
    let set = [
        ("population.users", "3000"),
        ("window.days", "40"),
        ("video.minutes.max", "45"),
        ("video.minutes.min", "15"),
        ("quiz.score.max", "80"),
        ("churn_base_rate", "0.7"),
    ];
    let run = Run::new("churn", 41, &set);
    let model: ChurnModel = run.source().model().unwrap();
    let config = model.config();
    let truth_wants = [Want::new("user_id", As::Int), Want::nullable("churn_date", As::Date), Want::new("engagement", As::Float)];
    let truth = Side { table: "truth/users", wants: &truth_wants, time: None };
    let [users, events] = SIDES;
    for as_of in [4, 25] {
        let inference = Inference::new(config, as_of);
        let mut places = [0_u64; 20];
        for row in joined(&run.source(), "user_id", &[users, events, truth]) {
            let user = User::new(row[0].as_ref().unwrap(), row[1].as_ref());
            let truth = row[2].as_ref().unwrap();
            let date = truth.date("churn_date");
            if date.is_valid(0) && date.value(0) - START.0 <= as_of {
                continue;
            }
            let evidence = Evidence::new(config, &user, START.plus(as_of));
            let weights = inference.posterior(&evidence, user.is_paid).unwrap();
            // The place of the true engagement within the posterior, each node standing for the logits around it.
            let e = truth.float("engagement").value(0);
            let values = &inference.engagement().values;
            let node = values.partition_point(|value| *value < e).clamp(1, values.len() - 1);
            let logit = |e: f64| populace_core::math::ln(e / (1.0 - e));
            let share = (logit(e) - logit(values[node - 1])) / (logit(values[node]) - logit(values[node - 1]));
            let below: f64 = weights[..node - 1].iter().sum();
            let place = below + 0.5 * weights[node - 1] + share * 0.5 * (weights[node - 1] + weights[node]);
            places[((place * 20.0) as usize).min(19)] += 1;
        }
        let n: u64 = places.iter().sum();
        // The places of the truth within its posterior are uniform.
        let test = likelihood_ratio(&places, &[n as f64 / 20.0; 20]);
        assert!(n > 1_500 && test.p_value > 1e-4, "{places:?}: {test:?}");
    }
}

#[test]
fn ceilings_are_calibrated_and_ordered() {
    let bench = Bench::new(Run::new("churn", 42, &[("population.users", "3000")]));
    for as_of in [None, Some(-1), Some(75)] {
        let (rows, card) = rows(&bench, as_of);
        assert_calibrated_by_bin(rows.iter().map(|row| (row.1, row.3)).collect(), "latent");
        assert_calibrated_by_bin(rows.iter().map(|row| (row.1, row.2)).collect(), "observable");
        assert_calibrated(&rows.iter().map(|row| (row.1, row.2)).collect::<Vec<_>>(), 4.0, "all");
        // By chance the order may turn only within the standard error of its difference, which is below that of either.
        let loss = |predictor| card.metric(predictor, "log_loss").unwrap();
        let (latent, observable, base) = (loss(Predictor::Latent), loss(Predictor::Observable), loss(Predictor::Base));
        let error = 3.0 * latent.standard_error.unwrap();
        assert!(latent.value < observable.value + error && observable.value < base.value + error);
        assert!(latent.value < base.value);
        let label = |row: &Row| row.1;
        assert_eq!(card.positives, Some(rows.iter().filter(|row| label(row)).count() as u64));
    }
    let (known, _) = rows(&bench, Some(75));
    let gone = truth(&bench.run).iter().filter(|(_, left, _)| left.is_some_and(|left| left <= 75)).count();
    assert_eq!(known.len() + gone, 3_000);
    // Days of data are worth something: knowing more, the observable ceiling comes close to the latent one.
    let distance = |rows: &[Row]| rows.iter().map(|row| (row.2 - row.3).powi(2)).sum::<f64>() / rows.len() as f64;
    assert!(distance(&known) < 0.2 * distance(&rows(&bench, Some(-1)).0));
}

#[test]
fn truth_has_all_of_the_gain_and_the_base_rate_none() {
    let bench = Bench::new(Run::new("churn", 43, &[("population.users", "2000"), ("window.days", "60")]));
    let (rows, _) = rows(&bench, None);
    let score =
        |value: &dyn Fn(&Row) -> f64| bench.score("churn", &file(rows.iter().map(|row| (row.0, value(row)))), &Options::default()).unwrap();
    let share = |card: &Scorecard, ceiling| card.gain(ceiling).unwrap().share.value;
    assert!((share(&score(&|row| row.2), Predictor::Observable) - 1.0).abs() < 1e-9);
    let latent = score(&|row| row.3);
    assert!((share(&latent, Predictor::Latent) - 1.0).abs() < 1e-9);
    let same = |name| latent.metric(Predictor::Model, name).unwrap().value - latent.metric(Predictor::Latent, name).unwrap().value;
    assert!(same("auc").abs() < 1e-12 && same("concordance").abs() < 1e-12 && same("brier").abs() < 1e-12);
    let rate = rows.iter().filter(|row| row.1).count() as f64 / rows.len() as f64;
    assert!(share(&score(&|_| rate), Predictor::Observable).abs() < 1e-9);
}

#[test]
fn survival_curves_are_scored_day_by_day() {
    let bench = Bench::new(Run::new("churn", 44, &[("population.users", "400"), ("window.days", "40")]));
    let model: ChurnModel = bench.run.source().model().unwrap();
    let users = truth(&bench.run);
    let curves = |survival: &dyn Fn(Option<i32>, f64, i32) -> f64| {
        let mut text = "user_id,day,survival\n".to_owned();
        for (id, left, e) in &users {
            for day in 10..40 {
                writeln!(text, "{id},{day},{}", survival(*left, *e, day)).unwrap();
            }
        }
        bench.score("churn", &text, &Options::default()).unwrap()
    };
    let of = |card: &Scorecard, predictor, name: &str| card.metric(predictor, name).unwrap().value;
    // A clairvoyant makes no mistake.
    let known = curves(&|left, _, day| if left.is_some_and(|left| left <= day) { 0.0 } else { 1.0 });
    assert_eq!(of(&known, Predictor::Model, "integrated_brier"), 0.0);
    assert_eq!(of(&known, Predictor::Model, "concordance"), 1.0);
    // The share that is there on each day is the base line.
    let there = |day: i32| users.iter().filter(|(_, left, _)| left.is_none_or(|left| left > day)).count() as f64 / 400.0;
    let base = curves(&|_, _, day| there(day));
    assert!((of(&base, Predictor::Model, "integrated_brier") - of(&base, Predictor::Base, "integrated_brier")).abs() < 1e-12);
    let by_hand = (10..40).map(|day| there(day) * (1.0 - there(day))).sum::<f64>() / 30.0;
    assert!((of(&base, Predictor::Base, "integrated_brier") - by_hand).abs() < 1e-12);
    assert!(base.gains.iter().all(|gain| gain.share.value.abs() < 1e-9) && base.gains.len() == 4);
    assert_eq!(of(&base, Predictor::Model, "concordance"), 0.5);
    // The true law of somebody on the free plan is the latent ceiling, but for those who pay.
    let hazard = |e| populace_core::churn::Hazard::new(model.config(), e, false).probability;
    let law = curves(&|_, e, day| 1.0 - hazard(e) * f64::from(day - 9) / 30.0);
    assert!((of(&law, Predictor::Model, "concordance") - of(&law, Predictor::Latent, "concordance")).abs() < 0.05);
    let free = |by: &str| law.groups.iter().find(|group| group.name == "free").unwrap().values[by];
    assert!((free("log_loss_model") - free("log_loss_latent")).abs() < 1e-9);
}

#[test]
fn concordance_is_that_of_all_pairs() {
    let rows: Vec<(f64, Option<i32>)> =
        (0..60).map(|row: i32| (f64::from((row * 37) % 11), Some((row * 23) % 17).filter(|day| *day < 12))).collect();
    let (mut agree, mut pairs) = (0.0, 0.0);
    for (risk, left) in &rows {
        for (other, stayed) in &rows {
            if left.is_some_and(|left| stayed.is_none_or(|stayed| left < stayed)) {
                pairs += 1.0;
                agree += if risk > other {
                    1.0
                } else if risk == other {
                    0.5
                } else {
                    0.0
                };
            }
        }
    }
    assert!((concordance(&rows).unwrap() - agree / pairs).abs() < 1e-12);
    assert!(concordance(&[(1.0, None), (2.0, None)]).is_none());
}

#[test]
fn bad_predictions_of_churn_are_named() {
    let bench = Bench::new(Run::new("churn", 45, &[("population.users", "20"), ("window.days", "20")]));
    let good = file((1..=20).map(|id| (id, 0.5)));
    let at = |day: i32| Options { as_of: Some(START.plus(day)), ..Options::default() };
    let error = |text: &str| bench.score("churn", text, &at(8)).unwrap_err();
    let staying = truth(&bench.run).into_iter().find(|(_, left, _)| left.is_none()).unwrap().0;
    let line = |id: i64, score: &str| format!("\n{id},{score}\n");
    for (to, what) in [
        (line(staying, "nan"), format!("user_id {staying}: score is NaN")),
        (line(staying, "2"), format!("user_id {staying}: score is 2, and must be a probability")),
        ("\n".to_owned(), format!("no prediction for user_id {staying}; every user who has not churned by 2025-01-09 must have one")),
        (line(777, "0.5"), "777 in row ".to_owned()),
    ] {
        let error = error(&good.replacen(&line(staying, "0.5"), &to, 1));
        assert!(error.contains(&what), "{error}\ninstead of\n{what}");
    }
    let early = bench.score("churn", &good, &at(19)).unwrap_err();
    assert!(early.contains("--as-of: must be from 2024-12-31 to 2025-01-19, got 2025-01-20"), "{early}");
    let curve = |points: &str| error(&format!("user_id,date,survival\n{points}"));
    for (points, what) in [
        ("1,2025-01-09,1\n", "row 1, user_id 1: day 8 is not one of days 9 to 19 (2025-01-10 to 2025-01-20)"),
        ("1,2025-01-10,1.1\n", "survival is 1.1, and must be a probability"),
        ("1,2025-01-10,0.5\n1,2025-01-20,0.6\n", "user_id 1: survival rises from 0.5 on day 9 to 0.6 on day 19"),
        ("1,2025-01-10,0.5\n1,2025-01-10,0.5\n", "user_id 1: day 9 (2025-01-10) appears more than once"),
        ("1,2025-01-10,0.5\n", "user_id 1: the curve must go to the window's end, day 19 (2025-01-20)"),
        ("99,2025-01-20,0.5\n", "user_id 99: no user of the run"),
    ] {
        let error = curve(points);
        assert!(error.contains(what), "{error}\ninstead of\n{what}");
    }
}
