//! Send times against the exported truth.

use super::Bench;
use crate::support::Run;
use populace_analysis::score::{Options, Predictor};
use populace_analysis::source::{As, Columns, Want};
use std::collections::HashMap;

/// What the truth tables say: open rate × factor by persona and minute, and each recipient's persona.
struct Truth {
    values: HashMap<String, Vec<f64>>,
    personas: Vec<(String, String)>,
}

fn truth(run: &Run) -> Truth {
    let source = run.source();
    let wants = [Want::new("recipient_id", As::Text), Want::new("persona", As::Text), Want::new("open_rate", As::Float)];
    let (mut personas, mut rates) = (Vec::new(), HashMap::new());
    for batch in source.table("truth/users").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let persona = batch.text("persona").value(row).to_owned();
            rates.insert(persona.clone(), batch.float("open_rate").value(row));
            personas.push((batch.text("recipient_id").value(row).to_owned(), persona));
        }
    }
    let wants = [Want::new("persona", As::Text), Want::new("minute_of_week", As::Int), Want::new("factor", As::Float)];
    let mut values: HashMap<String, Vec<f64>> = HashMap::new();
    for batch in source.table("truth/timing").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let persona = batch.text("persona").value(row);
            let Some(rate) = rates.get(persona) else { continue };
            values.entry(persona.to_owned()).or_default().push((rate * batch.float("factor").value(row)).min(0.98));
        }
    }
    Truth { values, personas }
}

fn file(rows: impl Iterator<Item = (String, usize)>) -> String {
    rows.fold("recipient_id,minute_of_week\n".to_owned(), |text, (id, minute)| text + &format!("{id},{minute}\n"))
}

fn best(values: &[f64]) -> usize {
    (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b]).then(b.cmp(a))).unwrap()
}

#[test]
fn a_policy_is_worth_what_the_truth_tables_say() {
    let bench = Bench::new(Run::new("email", 31, &[("population.users", "140"), ("timezone", "UTC-03:00")]));
    let Truth { values, personas } = truth(&bench.run);
    let n = personas.len() as f64;
    let mean = |value: &dyn Fn(&[f64]) -> f64| personas.iter().map(|(_, persona)| value(&values[persona])).sum::<f64>() / n;
    let score = |minute: &dyn Fn(&[f64]) -> usize| {
        let rows = personas.iter().map(|(id, persona)| (id.clone(), minute(&values[persona])));
        bench.score("send_time", &file(rows), &Options::default()).unwrap()
    };
    let always = score(&|_| 1234);
    let of = |predictor, name| always.metric(predictor, name).unwrap().value;
    let value = "expected_open_probability";
    assert!((of(Predictor::Model, value) - mean(&|values| values[1234])).abs() < 1e-12);
    assert!((of(Predictor::Latent, value) - mean(&|values| values[best(values)])).abs() < 1e-12);
    assert!((of(Predictor::Base, value) - mean(&|values| values.iter().sum::<f64>() / 10_080.0)).abs() < 1e-12);
    assert!((of(Predictor::Model, "regret") - (of(Predictor::Latent, value) - of(Predictor::Model, value))).abs() < 1e-12);
    // After a run of a hundred days, who a recipient is has been learned well, and never better than knowing it.
    assert!(of(Predictor::Observable, value) <= of(Predictor::Latent, value));
    assert!(of(Predictor::Observable, value) > of(Predictor::Base, value));
    let learned =
        (of(Predictor::Observable, value) - of(Predictor::Base, value)) / (of(Predictor::Latent, value) - of(Predictor::Base, value));
    assert!(learned > 0.5, "{learned}");

    let oracle = score(&best);
    assert!(oracle.metric(Predictor::Model, "regret").unwrap().value.abs() < 1e-12);
    assert!((oracle.gain(Predictor::Latent).unwrap().share.value - 1.0).abs() < 1e-9);
    assert!(oracle.groups.iter().all(|group| group.values["regret"].abs() < 1e-12));
    assert_eq!(oracle.groups.iter().map(|group| group.n).sum::<u64>(), 140);
}

#[test]
fn bad_policies_are_named() {
    let bench = Bench::new(Run::new("email", 32, &[("population.users", "10"), ("window.days", "5")]));
    let good = file((0..10).map(|user| (format!("synth_user_{:05}", 1_000 + user), 60)));
    let error = |text: &str| bench.score("send_time", text, &Options::default()).unwrap_err();
    for (from, to, what) in [
        (
            "synth_user_01003,60",
            "synth_user_01003,10080",
            "row 4, recipient_id synth_user_01003: minute_of_week is 10080, and must be from 0",
        ),
        ("synth_user_01003,60", "synth_user_01003,-1", "minute_of_week is -1"),
        ("synth_user_01003,60", "synth_user_01003,60.5", "`60.5` is not a whole number"),
        ("synth_user_01003,60", "synth_user_01004,60", "synth_user_01004 in rows 4 and 5"),
        ("synth_user_01003,60", "synth_user_09999,60", "synth_user_09999 in row 4 is not a recipient of the run"),
        ("synth_user_01003,60", "ann@example.com,60", "a text of 15 letters with an @ in row 4 is not a recipient of the run"),
        ("synth_user_01003,60\n", "", "no prediction for recipient_id synth_user_01003; every recipient must have one"),
    ] {
        let error = error(&good.replacen(from, to, 1));
        assert!(error.contains(what), "{error}");
    }
}
