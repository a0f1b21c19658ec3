//! Histories against the truth that the simulation reveals.

use crate::support::{Run, SEASONS, actors};
use arrow_array::Array;
use populace_analysis::email::{EVENT_COLUMNS, History, Law};
use populace_analysis::source::{As, Columns, Side, Want};
use populace_core::email::{Effects, EmailModel};
use std::collections::HashMap;

/// What is known of a message by id: recent sends, minutes since the hot path, suppressed, and the product of timing, minute, fatigue and
/// hot path.
fn truth(run: &Run) -> HashMap<u128, (i64, Option<f64>, bool, f64, bool)> {
    let wants = [
        Want::new("message_id", As::Uuid),
        Want::nullable("p_open", As::Float),
        Want::new("timing", As::Float),
        Want::new("minute", As::Float),
        Want::new("fatigue", As::Float),
        Want::new("hot_path", As::Float),
        Want::new("suppressed", As::Bool),
        Want::new("recent_sends", As::Int),
        Want::nullable("minutes_since_hot_path", As::Float),
        Want::optional("season", As::Float),
    ];
    let mut known = HashMap::new();
    for batch in run.source().table("truth/messages").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let factor = |name: &str, row: usize| batch.float(name).value(row);
        for row in 0..batch.num_rows() {
            let minutes = batch.float("minutes_since_hot_path");
            let product: f64 = ["timing", "minute", "fatigue", "hot_path"].map(|name| factor(name, row)).iter().product();
            let season = batch.float("season");
            let product = product * if season.is_valid(row) { season.value(row) } else { 1.0 };
            known.insert(
                batch.uuid("message_id").get(row).unwrap(),
                (
                    batch.int("recent_sends").value(row),
                    minutes.is_valid(row).then(|| minutes.value(row)),
                    batch.bool("suppressed").value(row),
                    product,
                    batch.float("p_open").is_valid(row),
                ),
            );
        }
    }
    known
}

#[test]
fn circumstances_told_from_the_events_are_those_of_the_simulation() {
    let plain = [("population.users", "60"), ("sends.per_day", "2")];
    let seasonal = [&plain[..], &[SEASONS, ("timezone", "UTC-08:00")]].concat();
    for (scenario, set) in [("email", &plain[..]), ("email-v1", &plain), ("email", &seasonal)] {
        let run = Run::new(scenario, 3, set);
        let truth = truth(&run);
        let model: EmailModel = run.source().model().unwrap();
        let law = Law::new(&model, Some(3));
        let mut messages = 0;
        for events in actors(&run.source(), "recipient_id", Side { table: "events", wants: &EVENT_COLUMNS, time: Some("timestamp") }) {
            let history = History::new(&model, &events);
            let person = law.person_of(&history.recipient_id).unwrap();
            assert_eq!((history.orphans, history.repeats), (0, 0));
            for message in &history.messages {
                let (recent, minutes, suppressed, product, delivered) = truth[&message.id];
                messages += 1;
                assert_eq!((i64::from(message.recent_sends), message.delivered.is_some()), (recent, delivered));
                if delivered {
                    assert_eq!((message.since_interest, message.suppressed), (minutes, suppressed));
                    let factors = law.factors(&person, message).unwrap();
                    assert!((Effects::product(1.0, &factors) / product - 1.0).abs() < 1e-12, "{factors:?} instead of {product}");
                }
            }
        }
        assert_eq!(messages, truth.len());
    }
}

#[test]
fn personas_are_those_that_the_seed_of_the_data_deals() {
    let run = Run::new("email", 3, &[("population.users", "400")]);
    let source = run.source();
    let model: EmailModel = source.model().unwrap();
    // That of the manifest, whatever the document says; of data without a manifest the document's.
    let mut document = source.scenario().unwrap();
    document.seed = Some(9);
    assert_eq!(source.seed(&document), Some(3));
    let law = Law::new(&model, source.seed(&document));
    let mut recipients = 0;
    for batch in source.table("truth/users").unwrap().read(&[Want::new("recipient_id", As::Text), Want::new("persona", As::Text)]).unwrap()
    {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let persona = law.persona_of(batch.text("recipient_id").value(row)).unwrap();
            assert_eq!(law.personas()[persona].name, batch.text("persona").value(row));
            recipients += 1;
        }
    }
    assert_eq!(recipients, 400);
    assert_eq!(law.persona_of("somebody"), None);
    assert_eq!(Law::new(&model, None).persona_of("synth_user_01000"), None);
}

#[test]
fn a_run_of_other_values_is_refused() {
    let run = Run::new("email", 3, &[("population.users", "10")]);
    let path = run.path().join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let version = format!("\"values_version\": {}", populace_io::VALUES_VERSION);
    assert!(text.contains(&version), "{text}");
    std::fs::write(&path, text.replace(&version, "\"values_version\": 1")).unwrap();
    let told = [run.source().scenario().unwrap_err(), run.source().judged_by(Some("email")).unwrap_err()];
    assert!(told.iter().all(|error| error.to_string().contains("holds values of version 1, and this program makes and knows version 2")));
}
