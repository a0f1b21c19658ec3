//! What mail teaches: volumes, shares, latency, and a joint model of opens.

mod clicks;
mod deliveries;
mod engagement;
mod experiments;
mod leaving;
mod mixture;
mod people;
mod scanners;
mod seasons;
mod tally;

use crate::email::history::agent_column;
use crate::email::queue::Queue;
use crate::email::{Inference, Law};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs};
use crate::recover::loglinear::Count;
use crate::recover::numbers::Moments;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use crate::source::{As, Side, Source, Want};
use crate::watch::Watch;
use people::Others;
use populace_core::email::laws::Cell;
use populace_core::email::{EmailConfig, EmailModel, Group, LatencyConfig, LognormalLatency};
use populace_io::catalogue;
use populace_io::document::Resolved;
use populace_io::wording::own;
use std::collections::BTreeMap;
use tally::{COLUMNS, Tally};

/// What is read of recipients; the last where they have zones.
const ZONED: [Want; 2] = [Want::new("recipient_id", As::Text), Want::nullable("timezone", As::Text)];

/// Estimates all that the events tell. Returns how much there is of what.
pub(crate) fn estimate(
    source: &Source,
    document: &Resolved,
    sheet: &mut Sheet,
    watch: &Watch<'_>,
) -> Result<BTreeMap<String, u64>, AnalysisError> {
    let model: EmailModel = catalogue::model(document)?;
    let law = Law::new(&model, source.seed(document));
    let columns: Vec<Want> = COLUMNS.into_iter().chain(agent_column(&model)).chain(deliveries::column(&model)).collect();
    let events = Side { table: "events", wants: &columns, time: Some("timestamp") };
    let wants: &[Want] = if model.zones().is_some() { &ZONED } else { &ZONED[..1] };
    let users = Side { table: "users", wants, time: None };
    let loose = source.has(users.table).then_some(users).into_iter().collect();
    let inputs = Inputs { loose, ..Inputs::joined("recipient_id", [events]) };
    let inference = model.people_differ().then(|| Inference::new(&law));
    let others = inference.as_ref().map(|inference| Others::new(&law, inference));
    let tally = pass::run(source, &inputs, watch, "counting", || Tally::new(&law, others.as_ref()))?;
    if tally.sent == 0 && tally.orphans > 0 && tally.breakers + tally.interests == 0 {
        return Err(AnalysisError::input(format!(
            "{}: none of the events can be used: {} are of an unknown type or have no message_id\n{}",
            source.root().display(),
            tally.orphans,
            own("hint: say with --map what your words and columns mean")
        )));
    }
    let users = users_of(source, &tally, sheet)?;
    for (count, what) in [
        (tally.orphans, "rows fit nowhere (of an unknown type, or of a message that was never sent)"),
        (tally.repeats, "rows repeat a step of a message; the first one counts"),
        (tally.strangers, "recipients have an id of no scenario, so no persona: they do not enter the model of opens"),
        (tally.outside, "messages were sent outside the scenario's window; they count wherever the estimate does not need the window"),
        (
            tally.near_breakers,
            "messages were left out of the model of opens: inside a circuit breaker's window, or close enough to one \
                               that an open might have been dropped",
        ),
        (tally.instant, "messages arrived at the instant they were sent; they have no logarithm and do not enter the latency"),
    ] {
        if count > 0 {
            sheet.notes.push(format!("{count} {what}"));
        }
    }
    if let Some(seed) = document.seed.filter(|_| source.manifest().is_none()) {
        sheet.notes.push(format!("the data has no manifest: personas are those that the document's seed deals, {seed}"));
    }
    volumes(&law, &tally, users, sheet);
    shares(law.config(), &tally, sheet);
    match &law.config().latency {
        LatencyConfig::Lognormal(config) => latency(config, &tally, sheet),
        LatencyConfig::Uniform(config) => {
            let truth = f64::midpoint(f64::from(config.low_seconds), f64::from(config.high_seconds));
            sheet.mean(Parameter::level("latency.uniform.mean", "seconds", truth, "mean of all latencies"), &tally.seconds);
        }
    }
    machines(law.config(), &tally, sheet);
    zones(&model, &tally, users, sheet);
    tally.deliveries.report(&law, sheet);
    scanners::report(&law, &tally, sheet);
    blasts(&law, &tally, users, sheet);
    engagement::opens(&law, &tally, sheet);
    engagement::clicks(&law, &tally, sheet);
    seasons::report(&law, &tally, sheet);
    experiments::report(&law, &tally, sheet);
    engagement::delays(law.config(), &tally, sheet);
    mixture::weights(law.config(), &tally, sheet);
    if let (Some(people), Some(own)) = (&tally.people, &law.config().people) {
        people.report(own, sheet);
    }
    leaving::report(&law, &tally.leavers, sheet);
    let messages = tally.sent;
    let size =
        [("users", users), ("messages", messages), ("delivered", tally.delivered), ("messages in the model of opens", tally.modelled())];
    Ok(size.map(|(name, count)| (name.to_owned(), count)).into())
}

/// How many recipients there are.
fn users_of(source: &Source, tally: &Tally<'_>, sheet: &mut Sheet) -> Result<u64, AnalysisError> {
    if !source.has("users") {
        sheet.notes.push("there is no table of users: those without any event do not count".into());
        return Ok(tally.recipients);
    }
    if tally.users < tally.recipients {
        return Err(AnalysisError::input(format!(
            "{}: the table users has {} rows, and the events have {} recipients; give both of one run",
            source.root().display(),
            tally.users,
            tally.recipients
        )));
    }
    Ok(tally.users)
}

/// How much mail, and what happens beside it.
fn volumes(law: &Law<'_>, tally: &Tally<'_>, users: u64, sheet: &mut Sheet) {
    let config = law.config();
    let user_days = users * u64::from(config.window.days);
    let suppresses = law.model().suppresses_sends();
    let per_day =
        Parameter::level("sends.per_day", "sends a user and day", config.sends.per_day, "scheduled sends over user-days not suppressed");
    let interest = law.model().occasion(Group::HotPath);
    let trigger = config.trigger().zip(interest.map(|interest| format!("{}.trigger.probability", interest.section)));
    if trigger.is_some() && !tally.has_metadata {
        sheet.skip("sends.per_day", "without the column metadata, scheduled and triggered sends cannot be distinguished");
        if let Some((_, path)) = &trigger {
            sheet.skip(path, "without the column metadata, triggered sends cannot be recognised");
        }
    } else {
        let (count, days) = seasons::plain(law, tally);
        sheet.rate(per_day, count, users as f64 * days - tally.silenced_days);
        if let Some((trigger, path)) = trigger {
            if suppresses {
                sheet.skip(&path, "circuit breakers suppress triggered sends too, whether they fell or not");
            } else {
                let parameter = Parameter::level(path, "share", trigger.probability, "hot paths that a triggered send follows");
                sheet.share(parameter, tally.triggered, tally.may_trigger);
            }
        }
        let hours = config.sends.last_hour - config.sends.first_hour + 1;
        if hours < 24 && !suppresses && tally.scheduled_by_day > 0 && tally.scheduled > tally.scheduled_by_day {
            let (day, night) = (tally.scheduled_by_day as f64, (tally.scheduled - tally.scheduled_by_day) as f64);
            let weight = night / f64::from(24 - hours) / (day / f64::from(hours));
            let parameter = Parameter::level("sends.night_weight", "weight", config.sends.night_weight, "sends an hour, night over day");
            sheet.normal(parameter, Scale::Log, weight, (day.recip() + night.recip()).sqrt(), tally.scheduled);
        }
    }
    if let Some(probability) = config.delivery.probability {
        let delivery = Parameter::level("delivery.probability", "share", probability, "delivered of sent");
        sheet.share(delivery, tally.delivered, tally.sent);
    }
    for occasion in law.model().occasions() {
        let count = if occasion.group == Group::Breaker { tally.breakers } else { tally.interests };
        let path = format!("{}.probability", occasion.section);
        sheet.share(Parameter::level(path, "share", occasion.probability, "user-days with one"), count, user_days);
    }
    if config.drift.is_some() {
        sheet.skip("drift.amplitude", "not identifiable: the drift of one user's rates drowns in the noise of that user's few opens");
    }
}

/// Clients that open ahead.
fn machines(config: &EmailConfig, tally: &Tally<'_>, sheet: &mut Sheet) {
    let Some(own) = &config.machine_opens else { return };
    let (probability, share) = ("machine_opens.probability", "machine_opens.user_share");
    // A message stays unopened if neither the client nor the recipient opens it, and recipients open as those of their persona do whose
    // opens can be seen.
    let people = |counts: &Count| counts.successes as f64 / counts.trials.max(1) as f64;
    let (mut unopened, mut expected, mut messages) = (0, 0.0, 0);
    for (ahead, own) in tally.ahead.iter().zip(&tally.own).filter(|(_, own)| own.trials > 0) {
        unopened += ahead.trials - ahead.successes;
        messages += ahead.trials;
        expected += ahead.trials as f64 * (1.0 - people(own));
    }
    if unopened == 0 || expected <= 0.0 {
        sheet.skip(probability, "no message of a recipient whose client opens ahead stayed unopened");
        sheet.skip(share, "how often such clients open is not known");
        return;
    }
    let missed = unopened as f64 / expected;
    let error = (unopened as f64 * (1.0 - unopened as f64 / messages as f64)).sqrt() / expected;
    let parameter = Parameter::level(probability, "share", own.probability, "unopened messages of such recipients over those of others");
    sheet.normal(parameter, Scale::Linear, 1.0 - missed, error, messages);
    // Of those with few messages, some were not found out.
    let shows: f64 = (0..).zip(&tally.by_delivered).map(|(count, users)| *users as f64 * (1.0 - missed.powi(count))).sum();
    let estimate = tally.opened_ahead as f64 / shows;
    let error = (estimate * (1.0 - estimate).max(0.0) / shows).sqrt();
    let parameter = Parameter::level(share, "share", own.user_share, "recipients with an open by such a client");
    sheet.normal(parameter, Scale::Linear, estimate, error, shows as u64);
    for key in ["soon_share", "soon_median_minutes", "soon_sigma"] {
        sheet.skip(format!("machine_opens.{key}"), "opens of recipients and fetches of their clients are one row");
    }
}

/// Time zones, of those whose zone is known, and how many those are.
fn zones(model: &EmailModel, tally: &Tally<'_>, users: u64, sheet: &mut Sheet) {
    let Some(zones) = model.zones() else { return };
    let known: u64 = tally.zones.values().sum();
    if tally.users == 0 {
        sheet.skip("timezones.known_share", "there is no table of users");
    } else {
        let parameter = Parameter::level("timezones.known_share", "share", zones.known_share, "recipients with a time zone");
        sheet.share(parameter, known, users);
    }
    for (zone, share) in zones.list().iter().zip(zones.shares()).filter(|_| zones.list().len() > 1) {
        let path = format!("timezones.zones.{} (share)", zone.name);
        if known == 0 {
            sheet.skip(path, "no recipient's time zone is known");
        } else {
            let parameter = Parameter::level(path, "share", *share, "share of recipients whose time zone is known");
            sheet.share(parameter, tally.zones.get(zone.name).copied().unwrap_or(0), known);
        }
    }
}

/// Who gets blasts, and how fast their queues drain.
fn blasts(law: &Law<'_>, tally: &Tally<'_>, users: u64, sheet: &mut Sheet) {
    let model = law.model();
    for (number, blast) in (0..).zip(model.blasts()) {
        let path = |key: &str| format!("blasts.{}.{key}", blast.name);
        if model.suppresses_sends() {
            sheet.skip(path("share"), "circuit breakers stop sends");
        } else {
            let sent = tally.blasted.get(&number).copied().unwrap_or(0);
            sheet.share(Parameter::level(path("share"), "share", blast.share, "recipients that got it"), sent, users);
        }
        let (mut n, mut beyond, mut spread) = (0, 0.0, 0.0);
        for ((_, [top, batch, weekend]), wait) in tally.waits.iter().filter(|((of, _), wait)| *of == number && wait.n > 1) {
            let cell = Cell { top: *top, batch: *batch, weekend: *weekend };
            n += wait.n;
            beyond += wait.n as f64 * (wait.mean - Queue::new(model, blast, cell).mean_of_rest());
            spread += wait.n as f64 * wait.variance();
        }
        if n < 2 || beyond <= 0.0 {
            sheet.skip(path("drain_seconds"), "fewer than two of its messages were delivered, or none waited");
            continue;
        }
        let method = "twice the mean latency beyond that of its moment without a queue";
        let parameter = Parameter::level(path("drain_seconds"), "seconds", blast.seconds, method);
        sheet.normal(parameter, Scale::Linear, 2.0 * beyond / n as f64, 2.0 * spread.sqrt() / n as f64, n);
    }
}

/// Campaigns and providers.
fn shares(config: &EmailConfig, tally: &Tally<'_>, sheet: &mut Sheet) {
    let weights: f64 = config.campaigns.values().map(|campaign| campaign.weight).sum();
    let known: u64 = config.campaigns.keys().map(|id| tally.campaigns.get(id).copied().unwrap_or(0)).sum();
    for (id, campaign) in config.campaigns.iter().filter(|_| config.campaigns.len() > 1) {
        let path = format!("campaigns.{id}.weight (share)");
        let parameter = Parameter::level(path, "share", campaign.weight / weights, "share of scheduled sends");
        sheet.share(parameter, tally.campaigns.get(id).copied().unwrap_or(0), known);
    }
    let weights: f64 = config.esps.values().sum();
    let known: u64 = config.esps.keys().map(|name| tally.esps.get(name).copied().unwrap_or(0)).sum();
    for (name, weight) in config.esps.iter().filter(|_| config.esps.len() > 1) {
        let parameter = Parameter::level(format!("esps.{name} (share)"), "share", weight / weights, "share of sends");
        sheet.share(parameter, tally.esps.get(name).copied().unwrap_or(0), known);
    }
}

/// The law of latencies and its congestion.
fn latency(config: &LognormalLatency, tally: &Tally<'_>, sheet: &mut Sheet) {
    let regular = &tally.regular_logs;
    let at = |name: &str| format!("latency.lognormal.{name}");
    let median = Parameter::level(at("median_seconds"), "seconds", config.median_seconds, "mean of logarithms, regular hours of weekdays");
    sheet.log_mean(median, regular);
    let sigma = Parameter::level(at("sigma"), "of the logarithm", config.sigma, "deviation of logarithms, regular hours of weekdays");
    sheet.normal_deviation(sigma, regular);
    let ratio = |sheet: &mut Sheet, name: &str, truth: f64, sample: &Moments| {
        let parameter = Parameter::factor(at(name), truth, "mean latency over that of regular hours, weekdays");
        if sample.n < 2 || tally.regular.n < 2 {
            return sheet.skip(at(name), "fewer than two messages of this type");
        }
        let relative = |moments: &Moments| moments.variance() / (moments.mean * moments.mean * moments.n as f64);
        let error = (relative(sample) + relative(&tally.regular)).sqrt();
        sheet.normal(parameter, Scale::Log, sample.mean / tally.regular.mean, error, sample.n);
    };
    if let Some(top) = &config.top_of_hour {
        ratio(sheet, "top_of_hour.factor (mean)", f64::midpoint(top.factor.low, top.factor.high), &tally.top);
    }
    if let Some(batch) = &config.batch {
        ratio(sheet, "batch.factor (mean)", f64::midpoint(batch.factor.low, batch.factor.high), &tally.batch);
    }
    if let Some(weekend) = &config.weekend {
        let sample = &tally.weekend_logs;
        let parameter = Parameter::factor(at("weekend.factor"), weekend.factor, "difference of mean logarithms, regular hours");
        if sample.n < 2 || regular.n < 2 {
            return sheet.skip(at("weekend.factor"), "fewer than two messages of this type");
        }
        let error = (sample.variance() / sample.n as f64 + regular.variance() / regular.n as f64).sqrt();
        sheet.normal(parameter, Scale::Log, (sample.mean - regular.mean).exp(), error, sample.n);
    }
}
