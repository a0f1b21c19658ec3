//! Clients that were written for the described connector: they send what it takes, and count status 200 alone.

use crate::http::{EVENTS, Flow, problem};
use populace_flow::client::{Answer, send};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;

/// What such a script makes of a message: four events, or fewer, with times on no clock and finer than milliseconds.
fn messages(count: usize) -> Vec<Value> {
    let mut events = Vec::new();
    for number in 0..count.div_ceil(4) {
        let (user, latency) = (1_000 + number % 5, 7 + number % 9);
        let at = |seconds: usize| {
            format!("2025-10-{:02}T{:02}:{:02}:{:02}.{:06}", 1 + number, 8 + number % 9, seconds / 60, seconds % 60, 123_457 + number)
        };
        let event = |kind: &str, seconds: usize, more: Value| {
            let mut metadata = json!({ "persona": "commuter", "test_data": true, "channel": "email" });
            metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({
                "esp": "klaviyo", "recipient_id": format!("synth_user_{user:05}"), "recipient_email": format!("user{user}@example.com"),
                "campaign_id": "welcome_series", "campaign_name": "Welcome Series", "message_id": format!("msg_{:012x}", 7_919 * number),
                "subject": "Welcome Series - Special Offer", "metadata": metadata, "ingested_at": at(0),
                "event_id": format!("018cc251-f400-7cde-8f00-{number:06x}{seconds:06x}"), "event_type": kind, "timestamp": at(seconds),
            })
        };
        let sizes = json!({ "campaign_type": "transactional", "payload_size_bytes": 46_080 + number });
        let mut of_delivery = json!({
            "latency_seconds": latency, "send_time": at(60), "hour_of_day": 8 + number % 9, "minute": 1, "day_of_week": (2 + number) % 7,
            "queue_depth_estimate": 512,
        });
        of_delivery.as_object_mut().unwrap().extend(sizes.as_object().unwrap().clone());
        events.extend([
            event("sent", 60, sizes),
            event("delivered", 60 + latency, of_delivery),
            event("opened", 600, json!({})),
            event("clicked", 900, json!({})),
        ]);
    }
    events.truncate(count);
    events
}

fn rows(flow: &Flow, query: &str) -> Vec<Vec<String>> {
    let file = rusqlite::Connection::open(flow.directory.path().join("email_events.sqlite")).unwrap();
    let mut select = file.prepare(query).unwrap();
    let columns = select.column_count();
    let cell = |row: &rusqlite::Row<'_>, number| match row.get::<_, rusqlite::types::Value>(number).unwrap() {
        rusqlite::types::Value::Null => String::new(),
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    select.query_map([], |row| Ok((0..columns).map(|number| cell(row, number)).collect())).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_script_for_the_described_connector_posts_100_of_100_and_its_latency_query_finds_them() {
    let flow = Flow::new();
    let events = messages(100);
    let answers: Vec<Answer> = events.iter().map(|event| flow.post(EVENTS, &event.to_string())).collect();
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, 100, "{:?}", answers.iter().find(|answer| answer.status != 200));
    let adjusted = answers[1].json()["adjusted"].clone();
    for (what, count) in [
        ("timestamp: no zone, taken as UTC", 1),
        ("timestamp: cut to milliseconds", 1),
        ("message_id: no UUID, made one of the text", 1),
        ("ingested_at: ignored: the connector sets it", 1),
        ("source: not given, a default", 1),
        ("metadata: copied to the columns of a delivery", 1),
    ] {
        assert_eq!(adjusted[what], count, "{what}: {adjusted}");
    }
    let first = &answers[0].json()["events"][0];
    assert!(answers[0].json()["count"] == 1 && first["event_type"] == "sent" && first["universal_id"].is_string(), "{first}");
    flow.embedded.consume(true, &AtomicBool::new(false)).unwrap();
    let latencies = "SELECT count(*), count(latency_seconds), sum(latency_seconds > 0), count(DISTINCT hour_of_day), count(minute),
        count(day_of_week), count(DISTINCT campaign_type), count(DISTINCT payload_size_bytes) FROM email_events WHERE event_type = 'delivered'";
    assert_eq!(rows(&flow, latencies), [["25", "25", "25", "9", "25", "25", "1", "25"]]);
    assert_eq!(rows(&flow, "SELECT DISTINCT timestamp LIKE '%.123Z' FROM email_events"), [["1"]]);
    // Two texts are two messages, and all events of one text are of one.
    let ids = rows(&flow, "SELECT message_id, count(*) FROM email_events GROUP BY message_id");
    assert!(ids.len() == 25 && ids.iter().all(|row| row[1] == "4"), "{ids:?}");
    let kept = rows(&flow, "SELECT DISTINCT json_extract(metadata, '$.message_id') FROM email_events");
    assert!(kept.len() == 25 && kept.iter().all(|row| row[0].starts_with("msg_")), "{kept:?}");
    let page = flow.get("/metrics").body;
    let line =
        "populace_items_total{outcome=\"adjusted\",from=\"synthetic\",event=\"\",field=\"timestamp\",what=\"no zone, taken as UTC\"} 100";
    assert!(page.lines().any(|found| found == line), "{page}");
}

/// An event as a script sends it, with changes.
fn changed(changes: &Value) -> Value {
    let mut event = messages(2).remove(1);
    event.as_object_mut().unwrap().remove("event_id");
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

#[test]
fn moments_words_and_ids_of_such_clients_are_taken_and_nothing_is_guessed() {
    let flow = Flow::new();
    let moments = [
        "2025-10-01T12:20:00",
        "2025-10-01 12:20:00",
        "2025-10-01T12:20:00.1234567",
        "2025-10-01T14:20:00.123456789+02:00",
        "2025-10-01T12:20",
    ];
    for moment in moments {
        let answer = flow.post(EVENTS, &changed(&json!({ "timestamp": moment, "metadata": {} })).to_string());
        assert_eq!(answer.status, 200, "{moment}: {}", answer.body);
        let taken = answer.json()["events"][0]["timestamp"].as_str().unwrap().to_owned();
        assert!(taken.starts_with("2025-10-01T12:20:00.") && taken.len() == 24, "{moment}: {taken}");
    }
    for moment in [json!(1_759_321_200), json!("1759321200"), json!("01/10/2025 12:20"), json!("2025-10-01"), json!("2025-02-30T12:20:00")]
    {
        let document = problem(&flow.post(EVENTS, &changed(&json!({ "timestamp": moment })).to_string()), 422);
        assert_eq!(document["errors"][0]["field"], "timestamp", "{document}");
    }
    let words = [
        ("bounced", "bounced"),
        ("unsubscribed", "unsubscribe_request"),
        ("Marked_Spam", "complaint"),
        ("UNSUBSCRIBED", "unsubscribe_request"),
    ];
    for (word, kind) in words {
        let answer = flow.post(EVENTS, &changed(&json!({ "event_type": word })).to_string()).json();
        assert_eq!(answer["events"][0]["event_type"], kind, "{answer}");
        // The message is not lost.
        let id = &answer["events"][0]["metadata"]["message_id"];
        assert!(id.as_str().unwrap().starts_with("msg_"), "{answer}");
    }
    let ids = [
        "msg_e731698f73c8",
        "msg_e731698f73c9",
        "7",
        "07",
        "01JABCDEF0123456789ABCDEFG",
        "018cc251f4007cde8f000123456789ab",
        "<1.2@mail.example.com>",
        "é",
        " a",
    ];
    let made: HashMap<&str, String> = ids
        .into_iter()
        .map(|id| {
            let answer = flow.post(EVENTS, &changed(&json!({ "message_id": id })).to_string());
            let shown = answer.json()["events"][0]["message_id"].as_str().unwrap_or_else(|| panic!("{id}: {}", answer.body)).to_owned();
            (id, shown)
        })
        .collect();
    assert_eq!(made.values().collect::<HashSet<_>>().len(), ids.len(), "{made:?}");
    let number = flow.post(EVENTS, &changed(&json!({ "message_id": 7 })).to_string()).json();
    assert_eq!(
        (&number["events"][0]["message_id"], &number["adjusted"]["message_id: a number, taken as text"]),
        (&json!(made["7"]), &json!(1))
    );
    let twice = |id: &str| flow.post(EVENTS, &changed(&json!({ "event_id": id })).to_string()).json();
    assert_eq!(
        (&twice("evt_1")["published"], &twice("evt_1")["duplicates"], &twice("evt_2")["published"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let old = json!({ "universal_id": "sf_0123456789abcdef", "recipient_email_hash": "0".repeat(64), "recipient_email": "" });
    assert_eq!(flow.post(EVENTS, &changed(&old).to_string()).json()["events"][0]["universal_id"], "sf_0123456789abcdef");
}

/// `unsubscribed` is a word of such clients and a type of ours: the id of the message tells one from the other.
#[test]
fn leaving_is_what_it_is_where_the_message_is_one_of_ours() {
    let flow = Flow::new();
    let ours = "0199a65b-e7da-78f2-8ba2-101fedf89bbb";
    for kind in ["unsubscribed", "spam_reported"] {
        let answer = flow.post(EVENTS, &changed(&json!({ "event_type": kind, "message_id": ours })).to_string()).json();
        let event = &answer["events"][0];
        assert_eq!((&event["event_type"], &event["message_id"]), (&json!(kind), &json!(ours)), "{answer}");
        assert!(answer["adjusted"].as_object().unwrap().keys().all(|note| !note.starts_with("event_type")), "{answer}");
    }
    for other in ["0199a65b-e7da-48f2-8ba2-101fedf89bbb", "msg_e731698f73c8", ""] {
        let answer = flow.post(EVENTS, &changed(&json!({ "event_type": "unsubscribed", "message_id": other })).to_string()).json();
        assert_eq!(answer["events"][0]["event_type"], "unsubscribe_request", "{other}: {answer}");
    }
}

#[test]
fn who_is_known_by_a_recipient_id_alone_is_who_the_scenario_says_and_features_come_on_demand() {
    let flow = Flow::new();
    let id = |changes: &Value| {
        let answer = flow.post(EVENTS, &changed(changes).to_string()).json();
        answer["events"][0]["universal_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let mail = id(&json!({}));
    let visit = json!({ "event_type": "site_visit", "recipient_email": "", "message_id": "", "subject": "", "esp": "internal" });
    assert_eq!(id(&visit), mail);
    let mut other = visit.clone();
    other["recipient_id"] = json!("customer 17");
    assert!(id(&other) != mail && id(&other) == id(&other));
    flow.embedded.consume(true, &AtomicBool::new(false)).unwrap();
    let features = |id: &str| send(flow.features, "GET", &format!("/features/{id}"), &[], b"").unwrap();
    let found = features(&mail);
    assert_eq!((found.status, &found.json()["universal_id"]), (200, &json!(mail)), "{}", found.body);
    assert_eq!(found.json()["delivered_30d"], 1, "{}", found.body);
    problem(&features("sf_zibadpwptzraqjc5y2s24jmkda"), 404);
    let all = send(flow.features, "POST", "/compute-features", &[], b"").unwrap();
    assert_eq!(all.status, 200, "{}", all.body);
    assert_eq!(features(&mail).body, found.body, "computed for all");
}

#[test]
fn times_in_metadata_reach_the_columns_only_where_they_agree() {
    let flow = Flow::new();
    let shown = |metadata: Value, timestamp: &str| {
        let answer = flow.post(EVENTS, &changed(&json!({ "timestamp": timestamp, "metadata": metadata })).to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.json()["events"][0].clone(), answer.json()["adjusted"].clone())
    };
    let (event, _) = shown(json!({ "latency_seconds": 12 }), "2025-10-01T12:00:12.5");
    assert_eq!(
        (&event["latency_seconds"], &event["send_time"], &event["hour_of_day"]),
        (&json!(12.0), &json!("2025-10-01T12:00:00.500Z"), &json!(12))
    );
    // Whole seconds beside times to the millisecond.
    let (event, _) = shown(json!({ "latency_seconds": 12, "send_time": "2025-10-01T12:00:00.100" }), "2025-10-01T12:00:12.437");
    assert_eq!(event["latency_seconds"], 12.337);
    let wrong = json!({ "latency_seconds": 12, "send_time": "2025-10-01T12:00:00", "hour_of_day": 14, "campaign_type": "seasonal", "payload_size_bytes": 9 });
    let (event, adjusted) = shown(wrong, "2025-10-01T12:00:12");
    assert!(event["latency_seconds"].is_null() && event["send_time"].is_null() && event["campaign_type"].is_null(), "{event}");
    assert_eq!((&event["payload_size_bytes"], &event["metadata"]["latency_seconds"]), (&json!(9), &json!(12)));
    assert_eq!(adjusted["metadata: times that do not agree, left there"], 1);
}

#[test]
fn paths_and_answers_are_those_of_the_described_connector() {
    let flow = Flow::new();
    for path in ["/swagger", "/swagger/index.html"] {
        assert!(flow.get(path).status == 200 && flow.get(path).body.contains("/api/webhook/klaviyo"), "{path}");
    }
    assert_eq!(flow.get("/swagger/v1/swagger.json").json()["openapi"], "3.1.0");
    let generated = flow.post("/api/mock/events/generate?count=100", "");
    assert!(generated.status == 200 && generated.body.contains("\"count\":100"), "{}", generated.body);
    assert_eq!(generated.json()["events"].as_array().unwrap().len(), 5);
    let journey = flow.post("/api/mock/events/pattern", "").json();
    assert_eq!((&journey["count"], journey["events"].as_array().unwrap().len()), (&json!(4), 4));
    assert_eq!(journey["events"][0]["recipient_id"], "user_001");
    let event = json!({ "data": { "type": "event", "id": "01HX", "attributes": {
        "datetime": "2026-01-09T18:35:15Z", "metric": { "data": { "type": "metric", "id": "X", "attributes": { "name": "Clicked Email" } } },
        "profile": { "data": { "type": "profile", "id": "01P", "attributes": { "email": "user@example.com" } } },
        "campaign": { "data": { "type": "campaign", "id": "ABC456", "attributes": { "name": "Welcome Campaign" } } },
        "message_id": "msg_789xyz", "subject": "Welcome!", "url": "https://example.com/", "user_agent": "Mozilla/5.0", "ip_address": "192.168.1.100",
    } } });
    let answer = flow.post("/api/webhook/klaviyo", &event.to_string());
    assert_eq!((answer.status, &answer.json()["published"]), (200, &json!(1)), "{}", answer.body);
    flow.embedded.consume(true, &AtomicBool::new(false)).unwrap();
    let row = "SELECT event_type, campaign_id, campaign_name, click_url, ip_address, message_id IS NOT NULL FROM email_events WHERE campaign_id = 'ABC456'";
    assert_eq!(rows(&flow, row), [["clicked", "ABC456", "Welcome Campaign", "https://example.com/", "192.168.1.100", "1"]]);
}
