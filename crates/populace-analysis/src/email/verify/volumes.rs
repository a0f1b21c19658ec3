//! How much is sent, when, by whom; circuit breakers and hot paths; what engages.

use super::{Due, Recipient, window};
use crate::email::Law;
use crate::stats::{Pit, Test, dispersion, entry, merge_fields, poisson, poisson_probability};
use crate::verify::Group;
use crate::verify::board::{Board, Found, z};
use populace_core::email::{EventType, Group as EventGroup};
use populace_core::time::{DAY, Instant, MINUTE};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const BYTES_PER_KB: f64 = 1_024.0;
/// Whole bytes blur the place of a size that has fewer of them to choose from.
const FEWEST_SIZES: f64 = 5_000.0;
/// Fewer recipients tell nothing of how counts scatter among them.
const FEWEST_RECIPIENTS: u64 = 20;

/// What is expected of days without seasons.
const ALIKE: &str = "alike on all days";

/// What befalls a user at most once a day.
const OCCASIONS: [EventGroup; 2] = [EventGroup::Breaker, EventGroup::HotPath];

/// Counts of an event among user-days.
#[derive(Default)]
struct Daily {
    total: u64,
    /// Σ (count − mean)² over recipients.
    scatter: f64,
    by_day: Vec<u64>,
    clock: Pit,
    kinds: BTreeMap<&'static str, u64>,
}

/// What is sent, and what else happens.
pub(super) struct Sends<'a> {
    law: &'a Law<'a>,
    days: usize,
    scheduled: Daily,
    /// User-days with so many scheduled sends, of recipients that were seen.
    per_day: Vec<u64>,
    seconds: Pit,
    /// Of [`OCCASIONS`].
    occasions: [Daily; 2],
    campaigns: BTreeMap<String, u64>,
    subjects: BTreeMap<(String, String), u64>,
    esps: BTreeMap<String, u64>,
    sizes: Pit,
    delivered: u64,
    sent: u64,
    agents: BTreeMap<String, u64>,
    networks: BTreeMap<[u8; 3], u64>,
    hosts: Pit,
}

merge_fields!(Daily { total, scatter, by_day, clock, kinds });
merge_fields!(Sends<'_> { scheduled, per_day, seconds, occasions, campaigns, subjects, esps, sizes, delivered, sent, agents, networks, hosts } same { law, days });

impl<'a> Sends<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        let days = law.config().window.days as usize;
        let daily = || Daily { by_day: vec![0; days], ..Daily::default() };
        Self {
            law,
            days,
            scheduled: daily(),
            per_day: Vec::new(),
            seconds: Pit::default(),
            occasions: [daily(), daily()],
            campaigns: BTreeMap::new(),
            subjects: BTreeMap::new(),
            esps: BTreeMap::new(),
            sizes: Pit::default(),
            delivered: 0,
            sent: 0,
            agents: BTreeMap::new(),
            networks: BTreeMap::new(),
            hosts: Pit::default(),
        }
    }

    pub(super) fn add(&mut self, recipient: &Recipient<'_>) {
        let (model, days) = (self.law.model(), self.days as f64);
        let begin = window(self.law.config()).begin();
        let (calendar, minute) = (model.calendar(), self.law.config().minute_of_sends());
        let mut counts = vec![0_usize; self.days];
        let mut scheduled = 0_u64;
        for message in &recipient.history.messages {
            self.sent += 1;
            self.delivered += u64::from(message.delivered.is_some());
            if let Some(place) = message.delivered_row.and_then(|row| size_place(recipient, row)) {
                self.sizes.add(place);
            }
        }
        for Due { at, row, trigger, blast } in &recipient.due {
            if blast.is_some() {
                continue;
            }
            *entry(&mut self.esps, recipient.events.esp.value(*row)) += 1;
            if trigger.is_some() {
                continue;
            }
            let campaign = recipient.events.campaign_id.value(*row);
            *entry(&mut self.campaigns, campaign) += 1;
            let subject = recipient.events.subject.value(*row);
            *self.subjects.entry((campaign.to_owned(), subject.to_owned())).or_default() += 1;
            scheduled += 1;
            let sent = recipient.on_days(*at);
            if let Some(count) = counts.get_mut(day(begin, sent)) {
                *count += 1;
            }
            self.seconds.add(at.0.rem_euclid(MINUTE) as f64 / MINUTE as f64);
            note(&mut self.scheduled, begin, sent, calendar.before_by(sent, minute));
        }
        for count in counts {
            if self.per_day.len() <= count {
                self.per_day.resize(count + 1, 0);
            }
            self.per_day[count] += 1;
        }
        self.scheduled.scatter += (scheduled as f64 - self.law.scheduled()).powi(2);
        let interests = recipient.history.interests.iter().copied().zip(recipient.interests.iter().copied());
        let events: Vec<(Instant, EventType)> = recipient.breakers.iter().copied().chain(interests).collect();
        for (group, daily) in OCCASIONS.iter().zip(&mut self.occasions) {
            let mut count = 0.0;
            for &(time, kind) in events.iter().filter(|(_, kind)| kind.group() == *group) {
                // With zones the calendar is that of the recipient's clock, else it knows everybody's.
                let moment = if model.zones().is_some() { recipient.local(time) } else { time };
                note(daily, begin, recipient.on_days(time), calendar.before(moment));
                *daily.kinds.entry(kind.name()).or_default() += 1;
                count += 1.0;
            }
            daily.scatter += (count - model.per_day(*group) * days).powi(2);
        }
        self.client(recipient);
    }

    fn client(&mut self, recipient: &Recipient<'_>) {
        let Some((agent, address)) = recipient.events.client() else { return };
        *entry(&mut self.agents, agent) += 1;
        if let Ok(address) = address.parse::<Ipv4Addr>() {
            let [a, b, c, host] = address.octets();
            *self.networks.entry([a, b, c]).or_default() += 1;
            // Half-way within the host's own share.
            self.hosts.add((f64::from(host) - 0.5) / 254.0);
        }
    }

    pub(super) fn report(mut self, recipients: u64, board: &mut Board) {
        let config = self.law.config();
        let group = Group::Distribution;
        let users = config.population.users;
        let silent = users.saturating_sub(recipients);
        let sends = config.sends.per_day;
        let user_days = users * self.days as u64;
        let suppressed = self.law.model().suppresses_sends();
        if suppressed {
            let why = "circuit breakers stop sends, so that their number is no longer Poisson";
            for name in
                ["scheduled sends", "scheduled sends of a user-day are Poisson", "scheduled sends are Poisson distributed among recipients"]
            {
                board.skip(group, name, why);
            }
        } else {
            let mean = sends * self.law.model().mean_volume() * user_days as f64;
            let test = Test { statistic: z(self.scheduled.total as f64, mean, mean), p_value: poisson(self.scheduled.total, mean) };
            let observed = self.scheduled.total.to_string();
            board.test(group, "scheduled sends", Found { n: user_days, observed, expected: format!("{mean:.1}, Poisson"), test });
            if self.per_day.is_empty() {
                self.per_day.push(0);
            }
            self.per_day[0] += silent * self.days as u64;
            // By mean, the share of the days.
            let mut means: BTreeMap<u64, f64> = BTreeMap::new();
            for day in 0..self.days as u32 {
                *means.entry((sends * self.law.model().volume_of(day)).to_bits()).or_default() += 1.0;
            }
            let greatest = means.keys().map(|bits| f64::from_bits(*bits)).fold(0.0, f64::max);
            let most = self.per_day.len().max((greatest + 12.0 * greatest.sqrt() + 20.0) as usize);
            self.per_day.resize(most, 0);
            let of_day = |count: u64, (mean, days): (&u64, &f64)| days * poisson_probability(count, f64::from_bits(*mean));
            let shares = (0..most as u64).map(|count| means.iter().map(|mean| of_day(count, mean)).sum::<f64>() / self.days as f64);
            let mut expected: Vec<f64> = shares.collect();
            let rest = 1.0 - expected.iter().sum::<f64>();
            expected[most - 1] += rest.max(0.0);
            // Beyond what doubles tell apart from nothing, something is still possible.
            let expected: Vec<f64> = expected.iter().map(|p| p.max(f64::MIN_POSITIVE)).collect();
            board.test(
                group,
                "scheduled sends of a user-day are Poisson",
                Found::cells(&self.per_day, &expected, &format!("Poisson({sends})")),
            );
            let mean = self.law.scheduled();
            scatter(board, "scheduled sends", &self.scheduled, [users, silent], [mean, mean, 1.0 / mean]);
        }
        let volumes = (0..self.days as u32).map(|day| self.law.model().volume_of(day)).collect();
        let by_day = if self.law.model().effects().season().is_some() { "the volumes of their seasons" } else { ALIKE };
        shape(board, "scheduled sends", &self.scheduled, (!suppressed).then_some((volumes, by_day)));
        board.test(group, "the second within the minute of scheduled sends", Found::places(&self.seconds));
        for (group_of, daily) in OCCASIONS.iter().zip(&self.occasions) {
            let name = match group_of {
                EventGroup::Breaker => "circuit breakers",
                _ => "hot paths",
            };
            let rate = self.law.model().per_day(*group_of);
            if rate <= 0.0 {
                board.skip(group, name, format!("there are no {name} in the document"));
                continue;
            }
            board.test(group, name, Found::share(daily.total, user_days, rate));
            let (mean, days) = (rate * self.days as f64, self.days as f64);
            let variance = mean * (1.0 - rate);
            scatter(
                board,
                name,
                daily,
                [users, silent],
                [mean, variance, (1.0 - 6.0 * rate * (1.0 - rate)) / (days * rate * (1.0 - rate))],
            );
            shape(board, name, daily, Some((vec![1.0; self.days], ALIKE)));
            let weights = self.law.model().occasion(*group_of).into_iter().flat_map(|occasion| occasion.happenings.iter());
            let kinds = weights.map(|kind| (kind.weight, daily.kinds.get(kind.event_type.name()).copied().unwrap_or(0)));
            board.try_test(group, format!("types of {name}"), weighted(kinds));
        }
        self.shares(board);
        self.clients(board);
    }

    fn shares(&self, board: &mut Board) {
        let (config, group) = (self.law.config(), Group::Distribution);
        let count = |of: &BTreeMap<String, u64>, id: &String| of.get(id).copied().unwrap_or(0);
        let campaigns = config.campaigns.iter().map(|(id, campaign)| (campaign.weight, count(&self.campaigns, id)));
        board.try_test(group, "campaigns of scheduled sends", weighted(campaigns));
        board.try_test(group, "providers", weighted(config.esps.iter().map(|(id, weight)| (*weight, count(&self.esps, id)))));
        let subjects = config.campaigns.iter().filter(|(_, campaign)| campaign.subjects.len() > 1).filter_map(|(id, campaign)| {
            let of = |subject: &String| (1.0, self.subjects.get(&(id.clone(), subject.clone())).copied().unwrap_or(0));
            Some((id, weighted(campaign.subjects.iter().map(of)).ok()?))
        });
        board.try_test(group, "a campaign's subjects are equally likely", Found::worst(subjects));
        if self.sizes.n() > 0 {
            board.test(group, "sizes over their campaign's mean are uniform", Found::places(&self.sizes));
        } else {
            board.skip(group, "sizes over their campaign's mean are uniform", "the sizes are a few bytes, or there are none");
        }
        let name = "the share that is delivered";
        match config.delivery.probability {
            Some(probability) => board.test(group, name, Found::share(self.delivered, self.sent, probability)),
            None => board.skip(group, name, "attempts decide, which have checks of their own"),
        }
    }

    fn clients(&self, board: &mut Board) {
        let (config, group) = (self.law.config(), Group::Distribution);
        let agents = config.user_agents.iter().map(|agent| (1.0, self.agents.get(agent).copied().unwrap_or(0)));
        board.try_test(group, "user agents are equally likely", weighted(agents));
        let networks = self.networks.values().map(|count| (1.0, *count));
        let networks =
            if self.networks.len() == config.ip_networks.len() { weighted(networks) } else { Err("too few recipients engage".into()) };
        board.try_test(group, "networks are equally likely", networks);
        board.test(group, "addresses are equally likely within their network", Found { expected: "uniform".into(), ..hosts(&self.hosts) });
    }
}

/// The hosts' distances: whole numbers, to which the likelihood ratio of equal bins does not apply.
fn hosts(sample: &Pit) -> Found {
    let test = sample.distance();
    Found { n: sample.n(), observed: format!("distance {:.4} over {}", test.statistic, sample.n()), expected: String::new(), test }
}

/// The place of a payload's size within the range that its campaign gives it.
pub(super) fn size_place(recipient: &Recipient<'_>, row: usize) -> Option<f64> {
    let config = recipient.config();
    let campaign = recipient.campaign(row)?;
    let (mean, factor) = (campaign.mean_size_kb * BYTES_PER_KB, config.size_factor);
    let range = mean * (factor.high - factor.low);
    let bytes = recipient.events.size.value(row) as f64;
    (range >= FEWEST_SIZES).then(|| (bytes - mean * factor.low) / range)
}

pub(super) fn day(begin: Instant, moment: Instant) -> usize {
    usize::try_from(moment.since(begin).div_euclid(DAY)).unwrap_or(usize::MAX)
}

fn note(daily: &mut Daily, begin: Instant, moment: Instant, place: f64) {
    daily.total += 1;
    if let Some(count) = daily.by_day.get_mut(day(begin, moment)) {
        *count += 1;
    }
    daily.clock.add(place);
}

/// Counts against weights.
fn weighted(of: impl Iterator<Item = (f64, u64)>) -> Result<Found, String> {
    let (weights, counts): (Vec<f64>, Vec<u64>) = of.unzip();
    if counts.iter().sum::<u64>() == 0 {
        return Err("there are none".into());
    }
    Ok(Found::cells(&counts, &weights, "the document's weights"))
}

/// How counts scatter among recipients, `silent` of whom have none: `of` is a recipient's mean, variance and excess kurtosis.
fn scatter(board: &mut Board, name: &str, daily: &Daily, [users, silent]: [u64; 2], of: [f64; 3]) {
    let claim = format!("{name} have the distribution of the document among recipients");
    let [mean, variance, excess] = of;
    if users < FEWEST_RECIPIENTS || variance <= 0.0 {
        board.skip(Group::Distribution, claim, "there are too few recipients or events");
        return;
    }
    let statistic = (daily.scatter + silent as f64 * mean * mean) / variance;
    let test = dispersion(statistic, users, users as f64 * (2.0 + excess));
    board.test(
        Group::Distribution,
        claim,
        Found { n: users, observed: format!("{:.4} of the expected variance", test.statistic), expected: "1".into(), test },
    );
}

/// When something happens: the moment of the day, and the day.
fn shape(board: &mut Board, name: &str, daily: &Daily, by_day: Option<(Vec<f64>, &str)>) {
    board.test(Group::Distribution, format!("the moment of the day of {name}"), Found::places(&daily.clock));
    if let Some((expected, rule)) = by_day {
        board.test(Group::Distribution, format!("{name} by day"), Found::cells(&daily.by_day, &expected, rule));
    }
}
