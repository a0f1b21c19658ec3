//! The laws of the email scenario.

use crate::support::{collect, config, document};
use populace_core::email::{DOCUMENTS, EmailModel, EventType, Truth};
use populace_core::scenario::Scenario;

fn model(name: &str) -> EmailModel {
    let yaml = DOCUMENTS.iter().find(|(known, _)| *known == name).expect("a built-in document").1;
    EmailModel::from_config(&config(&document(yaml))).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_built_in_documents_give_the_volumes_of_the_specification() {
    for (name, low, high) in [("email", 79_500, 83_500), ("email-v1", 68_612, 72_812)] {
        let collected = collect(&model(name), 42, 0..350);
        let mut counts = [0; EventType::NAMES.len()];
        for (_, event) in &collected.rows {
            counts[event.event_type as usize] += 1;
        }
        let total = collected.rows.len();
        assert!((low..high).contains(&total), "{name}: {total}, {counts:?}");
        let messages = collected.truths.iter().filter(|(_, truth)| matches!(truth, Truth::Message(_))).count();
        assert_eq!(messages, counts[EventType::Sent as usize]);
        println!("{name} {total} {counts:?} clipped {}", collected.clipped);
        assert!(collected.rows.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1.time <= pair[1].1.time));
    }
}
