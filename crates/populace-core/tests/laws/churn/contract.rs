//! What users of the scenario rely on: figures, prefixes, replay, pairing.

use super::samples::{Person, Sample, Session, start};
use super::{churn, model};
use crate::support::{collect, config, scaled, with};
use populace_core::churn::{Action, ChurnConfig, ChurnModel, Event, EventType, Row, laws};
use populace_core::scenario::Scenario;
use populace_core::time::Date;
use serde_json::{Value, json};

/// The rows of one actor.
fn rows(model: &ChurnModel, actor: u64) -> Vec<Row> {
    collect(model, 42, [actor]).rows.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn the_default_document_has_the_size_and_the_churn_of_the_specification() {
    let model = model(&churn());
    let expected = model.expectation();
    assert!((expected.any.churn - 0.3149).abs() < 5e-5, "{expected:?}");
    assert!((expected.events() * 2_000.0 - 481_000.0).abs() < 500.0, "{}", expected.events() * 2_000.0);
    assert_eq!(model.population().rows_per_actor, expected.events());
}

/// The mean over people lies within four of its standard errors of what is expected.
fn assert_mean(what: &str, values: &[f64], expected: f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    let bound = 4.0 * (variance / n).sqrt();
    assert!((mean - expected).abs() <= bound, "{what}: {mean} over {n}, expected {expected} ± {bound}");
}

#[test]
fn expectations_are_the_means_of_a_large_simulation() {
    for mode in ["monthly", "daily"] {
        let document = with(&with(&churn(), "/billing/mode", mode), "/window/days", 60);
        let expected = *model(&document).expectation();
        let sample = Sample::new(&document, 7, 25_000);
        let mut active_days = vec![0.0; sample.people.len()];
        let mut sessions = active_days.clone();
        for session in &sample.sessions {
            sessions[session.person] += 1.0;
            active_days[session.person] += f64::from(u8::from(session.place == 0));
        }
        for (is_paid, expected) in [(false, expected.free), (true, expected.paid)] {
            let people = || sample.people.iter().filter(|person| person.user.is_paid == is_paid);
            for (number, name) in EventType::NAMES.iter().enumerate() {
                let count = |person: &Person| person.events.iter().filter(|event| event.action.event_type() as usize == number).count();
                let counts: Vec<f64> = people().map(|person| count(person) as f64).collect();
                assert_mean(name, &counts, expected.events[number]);
            }
            let of_plan = |values: &[f64]| -> Vec<f64> {
                values.iter().zip(&sample.people).filter(|(_, person)| person.user.is_paid == is_paid).map(|(value, _)| *value).collect()
            };
            assert_mean("active days", &of_plan(&active_days), expected.active_days);
            assert_mean("sessions", &of_plan(&sessions), expected.sessions);
            assert_mean("days", &people().map(|person| f64::from(person.days(60))).collect::<Vec<_>>(), expected.days);
            assert_mean("churned", &people().map(|person| f64::from(u8::from(person.truth.churned))).collect::<Vec<_>>(), expected.churn);
        }
        let events: usize = sample.people.iter().map(|person| person.events.len()).sum();
        assert!((events as f64 / 25_000.0 / expected.events() - 1.0).abs() < 0.01, "{events} events");
    }
}

#[test]
fn expectations_hold_for_other_shapes_of_engagement() {
    for (alpha, beta) in [(0.3, 0.4), (1.0, 1.0), (80.0, 40.0)] {
        let document = with(&with(&churn(), "/engagement", json!({"alpha": alpha, "beta": beta})), "/window/days", 2);
        let sample = Sample::new(&document, 8, 100_000);
        let churned = sample.people.iter().filter(|person| person.truth.churned).count() as f64 / 1e5;
        let expected = model(&document).expectation().any.churn;
        assert!((churned - expected).abs() < 4.0 * (expected * (1.0 - expected) / 1e5).sqrt(), "{alpha}, {beta}: {churned}, {expected}");
    }
}

#[test]
fn the_base_solved_for_gives_the_churn_rate_asked_for() {
    let document = with(&churn(), "/window/days", 1);
    let config: ChurnConfig = config(&document);
    for target in [0.1, 0.2, 0.5] {
        let base = laws::base_for_target(&config, target).unwrap();
        let solved = with(&document, "/churn_base_rate", base);
        assert!((model(&solved).expectation().any.churn - target).abs() < 1e-12);
        let churned = collect(&model(&solved), 9, 0..400_000).truths.iter().filter(|(_, truth)| truth.churned).count();
        assert!((churned as f64 / 400_000.0 / target - 1.0).abs() < 0.01, "{churned} for {target}");
    }
    assert_eq!(laws::base_for_target(&config, 0.0).unwrap(), 0.0);
    let error = laws::base_for_target(&config, 0.93).unwrap_err();
    assert!(error.to_string().starts_with("churn_base_rate: no base rate gives a churn rate of 0.93: a base of 1 gives 0.7885"), "{error}");
    assert!(laws::base_for_target(&config, f64::NAN).is_err());
}

#[test]
fn a_user_alone_is_the_user_of_the_full_run_however_many_there_are() {
    let few = collect(&model(&churn()), 42, 0..40).rows;
    let many = model(&with(&churn(), "/population/users", 1_000_000));
    for actor in [0, 17, 39] {
        let of_run: Vec<Row> = few.iter().filter(|(of, _)| of.0 == actor).map(|(_, row)| *row).collect();
        assert_eq!(rows(&many, actor), of_run);
    }
}

#[test]
fn more_days_leave_the_days_before_churn_as_they_were() {
    let [short, long] = [60, 120].map(|days| Sample::new(&with(&churn(), "/window/days", days), 42, 300));
    for (a, b) in short.people.iter().zip(&long.people) {
        assert_eq!((a.truth.churned, a.truth.churn_prob), (b.truth.churned, b.truth.churn_prob), "who churns does not depend on days");
        let days = a.days(60).min(b.days(120)) as i32;
        let until = start().plus(days).midnight();
        let early = |events: &[Event]| -> Vec<_> { events.iter().filter(|event| event.event_time < until).copied().collect() };
        assert_eq!(early(&a.events), early(&b.events));
    }
}

/// The rows of some users of two documents.
fn pair(document: &Value, changed: &Value) -> [Vec<Row>; 2] {
    [document, changed].map(|document| (0..200).flat_map(|actor| rows(&model(document), actor)).collect())
}

/// Whether a row belongs to the mechanism that is changed.
type Own = fn(Action) -> bool;

#[test]
fn a_parameter_of_one_mechanism_leaves_the_rows_of_all_others_alone() {
    let is_charge = |action: Action| action.amount_cents().is_some();
    let cases: [(&str, f64, Own); 6] = [
        ("/enrol/probability", 1.3, |action| matches!(action, Action::CourseEnroll { .. })),
        ("/video/probability/base", 1.1, |action| matches!(action, Action::VideoWatch { .. })),
        ("/quiz/probability/slope", 0.5, |action| matches!(action, Action::QuizAttempt { .. })),
        ("/quiz/score/mean/base", 0.9, |action| matches!(action, Action::QuizAttempt { .. })),
        ("/tickets/probability", 2.0, |action| action == Action::SupportTicket),
        ("/billing/success_probability", 0.9, is_charge),
    ];
    for (pointer, factor, own) in cases {
        let [before, after] = pair(&churn(), &scaled(&churn(), pointer, factor));
        let others = |rows: &[Row]| -> Vec<Row> {
            rows.iter().filter(|row| !matches!(row, Row::Event(event) if own(event.action))).copied().collect()
        };
        assert_eq!(others(&before), others(&after), "{pointer}");
        assert_ne!(before, after, "{pointer}");
        if pointer.contains("probability") && !pointer.contains("billing") {
            let (fewer, more) = if factor > 1.0 { (&before, &after) } else { (&after, &before) };
            let mut rest = more.iter();
            assert!(
                fewer.iter().all(|row| rest.any(|other| other == row)),
                "{pointer}: what happens at a lower probability happens at a higher"
            );
        }
    }
}

#[test]
fn a_higher_churn_rate_adds_churners_and_changes_nobody_else() {
    let [low, high] = [0.3, 0.4].map(|base| Sample::new(&with(&churn(), "/churn_base_rate", base), 42, 500));
    let mut more = 0;
    for (a, b) in low.people.iter().zip(&high.people) {
        assert_eq!(a.user, b.user);
        if a.truth.churned == b.truth.churned {
            assert_eq!((a.truth.churn_date, &a.events), (b.truth.churn_date, &b.events));
        } else {
            assert!(b.truth.churned);
            assert_eq!(a.events[..b.events.len()], b.events);
            more += 1;
        }
    }
    assert!(more > 20, "{more}");
}

#[test]
fn more_activity_keeps_the_days_that_there_were() {
    let [less, more] = [0.15, 0.2].map(|base| Sample::new(&with(&churn(), "/activity/probability/base", base), 42, 100));
    let key = |session: &Session| (session.person, session.date, session.place, session.login, session.video, session.quiz);
    let mut rest = more.sessions.iter().map(key);
    assert!(less.sessions.iter().map(key).all(|session| rest.any(|other| other == session)));
    assert!(more.sessions.len() > less.sessions.len());
}

#[test]
fn daily_billing_charges_on_each_of_the_three_days() {
    let document = with(&churn(), "/billing/mode", "daily");
    let sample = Sample::new(&document, 42, 1_000);
    let monthly = Sample::new(&churn(), 42, 1_000);
    let mut charges = 0;
    for (person, other) in sample.people.iter().zip(&monthly.people) {
        let dates: Vec<_> = (1..=4)
            .flat_map(|month| (1..=3).map(move |day| Date::from_ymd(2025, month, day).unwrap()))
            .filter(|date| person.user.is_paid && date.0 < start().0 + person.days(120) as i32)
            .collect();
        let charged = person.events.iter().filter(|event| event.action.amount_cents().is_some());
        assert_eq!(charged.clone().map(|event| event.event_time.date()).collect::<Vec<_>>(), dates);
        charges += dates.len();
        // The first attempts are those of monthly billing.
        let first = |event: &&Event| event.action.amount_cents().is_some() && event.event_time.date().ymd().2 == 1;
        assert!(charged.filter(first).eq(other.events.iter().filter(first)));
    }
    assert!(charges > 3_000);
}

#[test]
fn an_invoice_belongs_to_the_window_of_its_first_attempt() {
    for (mode, days) in [("monthly", vec![]), ("daily", vec![2, 3])] {
        let document = with(&with(&with(&churn(), "/window/start", "2025-01-02"), "/window/days", 30), "/billing/mode", mode);
        let model = model(&with(&document, "/paid_ratio", 1.0));
        let mut charged: Vec<u32> = Vec::new();
        for (_, row) in collect(&model, 42, 0..50).rows {
            if let Row::Event(event) = row
                && event.action.amount_cents().is_some()
            {
                charged.push(event.event_time.date().ymd().2);
            }
        }
        charged.sort_unstable();
        charged.dedup();
        assert_eq!(charged, days, "{mode}");
    }
}

#[test]
fn at_one_second_a_charge_precedes_a_ticket_and_both_precede_a_session() {
    let mut document = with(&churn(), "/activity/probability", json!({"base": 1, "slope": 0}));
    for (pointer, value) in [
        ("/window/days", json!(8)),
        ("/paid_ratio", json!(1)),
        ("/billing/mode", json!("daily")),
        ("/tickets", json!({"probability": 1, "from_hour": 0, "to_hour": 1})),
        ("/billing/to_hour", json!(1)),
        ("/sessions/from_hour", json!(0)),
        ("/sessions/to_hour", json!(1)),
        ("/sessions/max", json!(1)),
    ] {
        document = with(&document, pointer, value);
    }
    let sample = Sample::new(&document, 3, 20_000);
    assert_eq!(sample.disorder, None);
    let rank = |action: Action| match action {
        Action::PaymentSuccess { .. } | Action::PaymentFailed { .. } => 0,
        Action::SupportTicket => 1,
        _ => 2,
    };
    let mut ties = [[0; 3]; 3];
    for pair in sample.people.iter().flat_map(|person| person.events.windows(2)) {
        if pair[0].event_time == pair[1].event_time {
            ties[rank(pair[0].action)][rank(pair[1].action)] += 1;
        }
    }
    let [[_, charge_ticket, charge_session], [_, _, ticket_session], _] = ties;
    assert!(charge_ticket > 5 && charge_session > 5 && ticket_session > 5, "{ties:?}");
    assert_eq!(ties.iter().flatten().sum::<i32>(), charge_ticket + charge_session + ticket_session, "{ties:?}");
}

#[test]
fn the_values_are_those_of_this_version() {
    let model = model(&churn());
    let rows = rows(&model, 0);
    let digest = rows.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, row| {
        shown(row).bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
    });
    let first: Vec<String> = rows.iter().take(5).map(shown).collect();
    assert_eq!(
        first,
        [
            "1 2024-12-20 true 5 2 0.8548079655246967",
            "1 2025-01-01T05:02:47Z PaymentSuccess { amount_cents: 49900 }",
            "1 2025-01-01T11:36:02Z Login",
            "1 2025-01-01T21:57:31Z Login",
            "1 2025-01-01T21:59:32Z VideoWatch { course: 2, watch_hundredths: 6706 }",
        ]
    );
    assert_eq!((rows.len(), digest), (516, 10_499_563_819_749_874_543));
}

/// A row on one line.
fn shown(row: &Row) -> String {
    match row {
        Row::User(user) => format!(
            "{} {} {} {} {} {:?}",
            user.user_id, user.signup_date, user.is_paid, user.country, user.marketing_source, user.engagement_score
        ),
        Row::Event(Event { user_id, event_time, action }) => format!("{user_id} {event_time} {action:?}"),
    }
}
