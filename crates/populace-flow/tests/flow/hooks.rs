//! Webhooks of providers, which cannot correct what they send.

#![expect(clippy::needless_pass_by_value, reason = "JSON is written where it is given")]

use crate::http::{Flow, TOKENS, problem};
use populace_flow::client::{Answer, send};
use populace_flow::http::{Access, Limits, Scope, WebhookKeys, WebhookLimits};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const SENDGRID: &str = "/api/webhooks/sendgrid";

/// An event of SendGrid, with changes; null takes a field away.
fn sendgrid(number: usize, changes: Value) -> Value {
    let mut event = json!({
        "email": format!("user{}@example.com", 1_000 + number), "timestamp": 1_764_400_000 + number, "event": "click",
        "sg_event_id": format!("e{number}"), "sg_message_id": format!("m{number}.filter0001.16648.5515E0B88.0"),
        "url": "https://shop.example/", "useragent": "Mozilla/5.0", "ip": "203.0.113.9", "category": ["Spring"],
    });
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    event
}

fn stored(flow: &Flow, query: &str) -> Vec<String> {
    flow.embedded.consume(true, &AtomicBool::new(false)).unwrap();
    select(flow, "email_events.sqlite", query)
}

fn select(flow: &Flow, file: &str, query: &str) -> Vec<String> {
    let file = rusqlite::Connection::open(flow.directory.path().join(file)).unwrap();
    let mut query = file.prepare(query).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn of_twenty_items_nineteen_are_stored_and_the_odd_one_is_a_dead_letter() {
    let flow = Flow::new();
    for (turn, odd) in
        [json!({ "timestamp": "yesterday" }), json!({ "event": null }), json!({ "email": "nobody" }), json!({ "email": null })]
            .into_iter()
            .enumerate()
    {
        let items: Vec<Value> =
            (0..20).map(|number| sendgrid(100 * turn + number, if number == 7 { odd.clone() } else { json!({}) })).collect();
        let answer = flow.post(SENDGRID, &json!(items).to_string());
        let receipt = answer.json();
        assert_eq!((answer.status, &receipt["published"], &receipt["dead_letters"]), (202, &json!(19), &json!(1)), "{odd}: {receipt}");
        assert_eq!(receipt["problems"][0]["item"], 7, "{receipt}");
        // The same delivery once more is none.
        let again = flow.post(SENDGRID, &json!(items).to_string()).json();
        assert_eq!((&again["published"], &again["duplicates"]), (&json!(0), &json!(19)));
    }
    let letters = select(&flow, "connector.sqlite", "SELECT provider || ' ' || item || ' ' || reason || ' ' || value FROM dead_letters");
    assert_eq!(letters.len(), 4, "{letters:?}");
    for letter in &letters {
        assert!(letter.starts_with("sendgrid 7 ") && !letter.contains("example.com") && letter.contains("\"sg_event_id\":\"e"), "{letter}");
    }
    let page = flow.get("/metrics").body;
    for line in [
        "populace_webhook_dead_letters 4",
        "populace_items_total{outcome=\"dead\",from=\"sendgrid\",event=\"click\",field=\"timestamp\",what=\"no event\"} 2",
        "populace_items_total{outcome=\"dead\",from=\"sendgrid\",event=\"other\",field=\"event\",what=\"no event\"} 2",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    // Only a body of another form is refused.
    for body in ["{}", "7", "null", "\"x\""] {
        problem(&flow.post(SENDGRID, body), 400);
    }
    for body in ["{}", "[]", "{\"data\":7}"] {
        problem(&flow.post("/api/webhooks/klaviyo", body), 400);
    }
    for body in ["[]", "[7, null, []]"] {
        assert_eq!(flow.post(SENDGRID, body).status, 202, "{body}");
    }
    // Where a key of ours is all that is missing, the provider is to send it again.
    let real = json!([sendgrid(900, json!({ "email": "ada@lovelace.org" }))]);
    assert!(problem(&flow.post(SENDGRID, &real.to_string()), 422)["errors"][0]["reason"].as_str().unwrap().contains("--identity-key-file"));
}

#[test]
fn a_moment_without_a_zone_is_taken_as_utc_and_counted() {
    let flow = Flow::new();
    let what = "timestamp: no zone, taken as UTC";
    let event = |number: usize, at: &str| {
        let mut event = klaviyo(number, "event:klaviyo.opened_email", json!({}));
        event["payload"]["data"]["attributes"]["datetime"] = at.into();
        event
    };
    let times = ["2025-10-01 12:20:00", "2025-10-01T12:21:00.5", "2025-10-01T14:22:00+02:00", "2025-10-01 12:23:00 UTC"];
    let items: Vec<Value> = times.iter().enumerate().map(|(number, at)| event(number, at)).collect();
    let receipt = flow.post("/api/webhooks/klaviyo", &json!({ "data": items }).to_string()).json();
    assert_eq!((&receipt["published"], &receipt["adjusted"][what]), (&json!(4), &json!(2)), "{receipt}");
    let items = json!([sendgrid(1, json!({ "timestamp": "2025-10-01T12:24:00" })), sendgrid(2, json!({}))]);
    let receipt = flow.post(SENDGRID, &items.to_string()).json();
    assert_eq!((&receipt["published"], &receipt["adjusted"][what]), (&json!(2), &json!(1)), "{receipt}");
    let open = json!({ "RecordType": "Open", "MessageID": "m", "Recipient": "user1@example.com", "ReceivedAt": "2025-10-01T12:25:00" });
    let receipt = flow.post("/api/webhooks/postmark", &open.to_string()).json();
    assert_eq!((&receipt["published"], &receipt["adjusted"][what]), (&json!(1), &json!(1)), "{receipt}");
    let found = stored(&flow, "SELECT CAST(timestamp AS TEXT) FROM email_events ORDER BY timestamp");
    assert_eq!(found.len(), 7, "{found:?}");
}

#[test]
fn json_that_is_odd_in_one_item_costs_that_item_alone() {
    let flow = Flow::new();
    let of = |number: usize, odd: &str| {
        let plain = sendgrid(number, json!({})).to_string();
        format!("{},{odd}}}", plain.trim_end_matches('}'))
    };
    let deep = format!("\"args\":{}1{}", "[".repeat(40), "]".repeat(40));
    // What a sender calls its own fields may be a name of the provider's, and a subject may be cut in the middle of a character.
    for (turn, (odd, published, dead, adjusted)) in [
        ("\"email\":\"other@example.com\"", 19, 1, Value::Null),
        ("\"args\":{\"a\":1,\"a\":2}", 19, 1, Value::Null),
        (deep.as_str(), 19, 1, Value::Null),
        ("\"subject\":\"spring \\ud83c\"", 20, 0, json!({ "text: half a character, replaced": 1 })),
        ("\"subject\":\"spring \\ud83c\\udf31\"", 20, 0, Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let items: Vec<String> =
            (0..20).map(|n| if n == 7 { of(100 * turn + n, odd) } else { sendgrid(100 * turn + n, json!({})).to_string() }).collect();
        let answer = flow.post(SENDGRID, &format!("\u{feff}[{}]", items.join(",")));
        let receipt = answer.json();
        assert_eq!((answer.status, &receipt["published"]), (202, &json!(published)), "{odd}: {receipt}");
        assert_eq!((receipt["dead_letters"].as_u64().unwrap_or(0), &receipt["adjusted"]), (dead, &adjusted), "{odd}: {receipt}");
        if dead > 0 {
            assert_eq!(receipt["problems"][0]["item"], 7, "{receipt}");
        }
    }
    // Nothing of it is lenient for a client of one's own.
    assert_eq!(flow.post("/api/mock/events/synthetic", &format!("[{}]", of(1, "\"email\":\"a@example.com\""))).status, 400);
    let forms =
        [json!({ "event": "Click" }), json!({ "email": "Ann <user1907@example.com>" }), json!({ "timestamp": "2025-11-29T07:08:20Z" })];
    let items: Vec<Value> = forms.into_iter().enumerate().map(|(number, form)| sendgrid(900 + number, form)).collect();
    assert_eq!(flow.post(SENDGRID, &json!(items).to_string()).json()["published"], 3);
    let odd =
        json!([sendgrid(950, json!({ "event": "deferred", "attempt": "many" })), sendgrid(951, json!({ "email": "a@x.test,b@x.test" }))]);
    let receipt = flow.post(SENDGRID, &odd.to_string()).json();
    assert_eq!((&receipt["published"], &receipt["dead_letters"]), (&json!(1), &json!(1)), "two people are not one: {receipt}");
    assert_eq!(receipt["adjusted"]["attempt: no number of an attempt, left out"], 1, "{receipt}");
}

#[test]
fn a_bad_optional_field_costs_itself_alone_and_is_counted() {
    let flow = Flow::new();
    let long = format!("https://shop.example/?{}", "é".repeat(2_100));
    let kinds: [(Value, &str); 9] = [
        (
            json!({ "event": "group_unsubscribe", "asm_group_id": 10, "sg_event_id": null, "sg_message_id": "m2" }),
            "event_id: not given, made of the item",
        ),
        (json!({ "url": long }), "click_url: too long, cut"),
        (json!({ "subject": "電".repeat(1_400) }), "subject: too long, cut"),
        (json!({ "ip": "unknown" }), "ip_address: no network address, left out"),
        (json!({ "useragent": { "name": "x" } }), "user_agent: no text, left out"),
        (json!({ "subject": "For ada@lovelace.org" }), "subject: an address in it, removed"),
        (json!({ "sg_message_id": null }), "message_id: not given, made of the item"),
        (json!({ "category": "x".repeat(300) }), "campaign_id: too long, cut"),
        (json!({ "event": "open", "sg_machine_open": true }), "metadata: a machine's, by the provider's mark"),
    ];
    let items: Vec<Value> = kinds.iter().enumerate().map(|(number, (changes, _))| sendgrid(number, changes.clone())).collect();
    let answer = flow.post(SENDGRID, &json!(items).to_string());
    let receipt = answer.json();
    assert_eq!((answer.status, &receipt["published"]), (202, &json!(9)), "{receipt}");
    for (_, what) in &kinds {
        assert!(receipt["adjusted"][what].as_u64().is_some_and(|count| count >= 1), "{what}: {receipt}");
    }
    // What is made of an item is the same when it comes again.
    assert_eq!(flow.post(SENDGRID, &json!(items).to_string()).json()["duplicates"], 9);
    assert_eq!(
        stored(&flow, "SELECT max(length(click_url)) || ' ' || max(length(subject)) || ' ' || count(message_id) FROM email_events"),
        ["2048 1024 8"]
    );
    assert_eq!(
        stored(&flow, "SELECT json_extract(metadata, '$.suspected_bot[0]') FROM email_events WHERE event_type = 'opened'"),
        ["machine_open"]
    );
}

#[test]
fn a_click_says_which_link_where_the_provider_does() {
    let flow = Flow::new();
    let offsets = [("click", json!({ "index": 3, "type": "html" })), ("click", json!({ "index": -1 })), ("open", json!({ "index": 3 }))];
    let items = offsets.into_iter().enumerate().map(|(number, (event, offset))| {
        let changes = json!({ "event": event, "url_offset": offset });
        sendgrid(number, changes)
    });
    let receipt = flow.post(SENDGRID, &json!(items.collect::<Vec<_>>()).to_string()).json();
    assert_eq!(receipt["published"], 3, "{receipt}");
    assert_eq!(receipt["adjusted"]["link_index: no place of a link, left out"], 1, "{receipt}");
    let links = "SELECT event_type || ' ' || coalesce(link_index, 'none') FROM email_events ORDER BY 1";
    assert_eq!(stored(&flow, links), ["clicked 3", "clicked none", "opened none"]);
}

/// An event of Klaviyo by its topic.
fn klaviyo(number: usize, topic: &str, properties: Value) -> Value {
    json!({
        "topic": topic, "external_id": format!("k{number}"),
        "payload": {
            "data": {
                "type": "event", "id": format!("k{number}"),
                "attributes": { "datetime": "2026-01-31T09:15:00+00:00", "event_properties": properties },
                "relationships": { "profile": { "data": { "type": "profile", "id": format!("P{}", number % 3) } } },
            },
            "included": [{ "type": "profile", "id": format!("P{}", number % 3), "attributes": { "email": format!("user{}@example.com", number % 3), "phone_number": "12" } }],
        },
    })
}

#[test]
fn topics_that_are_no_mail_are_ignored_by_name_and_the_others_have_a_home() {
    let flow = Flow::new();
    let message = || json!({ "$message": "M1", "Campaign Name": "Spring" });
    let topics = [
        ("event: email_delivered", "delivered"),
        ("event:klaviyo.opened_email", "opened"),
        ("event:klaviyo.bounced_email", "bounced"),
        ("event:klaviyo.manually_suppressed_from_email_marketing", "unsubscribe_request"),
        ("event:klaviyo.subscribed_to_email_marketing", "resubscribed"),
    ];
    let mut items: Vec<Value> = topics.iter().enumerate().map(|(number, (topic, _))| klaviyo(number, topic, message())).collect();
    for topic in ["event:api.viewed_product", "event:klaviyo.clicked_sms", "event:klaviyo.subscribed_to_list"] {
        items.push(klaviyo(items.len(), topic, message()));
    }
    items.push(json!({ "payload": {} }));
    let receipt = flow.post("/api/webhooks/klaviyo", &json!({ "data": items }).to_string()).json();
    assert_eq!((&receipt["published"], &receipt["dead_letters"]), (&json!(5), &json!(1)), "{receipt}");
    let ignored: Vec<&str> = receipt["ignored"].as_array().unwrap().iter().map(|ignored| ignored["reason"].as_str().unwrap()).collect();
    assert_eq!(
        ignored,
        ["`api.viewed_product` is no event of mail", "`clicked_sms` is no event of mail", "`subscribed_to_list` is no event of mail"]
    );
    // A telephone number that is none costs itself alone.
    assert_eq!(receipt["adjusted"]["phone_number: no identifier, left out"], 5, "{receipt}");
    let mut kinds: Vec<&str> = topics.iter().map(|(_, kind)| *kind).collect();
    kinds.sort_unstable();
    assert_eq!(stored(&flow, "SELECT event_type FROM email_events ORDER BY 1"), kinds);
    let machine = klaviyo(50, "event:klaviyo.opened_email", json!({ "$message": "M2", "machine_open": "true" }));
    flow.post("/api/webhooks/klaviyo", &json!({ "data": [machine] }).to_string());
    assert_eq!(
        stored(&flow, "SELECT count(*) || '' FROM email_events WHERE metadata LIKE '%\"suspected_bot\":[\"machine_open\"]%'"),
        ["1"]
    );
}

#[test]
fn bounces_and_resubscriptions_are_kept_and_processed_with_delivered_is_a_latency() {
    let flow = Flow::new();
    let at = |number: usize, event: &str, seconds: u64, more: Value| {
        let mut changes = json!({ "event": event, "timestamp": 1_764_400_000 + seconds, "sg_message_id": "one.filter0001", "sg_event_id": format!("{event}{number}{seconds}"), "email": format!("user{number}@example.com") });
        changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sendgrid(number, changes)
    };
    // One call to eight recipients.
    let sends: Vec<Value> = (0..8).map(|number| at(number, "processed", 0, json!({}))).collect();
    assert_eq!(flow.post(SENDGRID, &json!(sends).to_string()).json()["published"], 8);
    let mut later: Vec<Value> = (0..4).map(|number| at(number, "delivered", 5 + number as u64, json!({}))).collect();
    later.push(at(
        4,
        "bounce",
        6,
        json!({ "type": "bounce", "bounce_classification": "Invalid Address", "reason": "550 5.1.1 <user4@example.com> unknown" }),
    ));
    later.push(at(5, "bounce", 6, json!({ "type": "blocked" })));
    later.push(at(6, "dropped", 6, json!({ "reason": "Bounced Address" })));
    later.push(at(7, "deferred", 6, json!({ "response": "400 try again later", "attempt": "3", "status": "4.7.1" })));
    later.push(at(7, "group_unsubscribe", 7, json!({})));
    later.push(at(7, "group_resubscribe", 8, json!({})));
    assert_eq!(flow.post(SENDGRID, &json!(later).to_string()).json()["published"], 10);
    let messages = "SELECT count(DISTINCT message_id) || ' ' || count(message_id) FROM email_events";
    assert_eq!(stored(&flow, messages), ["8 16"]);
    let latencies =
        "SELECT latency_seconds || ' ' || send_time || ' ' || minute FROM email_events WHERE event_type = 'delivered' ORDER BY 1";
    assert_eq!(stored(&flow, latencies), ["5.0", "6.0", "7.0", "8.0"].map(|latency| format!("{latency} 2025-11-29T07:06:40.000Z 6")));
    let bounces = "SELECT event_type || ' ' || bounce_type || ' ' || json_extract(metadata, '$.reason') FROM email_events WHERE json_extract(metadata, '$.reason') IS NOT NULL ORDER BY 1";
    let expected = ["bounced hard [address removed]", "deferred deferred 400 try again later", "dropped dropped Bounced Address"];
    assert_eq!(stored(&flow, bounces), expected);
    assert_eq!(stored(&flow, "SELECT bounce_type FROM email_events WHERE event_type = 'bounced' ORDER BY 1"), ["blocked", "hard"]);
    let said = "SELECT event_type || ' ' || coalesce(smtp_code, '-') || ' ' || coalesce(enhanced_code, '-') || ' ' || coalesce(attempt, '-') || ' ' || coalesce(bounce_class, '-') || ' ' || response FROM email_events WHERE response IS NOT NULL ORDER BY 1";
    let expected = [
        "bounced 550 5.1.1 - Invalid Address [address removed]",
        "deferred 400 4.7.1 3 - 400 try again later",
        "dropped - - - - Bounced Address",
    ];
    assert_eq!(stored(&flow, said), expected);
    assert_eq!(
        stored(&flow, "SELECT event_type FROM email_events WHERE message_id IS NULL ORDER BY 1"),
        ["resubscribed", "unsubscribe_request"]
    );
}

#[test]
fn dead_letters_of_a_person_are_erased_with_the_person() {
    let flow = Flow::new();
    let answer: Answer =
        flow.post(SENDGRID, &json!([sendgrid(1, json!({})), sendgrid(1, json!({ "timestamp": null, "first_name": "Ada" }))]).to_string());
    assert_eq!((&answer.json()["published"], &answer.json()["dead_letters"]), (&json!(1), &json!(1)), "{}", answer.body);
    let letter = select(&flow, "connector.sqlite", "SELECT value FROM dead_letters").remove(0);
    assert!(letter.contains("\"first_name\":\"(text, 3 characters)\"") && letter.contains("\"event\":\"click\""), "{letter}");
    let id = stored(&flow, "SELECT universal_id FROM email_events").remove(0);
    let erased = send(flow.address, "DELETE", &format!("/api/identity/persons/{id}"), &[], b"").unwrap().json();
    assert_eq!(erased["erased"]["dead_letters"], 1, "{erased}");
    assert!(select(&flow, "connector.sqlite", "SELECT value FROM dead_letters").is_empty());
}

/// The fields of a head that carry a provider's signature and its time.
fn fields(provider: &str) -> [&'static str; 2] {
    match provider {
        "sendgrid" => ["X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"],
        _ => ["Klaviyo-Signature", "Klaviyo-Timestamp"],
    }
}

fn deliver(flow: &Flow, provider: &str, head: &[(&str, &str)], body: &str) -> Answer {
    let head = [&[("Content-Type", "application/json")], head].concat();
    send(flow.address, "POST", &format!("/api/webhooks/{provider}"), &head, body.as_bytes()).unwrap()
}

/// Of the signatures that another library has made, all that are right are taken, and no other is.
#[test]
fn a_webhook_is_taken_if_its_provider_signed_these_bytes_and_401_else() {
    let all: Value = serde_json::from_str(include_str!("signatures.json")).unwrap();
    let keys = all["keys"].as_object().unwrap().iter().fold(WebhookKeys::default(), |keys, (provider, key)| {
        keys.with(provider, key[0].as_str().unwrap(), key[1].as_str().unwrap()).unwrap()
    });
    let signed = |max_age: Duration, access: Access| {
        let limits = Limits { requests_a_second: 1e6, ..Limits::default() };
        Flow::signed(access, limits, keys.clone().with_max_age(max_age), &["hooks.example.com"])
    };
    let (flow, strict) = (signed(Duration::from_hours(24 * 36_500), Access::open()), signed(Duration::from_mins(10), Access::open()));
    let mut seen = [0; 2];
    for vector in all["vectors"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap_or_default();
        let (provider, valid) = (text("provider"), vector["valid"].as_bool().unwrap());
        let [signature, timestamp] = fields(provider);
        let head = [(signature, text("signature")), (timestamp, text("timestamp"))];
        let head = if provider == "mailgun" { &[][..] } else { &head };
        let answer = deliver(&flow, provider, head, text("body"));
        assert_eq!(answer.status, if valid { 202 } else { 401 }, "{vector}: {}", answer.body);
        // A right signature that is old is somebody else's.
        if valid {
            let document = problem(&deliver(&strict, provider, head, text("body")), 401);
            assert!(document["detail"].as_str().unwrap().contains("from now"), "{document}");
        }
        seen[usize::from(valid)] += 1;
    }
    assert_eq!(seen, [36, 10]);
    // Neither without a signature nor with a token that nobody gave.
    for head in [&[][..], &[("Authorization", "Bearer x")], &[("Klaviyo-Signature", "00")]] {
        problem(&deliver(&flow, "klaviyo", head, "{\"data\":[]}"), 401);
    }
    // Where there are tokens, one of them does as well.
    let both = signed(Duration::from_mins(10), Access::open().with(TOKENS[0], vec![Scope::Ingest]).unwrap());
    assert_eq!(deliver(&both, "klaviyo", &[("Authorization", &format!("Bearer {}", TOKENS[0]))], "{\"data\":[]}").status, 202);
    problem(&deliver(&both, "klaviyo", &[("Authorization", "Bearer wrong-0123456789abcdef")], "{\"data\":[]}"), 401);
    problem(&deliver(&both, "postmark", &[], "{}"), 401);
}

#[test]
fn a_user_and_a_password_in_the_url_do_and_wrong_ones_do_not() {
    let keys = WebhookKeys::default().with("postmark", "basic", "hooks:0123456789abcdef").unwrap();
    let keys = keys.with("sendgrid", "basic", "hooks:0123456789abcdef").unwrap();
    let flow = Flow::signed(Access::open(), Limits::default(), keys, &[]);
    let basic = |text: &str| format!("Basic {}", data_encoding::BASE64.encode(text.as_bytes()));
    let body = json!({ "RecordType": "Open", "Recipient": "user1000@example.com", "MessageID": "m", "ReceivedAt": "2026-01-31T09:15:00Z" });
    let with = |provider: &str, text: &str, body: &str| deliver(&flow, provider, &[("Authorization", &basic(text))], body).status;
    assert_eq!(with("postmark", "hooks:0123456789abcdef", &body.to_string()), 202);
    assert_eq!(with("sendgrid", "hooks:0123456789abcdef", "[]"), 202);
    for wrong in ["hooks:0123456789abcdeF", "hooks:", "", "hooks:0123456789abcdef ", ":hooks0123456789abcdef"] {
        assert_eq!(with("postmark", wrong, &body.to_string()), 401, "{wrong}");
    }
    assert_eq!(deliver(&flow, "postmark", &[("Authorization", "Basic ?")], &body.to_string()).status, 401);
    let refused = deliver(&flow, "postmark", &[], &body.to_string());
    assert!(problem(&refused, 401)["detail"].as_str().unwrap().contains("in the URL"));
    assert_eq!(refused.field("www-authenticate"), Some("Basic realm=\"webhooks\""));
    // Of a provider without a key nothing has changed.
    assert_eq!(deliver(&flow, "klaviyo", &[], "{\"data\":[]}").status, 202);
}

#[test]
fn keys_of_webhooks_say_what_is_wrong_with_them() {
    let refused = |provider: &str, scheme: &str, key: &str| WebhookKeys::default().with(provider, scheme, key).err().unwrap().to_string();
    assert!(refused("mailchimp", "basic", "a:b").contains("klaviyo, mailgun, postmark, sendgrid, ses"));
    assert!(refused("klaviyo", "ecdsa", "x").contains("ecdsa for sendgrid"));
    assert!(refused("sendgrid", "ecdsa", "MFkw").contains("must be the verification key"));
    assert!(refused("klaviyo", "hmac", "short").contains("at least 16 characters"));
    assert!(refused("ses", "basic", "0123456789abcdef").contains("USER:PASSWORD"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        WebhookKeys::default().read(&path).map(|keys| keys.has("klaviyo")).map_err(|error| error.to_string())
    };
    assert_eq!(read("# ours\n\nklaviyo\thmac 0123456789abcdef\nsendgrid basic u:0123456789abcdef\n"), Ok(true));
    assert!(read("# none").unwrap_err().contains("there is no key"));
    assert!(read("klaviyo hmac").unwrap_err().contains("line 1: must be PROVIDER SCHEME KEY"));
    assert!(!read("klaviyo hmac secret").unwrap_err().contains("secret\""));
}

#[test]
fn a_tunnel_brings_webhooks_and_nothing_else() {
    let flow = Flow::signed(Access::open(), Limits::default(), WebhookKeys::default(), &["hooks.example.com"]);
    let status = |method: &str, path: &str, host: &str| {
        let mut stream = TcpStream::connect(flow.address).unwrap();
        let body = "[]";
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].to_owned()
    };
    assert_eq!(status("POST", SENDGRID, "hooks.example.com"), "202");
    assert_eq!(status("POST", "/api/webhook/sendgrid", "HOOKS.example.com:443"), "200");
    assert_eq!(status("GET", "/health", "hooks.example.com"), "200");
    for path in ["/api/mock/events/synthetic", "/api/identity/resolve", "/api/mock/events/generate"] {
        assert_eq!(status("POST", path, "hooks.example.com"), "421", "{path}");
    }
    assert_eq!(status("POST", SENDGRID, "other.example.com"), "421");
}

#[test]
fn what_providers_send_at_once_is_taken_and_a_limit_of_ones_own_holds() {
    let flow = Flow::new();
    let many: Vec<Value> = (0..1_800).map(|number| sendgrid(number, json!({ "useragent": "x".repeat(200) }))).collect();
    let body = json!(many).to_string();
    assert!(body.len() > 768_000, "{}", body.len());
    assert_eq!(flow.post(SENDGRID, &body).json()["published"], 1_800);
    let many: Vec<Value> = (0..1_000)
        .map(|number| {
            klaviyo(3 * number, "event:klaviyo.opened_email", json!({ "$message": format!("M{number}"), "Subject": "x".repeat(900) }))
        })
        .collect();
    let body = json!({ "data": many }).to_string();
    assert!(body.len() > 1_200_000, "{}", body.len());
    assert_eq!(flow.post("/api/webhooks/klaviyo", &body).json()["published"], 1_000);
    let webhooks = [("sendgrid".to_owned(), WebhookLimits { body_bytes: 4_096, events: 3 })].into();
    let small = Flow::with(Access::open(), Limits { webhooks, ..Limits::default() });
    let some = |count: usize| json!((0..count).map(|number| sendgrid(number, json!({}))).collect::<Vec<_>>()).to_string();
    assert_eq!(small.post(SENDGRID, &some(3)).status, 202);
    assert!(problem(&small.post(SENDGRID, &some(4)), 400)["detail"].as_str().unwrap().contains("at most 3"));
    problem(&small.post(SENDGRID, &some(40)), 413);
}

#[test]
fn mailgun_postmark_and_ses_become_ours_too() {
    let flow = Flow::new();
    let mailgun = |event: &str, more: Value| {
        let mut data = json!({ "event": event, "id": format!("{event}{}", more["severity"]), "timestamp": 1_764_400_000.25, "recipient": "user1000@example.com",
            "message": { "headers": { "message-id": "20251129.1@mg.example.com", "subject": "Hello" } }, "tags": ["Spring"], "ip": "203.0.113.9",
            "client-info": { "user-agent": "Mozilla/5.0" }, "url": "https://shop.example/" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("mailgun", json!({ "signature": {}, "event-data": data }))
    };
    let postmark = |kind: &str, more: Value| {
        let mut event = json!({ "RecordType": kind, "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483", "Tag": "Spring" });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("postmark", event)
    };
    let ses = |kind: &str, part: &str, detail: Value| {
        let event = json!({ "eventType": kind, part: detail, "mail": { "timestamp": "2026-01-31T09:15:00.000Z", "messageId": "0100",
            "destination": ["user1000@example.com", "user1001@example.com"], "commonHeaders": { "subject": "Hello" } } });
        ("ses", json!({ "Type": "Notification", "MessageId": "n", "Message": event.to_string() }))
    };
    let recipient = json!({ "Recipient": "user1000@example.com", "DeliveredAt": "2026-01-31T09:15:07.123-05:00" });
    let sent = [
        mailgun("accepted", json!({})),
        mailgun("delivered", json!({ "timestamp": 1_764_400_003.5 })),
        mailgun("opened", json!({ "client-info": { "bot": "apple" } })),
        mailgun("failed", json!({ "severity": "permanent", "delivery-status": { "message": "no such user" } })),
        mailgun("failed", json!({ "severity": "temporary" })),
        postmark("Delivery", recipient),
        postmark("Bounce", json!({ "ID": 42, "Type": "SoftBounce", "Email": "user1000@example.com", "BouncedAt": "2026-01-31T09:15:00Z" })),
        postmark(
            "SubscriptionChange",
            json!({ "Recipient": "user1000@example.com", "ChangedAt": "2026-01-31T09:16:00Z", "SuppressSending": true }),
        ),
        postmark(
            "SubscriptionChange",
            json!({ "Recipient": "user1000@example.com", "ChangedAt": "2026-01-31T09:17:00Z", "SuppressSending": false }),
        ),
        ses("Send", "send", json!({})),
        ses(
            "Delivery",
            "delivery",
            json!({ "timestamp": "2026-01-31T09:15:02.500Z", "processingTimeMillis": 2_500, "recipients": ["user1000@example.com"] }),
        ),
        ses(
            "Bounce",
            "bounce",
            json!({ "timestamp": "2026-01-31T09:15:02.500Z", "bounceType": "Permanent", "bouncedRecipients": [{ "emailAddress": "user1001@example.com", "diagnosticCode": "smtp; 550" }] }),
        ),
    ];
    for (provider, body) in &sent {
        let answer = flow.post(&format!("/api/webhooks/{provider}"), &body.to_string());
        let receipt = answer.json();
        assert!(
            answer.status == 202 && receipt["published"].as_u64() >= Some(1) && receipt.get("dead_letters").is_none(),
            "{body}: {receipt}"
        );
    }
    let rows = "SELECT esp || ' ' || event_type || ' ' || count(*) || ' ' || coalesce(max(bounce_type), '-') || ' ' || coalesce(max(latency_seconds), '-')
        FROM email_events GROUP BY esp, event_type ORDER BY 1";
    let expected = [
        "mailgun bounced 1 hard -",
        "mailgun deferred 1 deferred -",
        "mailgun delivered 1 - 3.25",
        "mailgun opened 1 - -",
        "mailgun sent 1 - -",
        "postmark bounced 1 soft -",
        "postmark delivered 1 - -",
        "postmark resubscribed 1 - -",
        "postmark unsubscribe_request 1 - -",
        "ses bounced 1 hard -",
        "ses delivered 1 - 2.5",
        "ses sent 2 - -",
    ];
    assert_eq!(stored(&flow, rows), expected);
    assert_eq!(
        stored(&flow, "SELECT timestamp FROM email_events WHERE esp = 'postmark' AND event_type = 'delivered'"),
        ["2026-01-31T14:15:07.123Z"]
    );
    let confirm = json!({ "Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription", "Token": "t" });
    let answer =
        send(flow.address, "POST", "/api/webhooks/ses", &[("Content-Type", "text/plain; charset=UTF-8")], confirm.to_string().as_bytes())
            .unwrap();
    assert_eq!((answer.status, &answer.json()["dead_letters"]), (202, &json!(1)), "{}", answer.body);
    let letters = select(&flow, "connector.sqlite", "SELECT value FROM dead_letters");
    assert!(letters.len() == 1 && letters[0].contains("Action=ConfirmSubscription") && !letters[0].contains("\"t\""), "{letters:?}");
}

#[test]
fn what_is_nobodys_act_is_taken_for_none() {
    let flow = Flow::new();
    // What SES says of a message to several people does not say who opened it.
    let ses = |kind: &str, part: &str, destination: Value| {
        json!({ "eventType": kind, part: { "timestamp": "2026-01-31T09:15:05.000Z", "ipAddress": "203.0.113.9" },
            "mail": { "timestamp": "2026-01-31T09:15:00.000Z", "messageId": "0100", "destination": destination } })
    };
    let both = json!(["user1000@example.com", "user1001@example.com"]);
    for (kind, part) in [("Open", "open"), ("Click", "click")] {
        let receipt = flow.post("/api/webhooks/ses", &ses(kind, part, both.clone()).to_string()).json();
        assert_eq!((&receipt["published"], &receipt["dead_letters"]), (&json!(0), &json!(1)), "{receipt}");
        assert!(receipt["problems"][0]["reason"].as_str().unwrap().contains("does not say which"), "{receipt}");
        let receipt = flow.post("/api/webhooks/ses", &ses(kind, part, json!(["user1000@example.com"])).to_string()).json();
        assert_eq!(receipt["published"], 1, "{receipt}");
    }
    // A suppression that a bounce brings about is no wish to leave.
    for (reason, published) in [("HardBounce", 0), ("SpamComplaint", 0), ("ManualSuppression", 1)] {
        let change = json!({ "RecordType": "SubscriptionChange", "MessageID": "m", "Recipient": "user1000@example.com",
            "ChangedAt": "2026-01-31T09:16:00Z", "SuppressSending": true, "SuppressionReason": reason });
        let receipt = flow.post("/api/webhooks/postmark", &change.to_string()).json();
        assert_eq!(receipt["published"], published, "{reason}: {receipt}");
    }
    let found = stored(&flow, "SELECT esp || ' ' || event_type || ' ' || count(*) FROM email_events GROUP BY esp, event_type ORDER BY 1");
    assert_eq!(found, ["postmark unsubscribe_request 1", "ses clicked 1", "ses opened 1"]);
}
