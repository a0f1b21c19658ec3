//! The volumes of `email` in expectation, as far as they follow from rates alone. How much engagement habits, fatigue and circuit
//! breakers leave does not.

use crate::generator::{Expected, ExpectedGroup};
use populace_core::email::EmailModel;

/// Messages sent to one recipient, unless circuit breakers stop some.
pub(super) fn sent_to_one(model: &EmailModel) -> f64 {
    let config = model.config();
    let triggered = config
        .hot_paths
        .as_ref()
        .map_or(0.0, |hot_paths| hot_paths.probability * hot_paths.trigger.as_ref().map_or(0.0, |trigger| trigger.probability));
    f64::from(config.window.days) * (config.sends.per_day + triggered)
}

/// What a model is expected to bring forth.
pub(super) fn of(model: &EmailModel) -> Expected {
    let config = model.config();
    let users = config.population.users as f64;
    let window = &config.window;
    let mut rows = Vec::new();
    if config.circuit_breakers.as_ref().is_none_or(|law| !law.suppress_sends) {
        let sent = users * sent_to_one(model);
        rows.push(("sent".to_owned(), vec![sent]));
        rows.push(("delivered".to_owned(), vec![sent * config.delivery.probability]));
    }
    let days = users * f64::from(window.days);
    if let Some(law) = &config.circuit_breakers {
        rows.push(("circuit breakers".to_owned(), vec![days * law.probability]));
    }
    if let Some(law) = &config.hot_paths {
        rows.push(("hot paths".to_owned(), vec![days * law.probability]));
    }
    Expected {
        facts: vec![
            ("users".into(), format!("{users}")),
            ("period".into(), format!("{} to {} ({} days)", window.start, window.start.plus(window.days as i32), window.days)),
        ],
        groups: vec![ExpectedGroup { title: "events".into(), columns: vec!["expected".into()], rows }],
    }
}
