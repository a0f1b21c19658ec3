//! The volumes of `email` in expectation.

use crate::generator::ExpectedGroup;
use populace_core::email::laws::{Expectation, Volumes};
use populace_core::email::{EmailModel, EventType, Persona};

/// Messages sent to one recipient, unless circuit breakers stop some: what tables are sized by.
pub(super) fn sent_to_one(model: &EmailModel) -> f64 {
    let config = model.config();
    let blasts: f64 = model.blasts().iter().map(|blast| blast.share).sum();
    f64::from(config.window.days) * (config.sends.per_day * model.mean_volume() + model.triggered_per_day()) + blasts
}

/// What a model is expected to bring forth.
pub(super) fn of(model: &EmailModel) -> Vec<ExpectedGroup> {
    const CHAIN: [EventType; 4] = [EventType::Sent, EventType::Delivered, EventType::Opened, EventType::Clicked];
    let expectation = Expectation::new(model);
    let total = expectation.total();
    let by_type = EventType::ALL.iter().filter(|kind| total.of(**kind) > 0.0).map(|kind| (kind.name().to_owned(), vec![total.of(*kind)]));
    let of_persona = |(persona, (volumes, &users)): (&Persona, (&Volumes, &f64))| {
        let chain = CHAIN.iter().map(|kind| users * volumes.of(*kind));
        (persona.name.clone(), [users, users * volumes.total()].into_iter().chain(chain).collect())
    };
    let columns = ["users", "events"].into_iter().chain(CHAIN.map(EventType::name)).map(str::to_owned).collect();
    vec![
        ExpectedGroup {
            title: "events".into(),
            columns: vec!["expected".into()],
            rows: by_type.chain([("all".to_owned(), vec![total.total()])]).collect(),
        },
        ExpectedGroup {
            title: "by persona".into(),
            columns,
            rows: model.personas().iter().zip(expectation.personas.iter().zip(&expectation.users)).map(of_persona).collect(),
        },
    ]
}
