//! Events as they are read and written.

use super::*;
use populace_io::catalogue;
use populace_io::document::{Request, Source};
use populace_io::generator::TableSet;
use populace_io::table::Table;
use populace_io::text::TextFormat;
use serde_json::json;

/// The rows of some recipients, as `generate` writes them.
fn lines() -> (Vec<u8>, Vec<&'static str>) {
    let resolved = catalogue::resolve(&Request::new(Source::Named("email"))).unwrap();
    let generator = catalogue::generator(&resolved).unwrap();
    let shard = populace_core::plan::Shard { index: 0, actors: 0..12 };
    let events: &Table = &generator.tables()[0];
    let (batches, _) = generator.simulate(7, &shard, TableSet::EMPTY.with(0)).finish(0);
    let mut lines = Vec::new();
    TextFormat::Jsonl.append(events, batches[0].as_ref().unwrap(), &mut lines);
    (lines, events.columns.iter().map(|column| column.name).collect())
}

fn delivered() -> Value {
    let lines = lines().0;
    let mut rows = lines.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice::<Value>(line).unwrap());
    rows.find(|row| row["event_type"] == "delivered").unwrap()
}

fn problems(changes: &Value) -> Vec<String> {
    let mut event = delivered();
    event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let Err(problems) = Event::from_slice(event.to_string().as_bytes()) else { return Vec::new() };
    problems.iter().map(Problem::to_string).collect()
}

#[test]
fn an_open_may_say_that_it_is_a_machines_and_nothing_else_may() {
    let opened = lines().0;
    let opened = opened.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice::<Value>(line).unwrap());
    let mut opened = opened.into_iter().find(|row| row["event_type"] == "opened").unwrap();
    for (given, taken) in [(json!(true), Some(true)), (json!(0), Some(false)), (json!("True"), Some(true)), (json!(null), None)] {
        opened["machine_open"] = given;
        let bytes = opened.to_string();
        let event = Event::from_slice(bytes.as_bytes()).unwrap();
        assert_eq!(event.machine_open, taken);
        assert_eq!(Event::from_slice(&event.to_json()).unwrap(), event);
    }
    opened["machine_open"] = json!("perhaps");
    assert_eq!(reasons(&Event::from_slice(opened.to_string().as_bytes()).unwrap_err()), "machine_open: must be true or false");
    assert_eq!(problems(&json!({ "machine_open": true })), ["machine_open: must be null of what is not opened"]);
}

#[test]
fn what_fails_may_say_how_and_nothing_else_may() {
    let mut bounced = delivered();
    let columns = ["latency_seconds", "send_time", "hour_of_day", "minute", "day_of_week", "campaign_type", "payload_size_bytes"];
    for name in columns {
        bounced[name] = Value::Null;
    }
    let said = json!({
        "event_type": "bounced", "attempt": 3, "smtp_code": 550, "enhanced_code": "5.1.1", "response": "550 5.1.1 unknown",
        "bounce_class": "Invalid Address", "bounce_type": "hard",
    });
    bounced.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    let bytes = bounced.to_string();
    let event = Event::from_slice(bytes.as_bytes()).unwrap();
    assert_eq!((event.attempt, event.smtp_code, event.enhanced_code.as_deref()), (Some(3), Some(550), Some("5.1.1")));
    let written: Value = serde_json::from_slice(&event.to_json()).unwrap();
    assert!(said.as_object().unwrap().iter().all(|(name, value)| written[name] == *value), "{written}");
    assert_eq!(Event::from_slice(&event.to_json()).unwrap(), event);
    assert_eq!(problems(&json!({ "attempt": 1 })), [""; 0]);
    assert_eq!(problems(&json!({ "smtp_code": 550 })), ["smtp_code: must be null of what did not fail"]);
    bounced["event_type"] = json!("opened");
    let told = reasons(&Event::from_slice(bounced.to_string().as_bytes()).unwrap_err());
    assert!(told.contains("attempt: must be null of what is no attempt"), "{told}");
}

#[test]
fn a_click_may_say_which_link_and_nothing_else_may() {
    let clicked = lines().0;
    let clicked = clicked.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice::<Value>(line).unwrap());
    let mut clicked = clicked.into_iter().find(|row| row["event_type"] == "clicked").unwrap();
    for (given, taken) in [(json!(0), Some(0)), (json!(7.0), Some(7)), (json!(null), None)] {
        clicked["link_index"] = given;
        let bytes = clicked.to_string();
        let event = Event::from_slice(bytes.as_bytes()).unwrap();
        assert_eq!(event.link_index, taken);
        assert_eq!(Event::from_slice(&event.to_json()).unwrap(), event);
    }
    for wrong in [json!(-1), json!(40_000), json!("third")] {
        clicked["link_index"] = wrong;
        let told = reasons(&Event::from_slice(clicked.to_string().as_bytes()).unwrap_err());
        assert_eq!(told, "link_index: must be a whole number from 0 to 32767");
    }
    assert_eq!(problems(&json!({ "link_index": 1 })), ["link_index: must be null of what is not clicked"]);
}

#[test]
fn what_generate_writes_reads_back_to_the_same_values() {
    let (lines, columns) = lines();
    assert_eq!(columns, COLUMNS.map(|column| column.name)[..24]);
    let mut rows = 0;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event = Event::from_slice(line).unwrap_or_else(|problems| panic!("{}: {problems:?}", String::from_utf8_lossy(line)));
        let written: Value = serde_json::from_slice(&event.to_json()).unwrap();
        assert_eq!(written, serde_json::from_slice::<Value>(line).unwrap());
        assert_eq!(Event::from_slice(&event.to_json()).unwrap(), event);
        // Without the parser of JSON, both as it is generated and as the connector writes it.
        for written in [line.to_vec(), event.to_json()] {
            assert_eq!(plain::read(str::from_utf8(&written).unwrap()).as_ref(), Some(&event), "{}", String::from_utf8_lossy(&written));
        }
        rows += 1;
    }
    assert!(rows > 2_000, "{rows}");
}

#[test]
fn what_is_read_without_a_parser_is_an_event_to_the_parser_too_and_the_same() {
    let values = [
        "\"\"",
        "\"a\\u0041\"",
        "\"a\tb\"",
        "\"é\"",
        "\"ada@lovelace.org\"",
        "null",
        "true",
        "nul",
        "[]",
        "{}",
        "{\"a\":1}",
        "{\"a\":[]}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"b\u{1b}\"}",
        "{ }",
        "0",
        "7",
        "7.0",
        "07",
        "7.",
        "7.5",
        "7.125",
        "7.0625",
        "-1",
        "1e3",
        "999999999",
        "9999999999",
        "2592000.001",
        "\"a",
    ];
    let (mut read, mut both) = (0, 0);
    let lines = lines().0;
    let mut events = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| str::from_utf8(line).unwrap());
    let one_of_each = EventType::NAMES.iter().filter_map(|kind| events.find(|line| line.contains(&format!("\"event_type\":\"{kind}\""))));
    for line in one_of_each.collect::<Vec<_>>() {
        let whole = Event::from_slice(line.as_bytes()).unwrap().to_json();
        let tree: Map<String, Value> = serde_json::from_slice(&whole).unwrap();
        for name in COLUMNS.map(|column| column.name) {
            for value in values {
                // The value in its place, where it is not it comes last.
                let mut fields: Vec<String> = tree
                    .iter()
                    .map(|(key, is)| format!("\"{key}\":{}", if key == name { value.to_owned() } else { is.to_string() }))
                    .collect();
                if !tree.contains_key(name) {
                    fields.push(format!("\"{name}\":{value}"));
                }
                for text in
                    [format!("{{{}}}", fields.join(",")), format!("{{{}}} ", fields.join(",")), format!("{{{} }}", fields.join(","))]
                {
                    let tree = match serde_json::from_str(&text) {
                        Ok(Value::Object(map)) => Event::from_fields(map.into()).ok(),
                        _ => None,
                    };
                    both += usize::from(tree.is_some());
                    if let Some(event) = plain::read(&text) {
                        assert_eq!(Some(event), tree, "{text}");
                        read += 1;
                    }
                }
            }
        }
    }
    assert!(read > 100 && both > read, "{read} of {both}");
}

#[test]
fn what_is_read_straight_is_what_is_read_by_way_of_a_tree() {
    let (lines, mut state, mut read) = (lines().0, 7_u64, [0; 2]);
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let (mut bytes, at) = (line.to_vec(), draw(line.len()));
        match draw(3) {
            0 => bytes[at] = draw(128) as u8,
            1 => drop(bytes.splice(at..at, line[at..line.len().min(at + 40)].iter().copied())),
            // The last of two values counts.
            _ => {
                let again = [&b",\"esp\":"[..], [&b"\"a\""[..], b"7", b"null", b"{\"a\":1}"][draw(4)], b"}"].concat();
                drop(bytes.splice(bytes.len() - 1.., again));
            }
        }
        if let Ok(Value::Object(map)) = serde_json::from_slice(&bytes) {
            let (straight, tree) = (Event::from_slice(&bytes), Event::from_fields(map.into()));
            assert_eq!(straight, tree, "{}", String::from_utf8_lossy(&bytes));
            read[usize::from(tree.is_ok())] += 1;
        }
    }
    assert!(read.iter().all(|read| *read > 200), "{read:?}");
}

#[test]
fn every_problem_is_told_with_its_field() {
    let many = json!({ "event_id": "7", "event_type": "returned", "timestamp": "yesterday", "minutes": 3, "metadata": [], "esp": "" });
    assert_eq!(
        problems(&many),
        [
            "event_id: must be a UUID such as 018cc251-f400-7cde-8f00-0123456789ab",
            "event_type: must be one of sent, delivered, opened, clicked, support_ticket, complaint, unsubscribe_request, site_visit, \
             sms_click, product_view, deferred, bounced, dropped, unsubscribed, spam_reported, resubscribed",
            "timestamp: must be a moment in ISO 8601 with its zone, such as 2026-01-31T09:15:00.123Z",
            "esp: must not be empty",
            "metadata: must be a JSON object",
            "minutes: is not a column of events",
        ]
    );
    assert_eq!(problems(&json!({})), [""; 0]);
    let told = |changes: Value| problems(&changes).join("; ");
    assert_eq!(told(json!({ "universal_id": null })), "universal_id: must be given");
    assert_eq!(told(json!({ "minute": 60 })), "minute: must be a whole number from 0 to 59");
    assert_eq!(told(json!({ "payload_size_bytes": -1 })), "payload_size_bytes: must be a whole number from 0 to 2147483647");
    assert_eq!(told(json!({ "message_id": null })), "message_id: must be given of mail");
    assert!(told(json!({ "timestamp": "2026-01-31T09:15:00.123456Z" })).starts_with("timestamp: must be a whole number of milliseconds"));
    assert!(told(json!({ "timestamp": "2026-01-31T09:15:00" })).starts_with("timestamp: must have a zone"));
    assert_eq!(
        told(json!({ "timestamp": "1969-12-31T23:59:59.999Z" })),
        "timestamp: must lie in the years 1970 to 2199; latency_seconds: must be timestamp less send_time, to the millisecond"
    );
    assert_eq!(told(json!({ "ip_address": "1.2.3.256" })), "ip_address: must be an IPv4 or IPv6 address");
    assert_eq!(told(json!({ "send_time": null })), "send_time: must be given where hour_of_day, minute or day_of_week are");
    assert!(told(json!({ "latency_seconds": 86_399.999 })).contains("latency_seconds: must be timestamp less send_time"));
    assert!(told(json!({ "event_type": "sent" })).contains("payload_size_bytes: must be null of what is not delivered"));
    assert_eq!(reasons(&Event::from_slice(b"{\"event_id\": ").unwrap_err()), "is not JSON (line 1, column 13)");
    assert_eq!(reasons(&Event::from_slice(b"[]").unwrap_err()), "must be a JSON object");
}

#[test]
fn an_id_is_read_in_its_one_form_with_letters_of_either_case() {
    let id = "018cc251-f400-7cde-8f00-0123456789ab";
    assert_eq!(id.parse::<Uuid>().unwrap().to_u128(), 0x018c_c251_f400_7cde_8f00_0123_4567_89ab);
    for (at, is) in id.char_indices() {
        for other in "09afAF-+ gG/:@`\u{7f}".chars() {
            let text = format!("{}{other}{}", &id[..at], &id[at + 1..]);
            let sound = if is == '-' { other == '-' } else { other.is_ascii_hexdigit() };
            let parsed = text.parse::<Uuid>().ok().map(|id| id.to_string());
            assert_eq!(parsed, sound.then(|| text.to_ascii_lowercase()), "{text}");
        }
    }
    for text in ["", "0", &id[1..], &format!("{id}0"), &id.replace('-', ""), &"é".repeat(18), "00000000-0000-0000-0000-000000000000"] {
        assert!(text.parse::<Uuid>().is_err(), "{text}");
    }
}

#[test]
fn an_address_is_refused_wherever_it_stands_and_never_repeated() {
    let places = [
        json!({ "recipient_id": "ada@lovelace.org" }),
        json!({ "subject": "For ada@lovelace.org" }),
        json!({ "metadata": { "to": ["x", { "address": "<Ada@Lovelace.org>" }] } }),
        json!({ "metadata": { "ada@lovelace.org": 1 } }),
        json!({ "user_agent": "ada%40lovelace.org" }),
    ];
    for place in places {
        let told = problems(&place);
        assert!(told.len() == 1 && told[0].ends_with("must not hold an address"), "{place}: {told:?}");
        assert!(!told[0].to_lowercase().contains("lovelace"), "{told:?}");
    }
    assert_eq!(problems(&json!({ "subject": "2 @ 3 for you, @ada. Only today" })), [""; 0]);
    let unknown = problems(&json!({ "ada@lovelace.org": 1 }));
    assert_eq!(unknown, ["(a name that holds an address): is not a column of events"]);
}
