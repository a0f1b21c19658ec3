//! Every bad document is told what is wrong with it.

use super::churn;
use crate::support::{config, with};
use populace_core::churn::{ChurnConfig, ChurnModel};
use populace_core::scenario::Scenario;
use serde_json::{Value, json};

/// What is said of a document, a line for each problem.
fn problems(document: &Value) -> String {
    match ChurnModel::from_config(&config::<ChurnConfig>(document)) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_bad_value_has_its_message() {
    let cases = [
        ("/population/users", json!(0), "population.users: must be from 1 to 1000000000000, got 0"),
        ("/window/days", json!(0), "window.days: must be from 1 to 36500, got 0"),
        ("/window/start", json!("9999-12-01"), "window: must end by 9999-12-31"),
        ("/window/start", json!("0001-02-01"), "window.start: must be at least signup.max_days, 40, after 0001-01-01, got 0001-02-01"),
        ("/paid_ratio", json!(1.5), "paid_ratio: must be from 0 to 1, got 1.5"),
        ("/churn_base_rate", json!(-0.1), "churn_base_rate: must be from 0 to 1, got -0.1"),
        ("/signup/days_divisor", json!(0), "signup.days_divisor: must be from 1 to 36500, got 0"),
        ("/signup/min_days", json!(41), "signup.max_days: must be at least `min_days`, 41, got 40"),
        ("/countries", json!([]), "countries: must have from 1 to 1000 items, got 0"),
        ("/countries/2", json!("IN"), "countries.2: `IN` is named twice"),
        ("/courses/6", json!(""), "courses.6: must not be empty"),
        ("/engagement/alpha", json!(0), "engagement.alpha: must be from 0.1 to 1000, got 0"),
        ("/churn/paid_factor", json!(-1), "churn.paid_factor: must be from 0 to 10, got -1"),
        ("/churn/engagement_power", json!(0), "churn.engagement_power: must be from 0.1 to 10, got 0"),
        ("/churn/max_probability", json!(1.01), "churn.max_probability: must be from 0 to 1, got 1.01"),
        ("/churn/first_day_divisor", json!(1), "churn.first_day_divisor: must be from 2 to 36500, got 1"),
        (
            "/activity/probability/slope",
            json!(0.9),
            "activity.probability.slope: base + slope must be a probability from 0 to 1, got 1.05 (hint: it is the probability of the most \
             engaged)",
        ),
        ("/quiz/probability/base", json!(-0.1), "quiz.probability.base: must be from 0 to 1, got -0.1"),
        (
            "/sessions/max",
            json!(50),
            "sessions.max: 50 sessions of up to 1799 seconds do not fit into the hours from 6 to 24 (hint: lower sessions.max or \
             quiz.delay_seconds.max, or widen the hours)",
        ),
        ("/sessions/min", json!(4), "sessions.max: must be at least `min`, 4, got 3"),
        ("/sessions/to_hour", json!(6), "sessions.to_hour: must be after `from_hour`, 6, got 6"),
        (
            "/video/delay_seconds/min",
            json!(30),
            "video.delay_seconds.min: must be more than enrol.delay_seconds.max, 59, got 30 (hint: the events of a session come in the \
             order login, enrolment, video, quiz)",
        ),
        ("/enrol/delay_seconds/min", json!(0), "enrol.delay_seconds.min: must be from 1 to 86399, got 0"),
        ("/video/minutes/deviation", json!(-1), "video.minutes.deviation: must be from 0 to 100000, got -1"),
        ("/quiz/score/min", json!(101), "quiz.score.max: must be at least `min`, 101, got 100"),
        (
            "/billing/first_day",
            json!(27),
            "billing.attempts: the last of 3 attempts from day 27 comes after day 28 (hint: not every month has days 29 to 31)",
        ),
        ("/billing/attempts", json!(5), "billing.attempts: must be from 1 to 4, got 5"),
        ("/billing/success_probability", json!(2), "billing.success_probability: must be from 0 to 1, got 2"),
        ("/billing/amount", json!(4.999), "billing.amount: must be in whole hundredths, got 4.999"),
        ("/tickets/probability", json!(-1), "tickets.probability: must be from 0 to 1, got -1"),
        ("/tickets/to_hour", json!(25), "tickets.to_hour: must be from 1 to 24, got 25"),
    ];
    for (pointer, value, message) in cases {
        assert_eq!(problems(&with(&churn(), pointer, value)), message, "{pointer}");
    }
}

#[test]
fn a_million_events_of_one_user_are_refused_where_each_user_has_a_million_ids() {
    // A charge, a ticket and four events a session: 26 a day are 949,000 in 36,500 days, and 30 are 1,095,000.
    let document = |sessions: u32, ids: &str| {
        let document = with(&with(&churn(), "/window/days", 36_500), "/sessions/max", sessions);
        with(&document, "/event_ids", ids)
    };
    assert_eq!(problems(&document(6, "per_user")), "");
    assert_eq!(
        problems(&document(7, "per_user")),
        "event_ids: per_user has 999999 numbers for a user's events, and there may be 1095000 in the window (hint: lower window.days or \
         sessions.max, or set event_ids: sequential)"
    );
    assert_eq!(problems(&document(7, "sequential")), "");
    let warnings = |document: &Value| ChurnModel::from_config(&config::<ChurnConfig>(document)).unwrap().warnings().to_vec();
    assert!(warnings(&churn()).is_empty());
    assert!(warnings(&document(3, "sequential"))[0].to_string().starts_with("event_ids: sequential leaks the future"));
}

#[test]
fn all_problems_are_told_at_once() {
    let mut document = churn();
    for (pointer, value) in [("/population/users", json!(0)), ("/churn/paid_factor", json!(99)), ("/billing/attempts", json!(0))] {
        document = with(&document, pointer, value);
    }
    assert_eq!(problems(&document).lines().count(), 3, "{}", problems(&document));
}

#[test]
fn an_unknown_or_missing_key_is_an_error() {
    for pointer in ["", "/population", "/window", "/churn", "/video/minutes/mean", "/enrol/delay_seconds", "/billing"] {
        let mut document = churn();
        document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("extra".into(), json!(1));
        let error = serde_json::from_value::<ChurnConfig>(document).unwrap_err().to_string();
        assert!(error.contains("unknown field `extra`"), "{pointer}: {error}");
    }
    let mut document = churn();
    document["churn"].as_object_mut().unwrap().remove("paid_factor");
    assert!(serde_json::from_value::<ChurnConfig>(document).unwrap_err().to_string().contains("missing field `paid_factor`"));
}

#[test]
fn a_document_survives_being_written_and_read() {
    let config: ChurnConfig = config(&churn());
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(serde_json::from_value::<ChurnConfig>(written).unwrap(), config);
}

/// Every property of a schema by its pointer into the document, references followed.
#[cfg(feature = "schema")]
fn properties<'s>(root: &'s Value, schema: &'s Value, pointer: &str, found: &mut Vec<(String, &'s Value)>) {
    let target = schema.get("$ref").map_or(schema, |reference| root.pointer(&reference.as_str().unwrap()[1..]).unwrap());
    if !pointer.is_empty() {
        found.push((pointer.to_owned(), if target.get("properties").is_some() { target } else { schema }));
    }
    for (name, property) in target.get("properties").and_then(Value::as_object).into_iter().flatten() {
        properties(root, property, &format!("{pointer}/{name}"), found);
    }
}

#[cfg(feature = "schema")]
#[test]
fn the_schema_describes_every_key_and_its_ranges_are_those_that_are_checked() {
    let schema = serde_json::to_value(schemars::schema_for!(ChurnConfig)).unwrap();
    let mut found = Vec::new();
    properties(&schema, &schema, "", &mut found);
    let mut numbers = 0;
    for (pointer, property) in found {
        assert!(property["description"].as_str().is_some_and(|words| words.len() > 10), "{pointer} has no description");
        if !churn().pointer(&pointer).unwrap().is_number() {
            continue;
        }
        numbers += 1;
        let path = pointer[1..].replace('/', ".");
        for (bound, step) in [("minimum", -1.0), ("maximum", 1.0)] {
            let bound = property[bound].as_f64().unwrap_or_else(|| panic!("{pointer} has no {bound}"));
            let beyond = if property["type"] == "integer" { json!((bound + step) as i64) } else { json!(bound + step) };
            match serde_json::from_value::<ChurnConfig>(with(&churn(), &pointer, beyond.clone())) {
                Ok(config) => {
                    let error = ChurnModel::from_config(&config).unwrap_err().to_string();
                    assert!(error.contains(&path), "{pointer} = {beyond}: {error}");
                }
                Err(_) => assert_eq!(beyond, json!(-1), "{pointer}: only what is negative is refused before the check"),
            }
        }
    }
    let constants = crate::mutation::constants(&churn());
    assert_eq!(numbers, constants.iter().filter(|(_, value)| value.is_number()).count());
}
