//! What must hold of the data. The numbers are the specification's; the laws of latency and of open delays are those of the built-in
//! document's model, whose figures `contract` holds against the specification.

use super::samples::{DAYS, Message, PERSONAS, Samples, day_of, hours, minute_factor, start};
use super::{email, email_v1, model};
use crate::support::{SIGMAS, Verdict, chi_square, follows};
use populace_core::dist::{Tabulated, TruncatedExponential};
use populace_core::email::laws::Cell;
use populace_core::email::{CampaignType, EmailModel, EventType};
use populace_core::math;
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, HOUR, Instant, MINUTE, MINUTES_PER_WEEK, SECOND};
use std::collections::BTreeSet;
use std::sync::LazyLock;

type Law = crate::mutation::Law<Samples>;

/// What must hold of the data.
pub(super) const LAWS: &[Law] = &[
    ("population", population),
    ("names", names),
    ("window", window),
    ("personas are interleaved", interleaved),
    ("chain", chain),
    ("scheduled sends are Poisson", sends_a_day),
    ("hours of the day", hours_of_the_day),
    ("campaigns", campaigns),
    ("subjects are equally likely", subjects),
    ("providers", providers),
    ("sizes", sizes),
    ("delivered share", delivered),
    ("latency by cell", latency),
    ("opens by persona", opens_by_persona),
    ("clicks by persona", clicks_by_persona),
    ("opens by time", opens_by_time),
    ("opens by hour", opens_by_hour),
    ("opens by day", opens_by_day),
    ("opens by minute", opens_by_minute),
    ("opens by minute of delivery", opens_by_delivery),
    ("opens by fatigue", opens_by_fatigue),
    ("fatigue looks back a day", fatigue_window),
    ("opens after a hot path", opens_by_hot_path),
    ("opens are clipped", clipped_opens),
    ("clicks take no factor again", clicks_by_factor),
    ("silence in windows", silence),
    ("sends go on in windows", sends_in_windows),
    ("windows end", windows_end),
    ("open delays", open_delays),
    ("least and greatest open delay", open_delay_ends),
    ("opens in own hours", attention),
    ("click delays", click_delays),
    ("circuit breakers", breakers),
    ("hot paths", hot_paths),
    ("triggered sends", triggered),
    ("user agents and addresses", clients),
];

/// What must hold of the truth. A mutant that these alone catch is one that the events do not show.
pub(super) const TRUTHS: &[Law] = &[
    ("truth: probabilities are their factors", probabilities),
    ("truth: hot paths are told within their window", told_hot_paths),
    ("truth: rates drift", drift),
];

static V2: LazyLock<EmailModel> = LazyLock::new(|| model(&email()));
static V1: LazyLock<EmailModel> = LazyLock::new(|| model(&email_v1()));

/// The model of the built-in document.
fn reference(samples: &Samples) -> &'static EmailModel {
    if samples.v1 { &V1 } else { &V2 }
}

fn exactly<V: PartialEq + std::fmt::Debug>(what: &str, observed: V, expected: V) -> Verdict {
    if observed == expected { Ok(()) } else { Err(format!("{what}: {observed:?}, expected {expected:?}")) }
}

/// A sum of independent values lies within the bound of its expectation.
fn sum(what: &str, observed: f64, expected: f64, variance: f64) -> Verdict {
    // Half a count for what counts cannot resolve.
    let bound = SIGMAS * variance.sqrt() + 0.5;
    if (observed - expected).abs() <= bound { Ok(()) } else { Err(format!("{what}: {observed} of {expected:.1} ± {bound:.1}")) }
}

/// How many standard errors one group may be off: there are thousands of groups in all, so that four would be exceeded by chance.
const GROUP_SIGMAS: f64 = 5.0;

/// Hits against their probabilities in groups: each group within its bound, and all together within that of χ².
fn calibrated(what: &str, tries: impl Iterator<Item = (usize, bool, f64)>) -> Verdict {
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

fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
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

fn interleaved(samples: &Samples) -> Verdict {
    if samples.users.iter().enumerate().any(|(index, user)| user.actor != index as u64) {
        return Ok(());
    }
    let mut counts = [0_usize; 9];
    for (index, user) in samples.users.iter().enumerate() {
        counts[user.persona] += 1;
        for (persona, count) in PERSONAS.iter().zip(counts) {
            let share = persona.count as f64 / 350.0 * (index + 1) as f64;
            let whole = (index + 1) % 350 == 0;
            if (count as f64 - share).abs() >= if whole { 1e-9 } else { 1.0 } {
                return Err(format!("{}: {count} of the first {}, its share is {share:.2}", persona.name, index + 1));
            }
        }
    }
    Ok(())
}

/// Every row of a chain belongs to the same message and comes in its time; what only some types have, only they have.
fn chain(samples: &Samples) -> Verdict {
    for message in &samples.messages {
        let (sent, opened, clicked) = (&message.sent, message.opened.as_ref(), message.clicked.as_ref());
        let Some((delivered, delivery)) = &message.delivered else {
            if opened.is_some() || clicked.is_some() {
                return Err("opened but not delivered".into());
            }
            continue;
        };
        let latency = i64::from(delivery.latency_ms) * SECOND / 1_000;
        let sound = delivery.send_time == sent.time
            && delivered.time == sent.time.plus(latency)
            && opened.is_none_or(|opened| opened.time > delivered.time && opened.client.is_some())
            && clicked
                .is_none_or(|clicked| opened.is_some_and(|opened| clicked.time > opened.time) && clicked.click_url == Some(sent.campaign));
        let chain = [Some(sent), Some(delivered), opened, clicked];
        let same = chain.iter().flatten().all(|event| {
            (event.esp, event.campaign, event.subject, event.source, event.metadata)
                == (sent.esp, sent.campaign, sent.subject, 0, sent.metadata)
        });
        if !sound || !same || sent.client.is_some() || sent.delivery.is_some() {
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
    sent.iter().for_each(|&count| counts[count.min(11)] += 1);
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
    scheduled.iter().for_each(|time| hours[usize::from(time.hour())] += 1);
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
    let mut counts = vec![[0; 4]; 6];
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

/// Opens against their probabilities, in groups.
fn opens(samples: &Samples, what: &str, group: impl Fn(&Message) -> Option<usize>) -> Verdict {
    calibrated(what, samples.free().filter_map(|message| Some((group(message)?, message.opened.is_some(), message.p_open))))
}

fn opens_by_persona(samples: &Samples) -> Verdict {
    opens(samples, "opens by persona", |message| Some(samples.users[message.user].persona))
}

fn opens_by_time(samples: &Samples) -> Verdict {
    opens(samples, "opens by time", |message| {
        let (peak, active) = samples.persona(message).at(message.decided_at(samples.v1));
        Some(samples.users[message.user].persona * 4 + usize::from(peak) * 2 + usize::from(active))
    })
}

fn opens_by_hour(samples: &Samples) -> Verdict {
    opens(samples, "opens by hour", |message| {
        Some(samples.users[message.user].persona * 24 + usize::from(message.decided_at(samples.v1).hour()))
    })
}

fn opens_by_day(samples: &Samples) -> Verdict {
    opens(samples, "opens by day", |message| {
        Some(samples.users[message.user].persona * 7 + usize::from(message.decided_at(samples.v1).weekday()))
    })
}

fn opens_by_minute(samples: &Samples) -> Verdict {
    opens(samples, "opens by minute", |message| Some(usize::from(message.decided_at(samples.v1).minute())))
}

/// Messages whose minute factor is one at sending and another at delivery: that by which the open is decided holds.
fn opens_by_delivery(samples: &Samples) -> Verdict {
    opens(samples, "opens by minute of delivery", |message| {
        let delivered = message.delivered.as_ref()?.0.time;
        let [sent, delivered] = [message.sent.time, delivered].map(|time| (minute_factor(time.minute()) * 10.0) as usize);
        (sent != delivered).then_some(sent * 14 + delivered)
    })
}

fn opens_by_fatigue(samples: &Samples) -> Verdict {
    opens(samples, "opens by recent sends", |message| Some(message.recent[1].min(5)))
}

fn fatigue_window(samples: &Samples) -> Verdict {
    opens(samples, "opens by recent sends of other spans", |message| {
        Some(message.recent.iter().fold(0, |group, recent| group * 4 + recent.min(&3)))
    })
}

fn opens_by_hot_path(samples: &Samples) -> Verdict {
    opens(samples, "opens by minutes since a hot path", |message| Some((message.since_hot_path / 2.5).min(16.0) as usize))
}

fn clipped_opens(samples: &Samples) -> Verdict {
    opens(samples, "opens of probability .98", |message| (message.p_open >= 0.98).then_some(0))
}

/// Clicks of opens that nothing else could have stopped, against click rate / open rate.
fn clicks(samples: &Samples, what: &str, group: impl Fn(&Message) -> usize) -> Verdict {
    let opened = samples.free().filter(|message| message.opened.is_some());
    calibrated(
        what,
        opened.map(|message| {
            let persona = samples.persona(message);
            (group(message), message.clicked.is_some(), persona.click / persona.open)
        }),
    )
}

fn clicks_by_persona(samples: &Samples) -> Verdict {
    clicks(samples, "clicks by persona", |message| samples.users[message.user].persona)
}

fn clicks_by_factor(samples: &Samples) -> Verdict {
    let minute = |message: &Message| minute_factor(message.decided_at(samples.v1).minute());
    all([
        clicks(samples, "clicks by minute factor", |message| (minute(message) * 10.0) as usize),
        clicks(samples, "clicks by recent sends", |message| message.recent[1].min(3)),
        clicks(samples, "clicks by hot path", |message| usize::from(message.since_hot_path < 10.0)),
        clicks(samples, "clicks by timing", |message| usize::from(samples.persona(message).at(message.decided_at(samples.v1)).0)),
    ])
}

/// No open and no click within a circuit breaker's window, nor of a message delivered inside one.
fn silence(samples: &Samples) -> Verdict {
    for message in &samples.messages {
        let user = &samples.users[message.user];
        let engaged = [message.opened.as_ref(), message.clicked.as_ref()];
        let delivered_within = message.opened.is_some() && user.stopped(message.decided_at(samples.v1));
        if delivered_within || engaged.iter().flatten().any(|event| user.stopped(event.time)) {
            return Err(format!("{message:?}"));
        }
    }
    Ok(())
}

fn sends_in_windows(samples: &Samples) -> Verdict {
    if samples.v1 {
        return Ok(());
    }
    let end = start().plus(DAYS * DAY);
    let (mut expected, mut observed) = (0.0, 0.0);
    for user in &samples.users {
        for breaker in &user.breakers {
            // By the day after, the hours are those of a whole day.
            expected += if breaker.time.plus(DAY) <= end { 0.8 } else { 0.0 };
        }
    }
    for message in samples.scheduled() {
        let breakers = &samples.users[message.user].breakers;
        observed += breakers
            .iter()
            .filter(|breaker| (0..DAY).contains(&message.sent.time.since(breaker.time)) && breaker.time.plus(DAY) <= end)
            .count() as f64;
    }
    sum("sends in the day after a circuit breaker", observed, expected, 1.1 * expected)
}

/// Messages delivered soon after a window's end are opened as ever.
fn windows_end(samples: &Samples) -> Verdict {
    opens(samples, "opens after a window", |message| {
        let time = message.decided_at(samples.v1);
        let kind = samples.users[message.user].breakers.iter().find(|breaker| {
            let after = time.since(breaker.time) - hours(breaker.event_type) * HOUR;
            (0..hours(breaker.event_type) * HOUR / 5).contains(&after)
        })?;
        Some(kind.event_type as usize)
    })
}

/// Open delays of free messages with their places within their law.
fn delays(samples: &Samples) -> impl Iterator<Item = (&Message, Instant, f64)> {
    samples.free().filter_map(|message| {
        let delivered = message.delivered.as_ref()?.0.time;
        let opened = message.opened.as_ref()?.time;
        Some((message, delivered, opened.since(delivered) as f64 / MINUTE as f64))
    })
}

/// The index of a persona of the specification among the model's, which are in the alphabet's order.
fn index_of(samples: &Samples, persona: usize) -> usize {
    samples.model.personas().position(|name| name == PERSONAS[persona].name).expect("a known persona")
}

fn open_delays(samples: &Samples) -> Verdict {
    let law = reference(samples);
    let mut places = vec![Vec::new(); PERSONAS.len()];
    for (message, delivered, delay) in delays(samples) {
        let persona = samples.users[message.user].persona;
        places[persona].push(law.open_delay_cdf(index_of(samples, persona), delivered, delay));
    }
    let every: Vec<f64> = places.iter().flatten().copied().collect();
    places.push(every);
    all(places.into_iter().filter(|places| places.len() > 100).map(|places| follows("open delays", places, |share| share)))
}

fn open_delay_ends(samples: &Samples) -> Verdict {
    let law = reference(samples);
    // What is rounded to the millisecond may stand just below the end.
    let beyond = delays(samples).find(|(_, _, delay)| *delay < 1.0 || *delay > 2_880.0);
    if let Some((_, _, delay)) = beyond {
        return Err(format!("a delay of {delay} minutes"));
    }
    let tails = delays(samples).map(|(message, delivered, delay)| {
        let persona = index_of(samples, samples.users[message.user].persona);
        [
            (f64::from(u8::from(delay < 1.2)), law.open_delay_cdf(persona, delivered, 1.2)),
            (f64::from(u8::from(delay > 2_304.0)), 1.0 - law.open_delay_cdf(persona, delivered, 2_304.0)),
        ]
    });
    let mut sums = [(0.0, 0.0); 2];
    for tail in tails {
        for (sum, (hit, p)) in sums.iter_mut().zip(tail) {
            sum.0 += hit;
            sum.1 += p;
        }
    }
    all([("below 1.2 minutes", sums[0]), ("above 2,304 minutes", sums[1])].map(|(what, (hits, p))| sum(what, hits, p, p)))
}

/// Opens fall within a persona's own hours and days as often as its attention says: .1 outside its hours, .2 on other days.
fn attention(samples: &Samples) -> Verdict {
    let mean = 240.0;
    let after_an_hour = math::exp(-60.0 / mean);
    let mut shares = [(0.0, 0.0, 0.0); 2 * PERSONAS.len()];
    for (message, delivered, delay) in delays(samples) {
        let persona = samples.users[message.user].persona;
        let spec = &PERSONAS[persona];
        if spec.peak_hours.is_empty() {
            continue;
        }
        let mut at = delivered.plus(MINUTE);
        let end = delivered.plus(2_880 * MINUTE);
        let (mut total, mut at_peak, mut active, mut left) = (0.0, 0.0, 0.0, 1.0);
        while at < end {
            let next = Instant((at.0.div_euclid(HOUR) + 1) * HOUR).min(end);
            let minutes = next.since(at) as f64 / MINUTE as f64;
            let after = left * if minutes == 60.0 { after_an_hour } else { math::exp(-minutes / mean) };
            let (peak, day) = spec.at(at);
            let mass = (left - after) * (if peak { 1.0 } else { 0.1 }) * (if day { 1.0 } else { 0.2 });
            total += mass;
            at_peak += if peak { mass } else { 0.0 };
            active += if day { mass } else { 0.0 };
            (left, at) = (after, next);
        }
        let (peak, day) = spec.at(delivered.plus((delay * MINUTE as f64) as i64));
        for (cell, hit, mass) in [(2 * persona, peak, at_peak), (2 * persona + 1, day, active)] {
            let p = mass / total;
            shares[cell].0 += f64::from(u8::from(hit));
            shares[cell].1 += p;
            shares[cell].2 += p * (1.0 - p);
        }
    }
    all(shares.iter().map(|&(observed, expected, variance)| sum("opens in own hours and days", observed, expected, variance)))
}

fn click_delays(samples: &Samples) -> Verdict {
    let law = TruncatedExponential::new(15.0, 59.0).expect("a law");
    let delay = |message: &Message| Some(message.clicked.as_ref()?.time.since(message.opened.as_ref()?.time) as f64 / MINUTE as f64);
    let delays: Vec<f64> = samples.free().filter_map(delay).collect();
    if let Some(delay) = delays.iter().find(|delay| !(1.0..=60.0).contains(*delay)) {
        return Err(format!("a delay of {delay} minutes"));
    }
    let early = delays.iter().filter(|delay| **delay < 1.2).count() as f64;
    let expected = law.cdf(0.2) * delays.len() as f64;
    all([sum("clicks below 1.2 minutes", early, expected, expected), follows("click delays", delays, |minutes| law.cdf(minutes - 1.0))])
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

fn probabilities(samples: &Samples) -> Verdict {
    for truth in &samples.truths {
        let product = truth.open_rate * truth.timing * truth.minute * truth.fatigue * truth.hot_path;
        let expected = if truth.suppressed { 0.0 } else { product * truth.cap };
        let sound = match (truth.p_open, truth.p_click) {
            (None, None) => true,
            (Some(p_open), Some(p_click)) => {
                (p_open - expected).abs() < 1e-12
                    && (truth.suppressed || (p_open - product.min(0.98)).abs() < 1e-12)
                    && (p_click - (truth.click_rate / truth.open_rate).min(1.0)).abs() < 1e-12
            }
            _ => false,
        };
        if !sound {
            return Err(format!("{truth:?}"));
        }
    }
    // What the truth tells is what the events show: the probability worked out from them, but for drift.
    for (message, truth) in samples.messages.iter().zip(&samples.truths) {
        let persona = samples.persona(message);
        let undrifted = truth.p_open.map(|p| p * persona.open / truth.open_rate);
        if message.sent.message_id != Some(truth.message_id)
            || message.delivered.is_some() != truth.p_open.is_some()
            || truth.recent_sends as usize != if samples.v1 { 0 } else { message.recent[1] }
            || (message.free && undrifted.is_some_and(|p| (p - message.p_open).abs() > 1e-9 && p < 0.97))
        {
            return Err(format!("{truth:?} of {message:?}"));
        }
    }
    Ok(())
}

fn told_hot_paths(samples: &Samples) -> Verdict {
    for (message, truth) in samples.messages.iter().zip(&samples.truths).filter(|(message, _)| message.delivered.is_some()) {
        let expected = (message.since_hot_path < 30.0).then_some(message.since_hot_path);
        exactly("minutes since a hot path", truth.minutes_since_hot_path, expected)?;
    }
    Ok(())
}

/// The bound of a month's drift in the built-in document.
const AMPLITUDE: f64 = 0.002;

/// The steps of the monthly rates, over 1 ± the amplitude, are uniform.
pub(super) fn drift_of(samples: &Samples, amplitude: f64) -> Verdict {
    let mut steps = [Vec::new(), Vec::new()];
    for user in &samples.users {
        for pair in user.rates.windows(2) {
            steps[0].push(pair[1].open_rate / pair[0].open_rate);
            steps[1].push(pair[1].click_rate / pair[0].click_rate);
        }
    }
    if amplitude == 0.0 {
        return exactly("rates", steps.iter().flatten().all(|step| *step == 1.0), true);
    }
    // Independent steps: the mean of their product is that of uncorrelated ones.
    let n = steps[0].len() as f64;
    let product: f64 = steps[0].iter().zip(&steps[1]).map(|(a, b)| (a - 1.0) * (b - 1.0) / amplitude.powi(2)).sum();
    let [open, click] = steps;
    let uniform = |step: f64| ((step - 1.0 + amplitude) / (2.0 * amplitude)).clamp(0.0, 1.0);
    all([
        follows("drift of open rates", open, uniform),
        follows("drift of click rates", click, uniform),
        sum("drifts apart", product, 0.0, n / 9.0),
    ])
}

fn drift(samples: &Samples) -> Verdict {
    drift_of(samples, if samples.v1 { 0.0 } else { AMPLITUDE })
}

/// The timing table: its mean over the law of sends is 1, and it is what the specification's formula gives.
pub(super) fn timing_table(model: &EmailModel, minutes: bool) -> Verdict {
    for (index, name) in model.personas().enumerate() {
        let persona = PERSONAS.iter().find(|persona| persona.name == name).expect("a known persona");
        let timing = persona.timing();
        let (mut total, mut weights, mut best) = (0.0, 0.0, (0.0, 0));
        for row in model.timing().filter(|row| usize::from(row.persona) == index) {
            // 2025-10-06 was a Monday.
            let time = start().plus(5 * DAY + i64::from(row.minute_of_week) * MINUTE);
            let (peak, active) = persona.at(time);
            let minute = if minutes { minute_factor(time.minute()) } else { 1.0 };
            let factor = timing[usize::from(peak)][usize::from(active)] * minute;
            if (row.factor - factor).abs() > 1e-12 {
                return Err(format!("{name}, {row:?}: expected {factor}"));
            }
            let weight = if (6..23).contains(&time.hour()) { 1.0 } else { 0.15 };
            total += weight * row.factor / minute;
            weights += weight;
            if row.factor > best.0 {
                best = (row.factor, row.minute_of_week);
            }
        }
        let told = model.timing().find(|row| usize::from(row.persona) == index).map(|row| row.best_minute);
        exactly("best minute", told, Some(best.1))?;
        if (total / weights - 1.0).abs() > 1e-12 || weights == 0.0 {
            return Err(format!("{name}: mean {}", total / weights));
        }
    }
    exactly("rows", model.timing().count(), PERSONAS.len() * MINUTES_PER_WEEK)
}
