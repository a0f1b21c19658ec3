//! What must hold of the data. The numbers are the specification's; the laws of latency and of open delays are those of the built-in
//! document's model, whose figures `contract` holds against the specification.

use super::samples::{DAYS, PERSONAS, Samples, day_of, hours, start};
use super::{email, email_v1, engagement, model, truths};
use crate::support::{SIGMAS, Verdict, chi_square, follows};
use populace_core::dist::Tabulated;
use populace_core::email::laws::Cell;
use populace_core::email::{CampaignType, EmailModel, EventType};
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, HOUR, Instant, MINUTE, SECOND};
use std::collections::BTreeSet;
use std::sync::LazyLock;

type Law = crate::mutation::Law<Samples>;

/// What must hold of the data.
pub(super) const LAWS: &[Law] = &[
    ("population", population),
    ("names", names),
    ("window", window),
    ("a whole block of recipients has exactly the shares of the personas", dealt),
    ("chain", chain),
    ("scheduled sends are Poisson", sends_a_day),
    ("hours of the day", hours_of_the_day),
    ("campaigns", campaigns),
    ("subjects are equally likely", subjects),
    ("providers", providers),
    ("sizes", sizes),
    ("delivered share", delivered),
    ("latency by cell", latency),
    ("opens by persona", engagement::opens_by_persona),
    ("clicks by persona", engagement::clicks_by_persona),
    ("opens by time", engagement::opens_by_time),
    ("opens by hour", engagement::opens_by_hour),
    ("opens by day", engagement::opens_by_day),
    ("opens by minute", engagement::opens_by_minute),
    ("opens by minute of delivery", engagement::opens_by_delivery),
    ("opens by fatigue", engagement::opens_by_fatigue),
    ("fatigue looks back a day", engagement::fatigue_window),
    ("opens after a hot path", engagement::opens_by_hot_path),
    ("opens are clipped", engagement::clipped_opens),
    ("clicks take no factor again", engagement::clicks_by_factor),
    ("silence in windows", engagement::silence),
    ("sends go on in windows", engagement::sends_in_windows),
    ("windows end", engagement::windows_end),
    ("open delays", engagement::open_delays),
    ("least and greatest open delay", engagement::open_delay_ends),
    ("opens in own hours", engagement::attention),
    ("click delays", engagement::click_delays),
    ("circuit breakers", breakers),
    ("hot paths", hot_paths),
    ("triggered sends", triggered),
    ("user agents and addresses", clients),
];

/// What must hold of the truth. A mutant that these alone catch is one that the events do not show.
pub(super) const TRUTHS: &[Law] = &[
    ("truth: probabilities are their factors", truths::probabilities),
    ("truth: hot paths are counted within their window", truths::told_hot_paths),
    ("truth: rates drift", truths::drift),
];

static V2: LazyLock<EmailModel> = LazyLock::new(|| model(&email()));
static V1: LazyLock<EmailModel> = LazyLock::new(|| model(&email_v1()));

/// The model of the built-in document.
pub(super) fn reference(samples: &Samples) -> &'static EmailModel {
    if samples.v1 { &V1 } else { &V2 }
}

#[expect(clippy::needless_pass_by_value, reason = "an assertion takes what it compares")]
pub(super) fn exactly<V: PartialEq + std::fmt::Debug>(what: &str, observed: V, expected: V) -> Verdict {
    if observed == expected { Ok(()) } else { Err(format!("{what}: {observed:?}, expected {expected:?}")) }
}

/// A sum of independent values lies within the bound of its expectation.
pub(super) fn sum(what: &str, observed: f64, expected: f64, variance: f64) -> Verdict {
    // Half a count for what counts cannot resolve.
    let bound = SIGMAS * variance.sqrt() + 0.5;
    if (observed - expected).abs() <= bound { Ok(()) } else { Err(format!("{what}: {observed} of {expected:.1} ± {bound:.1}")) }
}

/// How many standard errors one group may be off: there are thousands of groups in all, so that four would be exceeded by chance.
const GROUP_SIGMAS: f64 = 5.0;

/// Hits against their probabilities in groups: each group within its bound, and all together within that of χ².
pub(super) fn calibrated(what: &str, tries: impl Iterator<Item = (usize, bool, f64)>) -> Verdict {
    let mut groups: Vec<(f64, f64, f64)> = Vec::new();
    for (group, hit, p) in tries {
        if groups.len() <= group {
            groups.resize(group + 1, (0.0, 0.0, 0.0));
        }
        let (observed, expected, variance) = &mut groups[group];
        *observed += f64::from(u8::from(hit));
        *expected += p;
        *variance += p * (1.0 - p);
    }
    let (mut statistic, mut freedom) = (0.0, 0.0);
    for (group, &(observed, expected, variance)) in groups.iter().enumerate().filter(|(_, group)| group.2 > 5.0) {
        if (observed - expected).abs() > GROUP_SIGMAS * variance.sqrt() + 0.5 {
            return Err(format!("{what}, group {group}: {observed} of {expected:.1}, variance {variance:.1}"));
        }
        statistic += (observed - expected).powi(2) / variance;
        freedom += 1.0;
    }
    // Wilson–Hilferty.
    let bound = freedom * f64::powi(1.0 - 2.0 / (9.0 * freedom) + SIGMAS * f64::sqrt(2.0 / (9.0 * freedom)), 3);
    if freedom == 0.0 || statistic <= bound { Ok(()) } else { Err(format!("{what}: χ² {statistic:.1} over {freedom} groups")) }
}

pub(super) fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().collect()
}

fn population(samples: &Samples) -> Verdict {
    exactly("users", samples.model.population().actors, 350)
}

fn names(samples: &Samples) -> Verdict {
    let model = &samples.model;
    let campaigns: Vec<_> =
        model.campaigns().iter().map(|campaign| (campaign.id.as_str(), campaign.name.as_str(), campaign.kind)).collect();
    let (transactional, promotional) = (Some(CampaignType::Transactional), Some(CampaignType::Promotional));
    let expected = vec![
        ("abandoned_cart", "Abandoned cart", transactional),
        ("newsletter", "Monthly newsletter", promotional),
        ("product_reco", "Product recommendations", promotional),
        ("promotion", "Seasonal promotion", promotional),
        ("reengagement", "Re-engagement", promotional),
        ("welcome_series", "Welcome series", transactional),
        ("circuit_breaker", "Circuit breaker", None),
        ("hot_path", "Hot path", None),
    ];
    let urls: Vec<String> =
        ["cart", "news", "for-you", "sale", "come-back", "welcome"].map(|path| format!("https://www.example.com/{path}")).into();
    let sources = |events: &mut dyn Iterator<Item = (EventType, u8)>| -> BTreeSet<(&'static str, String)> {
        events.map(|(kind, source)| (kind.name(), model.sources()[usize::from(source)].clone())).collect()
    };
    let mut found = sources(&mut samples.breakers().chain(samples.hot_paths()).map(|event| (event.event_type, event.source)));
    found.extend(sources(&mut samples.messages.iter().take(1).map(|message| (EventType::Sent, message.sent.source))));
    let mut expected_sources = vec![("sent", "esp_webhook")];
    if !samples.v1 {
        expected_sources.extend([("support_ticket", "zendesk"), ("complaint", "preference_center")]);
        expected_sources.extend([("unsubscribe_request", "preference_center"), ("site_visit", "website")]);
        expected_sources.extend([("product_view", "website"), ("sms_click", "twilio")]);
    }
    all([
        exactly("campaigns", campaigns, expected),
        exactly("click URLs", model.click_urls(), &urls),
        exactly("sources", found, expected_sources.into_iter().map(|(kind, source)| (kind, source.to_owned())).collect()),
    ])
}

fn window(samples: &Samples) -> Verdict {
    let sent = || samples.messages.iter().map(|message| day_of(message.sent.time));
    let occasional = samples.breakers().chain(samples.hot_paths()).map(|event| day_of(event.time));
    let days: BTreeSet<i64> = sent().chain(occasional).collect();
    exactly("days", (days.first().copied(), days.last().copied(), days.len()), (Some(0), Some(DAYS - 1), DAYS as usize))
}

fn dealt(samples: &Samples) -> Verdict {
    if samples.users.iter().enumerate().any(|(index, user)| user.actor != index as u64) {
        return Ok(());
    }
    let found = samples.users.chunks_exact(350).map(|block| {
        let of = |persona: usize| block.iter().filter(|user| user.persona == persona).count();
        exactly("personas of a block", (0..9).map(of).collect::<Vec<_>>(), PERSONAS.iter().map(|persona| persona.count).collect())
    });
    all(found)
}

/// Every row of a chain belongs to the same message and comes in its time; what only some types have, only they have.
fn chain(samples: &Samples) -> Verdict {
    for message in &samples.messages {
        let on_time = message.delivered.is_none_or(|(delivered, delivery)| {
            delivery.send_time == message.sent.time && delivered == message.sent.time.plus(i64::from(delivery.latency_ms) * SECOND / 1_000)
        });
        if !message.is_sound || !on_time {
            return Err(format!("{message:?}"));
        }
    }
    Ok(())
}

fn sends_a_day(samples: &Samples) -> Verdict {
    let mut sent = vec![0_usize; samples.users.len() * DAYS as usize];
    for message in samples.scheduled() {
        let day = day_of(message.sent.time);
        if let Some(count) = sent.get_mut(message.user * DAYS as usize + day as usize).filter(|_| (0..DAYS).contains(&day)) {
            *count += 1;
        }
    }
    let poisson = Tabulated::poisson(0.8).expect("a mean");
    let mut counts = [0; 12];
    for count in &sent {
        counts[*count.min(&11)] += 1;
    }
    let probabilities: Vec<f64> = (0..12).map(|count| poisson.probability(count)).collect();
    let total: usize = sent.iter().sum();
    all([chi_square("sends a day", &counts, &probabilities), sum("sends", total as f64, 0.8 * samples.days(), 0.8 * samples.days())])
}

/// The distribution function of the time of day: weight 1 for 06:00–22:59, .15 otherwise.
fn time_of_day(time: Instant) -> f64 {
    let hour = (time.0.rem_euclid(DAY)) as f64 / HOUR as f64;
    (0.15 * hour.min(6.0) + (hour - 6.0).clamp(0.0, 17.0) + 0.15 * (hour - 23.0).max(0.0)) / 18.05
}

fn hours_of_the_day(samples: &Samples) -> Verdict {
    let scheduled: Vec<Instant> = samples.scheduled().map(|message| message.sent.time).collect();
    let mut hours = [0; 24];
    for time in &scheduled {
        hours[usize::from(time.hour())] += 1;
    }
    let weights: Vec<f64> = (0..24).map(|hour| if (6..23).contains(&hour) { 1.0 / 18.05 } else { 0.15 / 18.05 }).collect();
    let within = |what, times: &mut dyn Iterator<Item = Instant>| {
        let times: Vec<f64> = times.map(time_of_day).collect();
        if times.is_empty() { Ok(()) } else { follows(what, times, |share| share) }
    };
    all([
        chi_square("sends by hour", &hours, &weights),
        within("time of day of sends", &mut scheduled.iter().copied()),
        within("time of day of circuit breakers", &mut samples.breakers().map(|event| event.time)),
        within("time of day of hot paths", &mut samples.hot_paths().map(|event| event.time)),
    ])
}

fn campaigns(samples: &Samples) -> Verdict {
    let mut counts = [0; 6];
    samples.scheduled().for_each(|message| counts[usize::from(message.sent.campaign)] += 1);
    chi_square("campaigns", &counts, &[0.3, 1.0, 1.5, 2.0, 0.2, 0.5].map(|weight| weight / 5.5))
}

fn subjects(samples: &Samples) -> Verdict {
    let mut counts = [[0; 4]; 6];
    let firsts = [0, 3, 7, 11, 15, 18];
    for message in &samples.messages {
        let (campaign, subject) = (usize::from(message.sent.campaign), usize::from(message.sent.subject.unwrap_or(u16::MAX)));
        match subject.checked_sub(firsts[campaign]).and_then(|place| counts[campaign].get_mut(place)) {
            Some(count) => *count += 1,
            None => return Err(format!("subject {subject} of campaign {campaign}")),
        }
    }
    all(counts.iter().zip([3, 4, 4, 4, 3, 3]).map(|(counts, subjects)| {
        let p: Vec<f64> = (0..4).map(|place| if place < subjects { 1.0 / subjects as f64 } else { 0.0 }).collect();
        chi_square("subjects", counts, &p)
    }))
}

fn providers(samples: &Samples) -> Verdict {
    let mut counts = [0; 4];
    samples.messages.iter().for_each(|message| counts[usize::from(message.sent.esp)] += 1);
    all([
        exactly("providers", samples.model.esps(), &["klaviyo", "mailchimp", "sendgrid", "internal"].map(String::from)),
        chi_square("providers", &counts, &[0.5, 0.2, 0.3, 0.0]),
    ])
}

fn sizes(samples: &Samples) -> Verdict {
    let means = [55.0, 120.0, 95.0, 85.0, 70.0, 45.0];
    all(means.iter().enumerate().map(|(campaign, mean)| {
        let of_campaign = samples.messages.iter().filter(|message| usize::from(message.sent.campaign) == campaign);
        let factors = of_campaign
            .filter_map(|message| message.delivered.as_ref())
            .map(|(_, delivery)| f64::from(delivery.payload_size_bytes) / (mean * 1_024.0));
        follows("sizes", factors.collect(), |factor| ((factor - 0.85) / 0.3).clamp(0.0, 1.0))
    }))
}

fn delivered(samples: &Samples) -> Verdict {
    calibrated("delivered", samples.messages.iter().map(|message| (0, message.delivered.is_some(), 0.99)))
}

fn latency(samples: &Samples) -> Verdict {
    let mut cells = vec![Vec::new(); 8];
    for (_, delivery) in samples.messages.iter().filter_map(|message| message.delivered.as_ref()) {
        let time = delivery.send_time;
        let top = !samples.v1 && time.minute() < 3;
        let batch = !samples.v1 && matches!(time.hour(), 8 | 9 | 18 | 19);
        let weekend = !samples.v1 && time.weekday() > 4;
        cells[usize::from(top) + 2 * usize::from(batch) + 4 * usize::from(weekend)].push(f64::from(delivery.latency_ms) / 1_000.0);
    }
    let law = reference(samples);
    if samples.v1 {
        let mut seconds = [0; 32];
        for latency in &cells[0] {
            if latency.fract() != 0.0 {
                return Err(format!("{latency} is not whole"));
            }
            seconds[(*latency as usize).min(31)] += 1;
        }
        let mut p = [1.0 / 30.0; 32];
        (p[0], p[31]) = (0.0, 0.0);
        return chi_square("latency", &seconds, &p);
    }
    all(cells.into_iter().enumerate().filter(|(_, cell)| !cell.is_empty()).map(|(index, cell)| {
        let of = Cell { top: index & 1 > 0, batch: index & 2 > 0, weekend: index & 4 > 0 };
        follows(&format!("{of:?}"), cell, |seconds| law.latency_cdf(of, seconds))
    }))
}

/// Counts of three equally likely kinds, `p` of any a user-day, at most one.
fn kinds(samples: &Samples, events: &[(usize, EventType, Instant)], kinds: [EventType; 3], p: f64) -> Verdict {
    let days: BTreeSet<(usize, i64)> = events.iter().map(|(user, _, time)| (*user, day_of(*time))).collect();
    let counts = kinds.map(|kind| events.iter().filter(|(_, of, _)| *of == kind).count());
    all([
        exactly("one a day", days.len(), events.len()),
        sum("user-days", events.len() as f64, p * samples.days(), p * (1.0 - p) * samples.days()),
        if events.is_empty() { Ok(()) } else { chi_square("kinds", &counts, &[1.0 / 3.0; 3]) },
    ])
}

fn breakers(samples: &Samples) -> Verdict {
    let of_users = samples.users.iter().enumerate();
    let events: Vec<_> =
        of_users.flat_map(|(user, of)| of.breakers.iter().map(move |event| (user, event.event_type, event.time))).collect();
    let of = [EventType::SupportTicket, EventType::Complaint, EventType::UnsubscribeRequest];
    let metadata = samples.breakers().try_for_each(|event| {
        let expected = format!(r#"{{"circuit_breaker":true,"suppression_hours":{}}}"#, hours(event.event_type));
        exactly("metadata", &samples.model.metadata()[usize::from(event.metadata)], &expected)
    });
    all([kinds(samples, &events, of, if samples.v1 { 0.0 } else { 0.024 }), metadata])
}

fn hot_paths(samples: &Samples) -> Verdict {
    let of_users = samples.users.iter().enumerate();
    let events: Vec<_> =
        of_users.flat_map(|(user, of)| of.hot_paths.iter().map(move |event| (user, event.event_type, event.time))).collect();
    let of = [EventType::SiteVisit, EventType::SmsClick, EventType::ProductView];
    let metadata = samples
        .hot_paths()
        .try_for_each(|event| exactly("metadata", samples.model.metadata()[usize::from(event.metadata)].as_str(), r#"{"hot_path":true}"#));
    all([kinds(samples, &events, of, if samples.v1 { 0.0 } else { 0.12 }), metadata])
}

/// Three hot paths in four call forth an abandoned cart's mail within 25 minutes.
fn triggered(samples: &Samples) -> Verdict {
    let mut delays = Vec::new();
    let end = start().plus(DAYS * DAY);
    for message in samples.messages.iter().filter(|message| message.is_triggered()) {
        let user = &samples.users[message.user];
        let metadata = &samples.model.metadata()[usize::from(message.sent.metadata)];
        let path = user
            .hot_paths
            .iter()
            .rev()
            .find(|path| path.time <= message.sent.time && *metadata == format!(r#"{{"trigger":"{}"}}"#, path.event_type.name()));
        let Some(path) = path.filter(|_| message.sent.campaign == 0) else { return Err(format!("triggered by nothing: {message:?}")) };
        delays.push(message.sent.time.since(path.time) as f64 / MINUTE as f64);
    }
    let paths = samples.hot_paths().filter(|path| path.time.plus(25 * MINUTE) < end).count() as f64;
    if paths == 0.0 {
        return exactly("triggered sends", delays.len(), 0);
    }
    // A hot path in the window's last minutes may still trigger.
    all([
        sum("triggered sends", delays.len() as f64, 0.75 * paths, 0.75 * 0.25 * paths + 10.0),
        follows("delays of triggered sends", delays, |minutes| (minutes / 25.0).clamp(0.0, 1.0)),
    ])
}

fn clients(samples: &Samples) -> Verdict {
    let mut agents = [0; 12];
    let mut networks = [0; 3];
    let mut hosts = Vec::new();
    for user in &samples.users {
        let Some(client) = user.clients.first() else { continue };
        if user.clients.iter().any(|other| other != client) {
            return Err("a user with two clients".into());
        }
        let [a, b, c, host] = client.ip.octets();
        let network = [[192, 0, 2], [198, 51, 100], [203, 0, 113]].iter().position(|network| *network == [a, b, c]);
        let (Some(network), 1..=254) = (network, host) else { return Err(format!("{}", client.ip)) };
        networks[network] += 1;
        hosts.push(f64::from(host));
        agents[usize::from(client.user_agent).min(11)] += 1;
    }
    all([
        chi_square("user agents", &agents, &[1.0 / 12.0; 12]),
        chi_square("networks", &networks, &[1.0 / 3.0; 3]),
        follows("hosts", hosts, |host| host / 254.5),
    ])
}
