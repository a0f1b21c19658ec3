//! What `from_config` refuses, and what it says.

use super::{email, model};
use crate::support::with;
use populace_core::email::{EmailConfig, EmailModel};
use populace_core::scenario::Scenario;
use serde_json::{Value, json};

/// The problems of a document, as text.
fn problems(document: &Value) -> Vec<String> {
    let config: EmailConfig = serde_json::from_value(document.clone()).unwrap();
    let error = EmailModel::from_config(&config).expect_err("the document is not sound");
    error.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_is_told_at_once_where_it_is() {
    let mut document = email();
    for (pointer, value) in [
        ("/population/users", json!(0)),
        ("/window/days", json!(36_501)),
        ("/personas/night_owl/open_rate", json!(0.1)),
        ("/personas/commuter/peak_hours", json!([8, 24, 8])),
        ("/personas/morning_person/active_days", json!([])),
        ("/esps/klaviyo", json!(-1.0)),
        ("/hot_paths/trigger/campaign", json!("cart")),
        ("/latency/lognormal/sigma", json!(9.0)),
        ("/open_delays/max_minutes", json!(30)),
        ("/ip_networks/0", json!("10.0.0.0/24")),
    ] {
        document = with(&document, pointer, value);
    }
    let expected = [
        "population.users: must be from 1 to 1000000000000, got 0",
        "window.days: must be from 1 to 36500, got 36501",
        "personas.commuter.peak_hours.1: must be from 0 to 23, got 24",
        "personas.morning_person.active_days: must have from 1 to 7 items, got 0",
        "latency.lognormal.sigma: must be from 0 to 2, got 9",
        "personas.commuter.peak_hours.2: 8 is listed twice",
        "personas.night_owl.click_rate: must be at most the open rate, 0.1, got 0.12 (hint: both are shares of delivered messages, and a click \
         needs an open)",
        "esps: a weight must be finite and at least 0, got -1",
        "hot_paths.trigger.campaign: `cart` is not a campaign (hint: choose from abandoned_cart, newsletter, product_reco, promotion, \
         reengagement, welcome_series)",
        "open_delays.max_minutes: must be at least 61: `min_minutes` and 60 more, got 30",
        "ip_networks.0: `10.0.0.0/24` is not reserved for documentation (hint: choose from 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24)",
    ];
    assert_eq!(problems(&document), expected);
}

#[test]
fn a_rate_that_leaves_no_room_for_timing_is_refused() {
    let document = with(&email(), "/personas/highly_engaged/open_rate", 0.8);
    let [problem] = problems(&document).try_into().unwrap();
    assert!(problem.starts_with("personas.highly_engaged.open_rate: allows no timing factor: must be at most 0.7308"), "{problem}");
    // A flat persona needs none.
    model(&with(&email(), "/personas/sporadic/open_rate", 0.8));
}

#[test]
fn bounds_are_checked_one_by_one() {
    for (pointer, value, path) in [
        ("/window/start", json!("1969-12-31"), "window.start"),
        ("/window/start", json!("9999-12-01"), "window.start"),
        ("/personas/sporadic/count", json!(100_000), "personas"),
        ("/personas/sporadic/open_rate", json!(0), "personas.sporadic.open_rate"),
        ("/personas/sporadic/peak_minutes", json!([60]), "personas.sporadic.peak_minutes.0"),
        ("/sends/per_day", json!(501), "sends.per_day"),
        ("/sends/first_hour", json!(24), "sends.first_hour"),
        ("/sends/last_hour", json!(5), "sends.last_hour"),
        ("/sends/night_weight", json!(1.5), "sends.night_weight"),
        ("/campaigns/newsletter/mean_size_kb", json!(0), "campaigns.newsletter.mean_size_kb"),
        ("/campaigns/newsletter/subjects", json!([]), "campaigns.newsletter.subjects"),
        ("/campaigns/newsletter/click_path", json!("news"), "campaigns.newsletter.click_path"),
        (
            "/campaigns/hot_path",
            json!({"name": "", "weight": 1, "type": "promotional", "mean_size_kb": 1, "click_path": "/", "subjects": ["x"]}),
            "campaigns.hot_path",
        ),
        ("/esps", json!({}), "esps"),
        ("/esps/internal", json!(1), "esps.internal"),
        ("/size_factor/low", json!(2), "size_factor"),
        ("/delivery/probability", json!(1.1), "delivery.probability"),
        ("/latency", json!({"uniform": {"low_seconds": 3, "high_seconds": 2}}), "latency.uniform"),
        ("/latency/lognormal/top_of_hour/minutes", json!([60]), "latency.lognormal.top_of_hour.minutes.0"),
        ("/latency/lognormal/weekend/factor", json!(0), "latency.lognormal.weekend.factor"),
        ("/engagement/max_probability", json!(0), "engagement.max_probability"),
        ("/timing/off_peak", json!(-0.1), "timing.off_peak"),
        ("/minute/peak_minutes", json!([60]), "minute.peak_minutes.0"),
        ("/fatigue/factors", json!([]), "fatigue.factors"),
        ("/fatigue/hours", json!(0), "fatigue.hours"),
        ("/drift/amplitude", json!(0.6), "drift.amplitude"),
        ("/open_mixture", json!({"max_minutes": 2_880, "components": [{"weight": 1, "mean_minutes": 240}]}), "open_mixture"),
        ("/calendar", json!([{"name": "", "when": {"date": "12-25"}}]), "calendar.0.name"),
        ("/calendar", json!([{"name": "x, y", "when": {"date": "12-25"}}]), "calendar.0.name"),
        ("/calendar", json!([{"name": "x", "when": {"easter": 1}}, {"name": "x", "when": {"easter": 0}}]), "calendar.1.name"),
        ("/calendar", json!([{"name": "x", "when": {"easter": 400}}]), "calendar.0.when.easter"),
        ("/calendar", json!([{"name": "x", "when": {"date": "13-40"}}]), "calendar.0.when.date"),
        ("/calendar", json!([{"name": "x", "when": {"date": "02-30"}}]), "calendar.0.when.date"),
        ("/calendar", json!([{"name": "x", "when": {"nth": {"month": 13, "weekday": "sun", "n": 1}}}]), "calendar.0.when.nth.month"),
        ("/calendar", json!([{"name": "x", "when": {"nth": {"month": 1, "weekday": "sun", "n": 6}}}]), "calendar.0.when.nth.n"),
        ("/calendar", json!([{"name": "x", "when": {"date": "12-25"}, "days": 0}]), "calendar.0.days"),
        ("/calendar", json!([{"name": "x", "when": {"date": "12-25"}, "open": -0.1}]), "calendar.0.open"),
        ("/calendar", json!([{"name": "x", "when": {"date": "12-25"}, "volume": 101}]), "calendar.0.volume"),
        (
            "/calendar",
            json!([{"name": "x", "when": {"date": "12-25"}, "volume": 100}, {"name": "y", "when": {"date": "12-25"}, "volume": 7}]),
            "calendar",
        ),
        ("/attention/off_peak", json!(0), "attention.off_peak"),
        ("/click_delays/max_minutes", json!(0.5), "click_delays.max_minutes"),
        ("/circuit_breakers/probability", json!(2), "circuit_breakers.probability"),
        ("/circuit_breakers/kinds", json!({}), "circuit_breakers.kinds"),
        ("/circuit_breakers/kinds/complaint/hours", json!(0), "circuit_breakers.kinds.complaint.hours"),
        ("/hot_paths/decay_minutes", json!(0), "hot_paths.decay_minutes"),
        ("/hot_paths/trigger/delay_minutes/high", json!(1_500), "hot_paths.trigger.delay_minutes.high"),
        ("/user_agents", json!([]), "user_agents"),
        ("/ip_networks", json!(["192.0.2.0/24", "192.0.2.0/24"]), "ip_networks.1"),
    ] {
        let mut document = email();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = value;
        let found = problems(&document);
        assert!(found.iter().any(|problem| problem.starts_with(&format!("{path}: "))), "{pointer}: {found:#?}");
    }
}

#[test]
fn keys_that_are_not_known_are_refused() {
    for pointer in ["", "/sends", "/personas/sporadic", "/hot_paths/trigger", "/latency/lognormal"] {
        let mut document = email();
        document.pointer_mut(pointer).unwrap()["unknown"] = json!(1);
        assert!(serde_json::from_value::<EmailConfig>(document).unwrap_err().to_string().contains("unknown"), "{pointer}");
    }
}

#[test]
fn a_mixture_is_checked() {
    for (mixture, path) in [
        (json!({"max_minutes": 60, "components": [{"weight": 1, "mean_minutes": 240}]}), "open_mixture.max_minutes"),
        (json!({"max_minutes": 43_201, "components": [{"weight": 1, "mean_minutes": 240}]}), "open_mixture.max_minutes"),
        (json!({"max_minutes": 2_880, "components": []}), "open_mixture.components"),
        (json!({"max_minutes": 2_880, "components": [{"weight": 0, "mean_minutes": 240}]}), "open_mixture.components"),
        (json!({"max_minutes": 2_880, "components": [{"weight": -1, "mean_minutes": 240}]}), "open_mixture.components.0.weight"),
        (json!({"max_minutes": 2_880, "components": [{"weight": 1, "mean_minutes": 0}]}), "open_mixture.components.0.mean_minutes"),
    ] {
        let mut document = with(&email(), "/open_delay", "mixture");
        document["open_mixture"] = mixture;
        let found = problems(&document);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{document:#?}: {found:#?}");
    }
}
