//! How much is sent, when, by whom; circuit breakers and hot paths; what engages.

use super::{Recipient, window};
use crate::email::Law;
use crate::source::Columns;
use crate::stats::{Pit, Test, dispersion, likelihood_ratio, merge_fields, poisson, poisson_probability};
use crate::verify::board::{Board, Found, z};
use crate::verify::report::Group;
use populace_core::email::EventType;
use populace_core::time::{DAY, HOUR, Instant, MINUTE};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const BYTES_PER_KB: f64 = 1_024.0;
/// Whole bytes blur the place of a size that has fewer of them to choose from.
const FEWEST_SIZES: f64 = 5_000.0;
/// Fewer recipients tell nothing of how counts scatter among them.
const FEWEST_RECIPIENTS: u64 = 20;

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
    breakers: Daily,
    hot_paths: Daily,
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
merge_fields!(Sends<'_> { scheduled, per_day, seconds, breakers, hot_paths, campaigns, subjects, esps, sizes, delivered, sent, agents, networks, hosts } same { law, days });

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
            breakers: daily(),
            hot_paths: daily(),
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

    /// Expected scheduled sends, circuit breakers and hot paths of a user-day.
    fn rates(&self) -> [f64; 3] {
        let config = self.law.config();
        [
            config.sends.per_day,
            config.circuit_breakers.as_ref().map_or(0.0, |law| law.probability),
            config.hot_paths.as_ref().map_or(0.0, |law| law.probability),
        ]
    }

    pub(super) fn see(&mut self, recipient: &Recipient<'_>) {
        let means = self.rates().map(|rate| rate * self.days as f64);
        let begin = window(self.law.config()).begin();
        let mut counts = vec![0_usize; self.days];
        let mut scheduled = 0_u64;
        for (message, trigger) in recipient.sends() {
            self.sent += 1;
            self.delivered += u64::from(message.delivered.is_some());
            *entry(&mut self.esps, recipient.text("esp", message.sent_row)) += 1;
            if let Some(row) = message.delivered_row {
                self.size(recipient, row);
            }
            if trigger.is_some() {
                continue;
            }
            let campaign = recipient.text("campaign_id", message.sent_row);
            *entry(&mut self.campaigns, campaign) += 1;
            let subject = recipient.text("subject", message.sent_row);
            *self.subjects.entry((campaign.to_owned(), subject.to_owned())).or_default() += 1;
            scheduled += 1;
            if let Some(count) = counts.get_mut(day(begin, message.sent)) {
                *count += 1;
            }
            self.seconds.add(message.sent.0.rem_euclid(MINUTE) as f64 / MINUTE as f64);
            let place = self.place_in_day(message.sent);
            note(&mut self.scheduled, begin, message.sent, place);
        }
        for count in counts {
            if self.per_day.len() <= count {
                self.per_day.resize(count + 1, 0);
            }
            self.per_day[count] += 1;
        }
        self.scheduled.scatter += (scheduled as f64 - means[0]).powi(2);
        for &(time, kind) in &recipient.breakers {
            let place = self.place_in_day(time);
            note(&mut self.breakers, begin, time, place);
            *self.breakers.kinds.entry(kind.name()).or_default() += 1;
        }
        for (&time, kind) in recipient.history.hot_paths.iter().zip(&recipient.path_kinds) {
            let place = self.place_in_day(time);
            note(&mut self.hot_paths, begin, time, place);
            *self.hot_paths.kinds.entry(kind.name()).or_default() += 1;
        }
        self.breakers.scatter += (recipient.breakers.len() as f64 - means[1]).powi(2);
        self.hot_paths.scatter += (recipient.history.hot_paths.len() as f64 - means[2]).powi(2);
        self.client(recipient);
    }

    /// The place of a moment within its day on the recipients' clock: the share of the day's weight before it.
    fn place_in_day(&self, moment: Instant) -> f64 {
        let config = self.law.config();
        let hours = config.timezone.local(moment).0.rem_euclid(DAY) as f64 / HOUR as f64;
        let (first, last, night) = (f64::from(config.sends.first_hour), f64::from(config.sends.last_hour) + 1.0, config.sends.night_weight);
        let before = |hours: f64| night * hours.min(first) + (hours.clamp(first, last) - first) + night * (hours - last).max(0.0);
        before(hours) / before(24.0)
    }

    fn size(&mut self, recipient: &Recipient<'_>, row: usize) {
        let config = self.law.config();
        let Some(campaign) = config.campaigns.get(recipient.text("campaign_id", row)) else { return };
        let (mean, factor) = (campaign.mean_size_kb * BYTES_PER_KB, config.size_factor);
        let range = mean * (factor.high - factor.low);
        if range >= FEWEST_SIZES {
            self.sizes.add((recipient.events.int("payload_size_bytes").value(row) as f64 - mean * factor.low) / range);
        }
    }

    fn client(&mut self, recipient: &Recipient<'_>) {
        let (agents, addresses) = (recipient.events.text("user_agent"), recipient.events.text("ip_address"));
        let Some(row) = (0..agents.len()).find(|&row| agents.is_valid(row) && addresses.is_valid(row)) else { return };
        *entry(&mut self.agents, agents.value(row)) += 1;
        if let Ok(address) = addresses.value(row).parse::<Ipv4Addr>() {
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
        let [sends, breakers, hot_paths] = self.rates();
        let user_days = users * self.days as u64;
        let suppressed = config.circuit_breakers.as_ref().is_some_and(|law| law.suppress_sends);
        if suppressed {
            let why = "circuit breakers stop sends, so that their number is no longer Poisson";
            for name in [
                "scheduled sends",
                "scheduled sends of a user-day are Poisson",
                "scheduled sends scatter among recipients as a Poisson law says",
            ] {
                board.skip(group, name, why);
            }
        } else {
            let mean = sends * user_days as f64;
            let test = Test { statistic: z(self.scheduled.total as f64, mean, mean), p_value: poisson(self.scheduled.total, mean) };
            let observed = self.scheduled.total.to_string();
            board.test(group, "scheduled sends", Found { n: user_days, observed, expected: format!("{mean:.1}, Poisson"), test });
            if self.per_day.is_empty() {
                self.per_day.push(0);
            }
            self.per_day[0] += silent * self.days as u64;
            let most = self.per_day.len().max((sends + 12.0 * sends.sqrt() + 20.0) as usize);
            self.per_day.resize(most, 0);
            let mut expected: Vec<f64> = (0..most).map(|count| poisson_probability(count as u64, sends)).collect();
            let rest = 1.0 - expected.iter().sum::<f64>();
            expected[most - 1] += rest.max(0.0);
            // Beyond what doubles tell apart from nothing, something is still possible.
            let expected: Vec<f64> = expected.iter().map(|p| p.max(f64::MIN_POSITIVE)).collect();
            board.test(
                group,
                "scheduled sends of a user-day are Poisson",
                Found::cells(&self.per_day, &expected, &format!("Poisson({sends})")),
            );
            let mean = sends * self.days as f64;
            scatter(board, "scheduled sends", &self.scheduled, [users, silent], [mean, mean, 1.0 / mean]);
        }
        shape(board, "scheduled sends", &self.scheduled, !suppressed);
        board.test(group, "the second within the minute of scheduled sends", Found::places(&self.seconds));
        for (name, daily, rate) in [("circuit breakers", &self.breakers, breakers), ("hot paths", &self.hot_paths, hot_paths)] {
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
            shape(board, name, daily, true);
            board.try_test(group, format!("kinds of {name}"), self.kinds(name, daily));
        }
        self.shares(board);
        self.clients(board);
    }

    fn kinds(&self, name: &str, daily: &Daily) -> Result<Found, String> {
        let config = self.law.config();
        let weights: Vec<(&'static str, f64)> = if name == "hot paths" {
            config.hot_paths.iter().flat_map(|law| &law.kinds).map(|(kind, of)| (EventType::from(*kind).name(), of.weight)).collect()
        } else {
            config.circuit_breakers.iter().flat_map(|law| &law.kinds).map(|(kind, of)| (EventType::from(*kind).name(), of.weight)).collect()
        };
        weighted(weights.iter().map(|(kind, weight)| (*weight, daily.kinds.get(kind).copied().unwrap_or(0))))
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
        board.test(group, "the share that is delivered", Found::share(self.delivered, self.sent, config.delivery.probability));
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

fn entry<'m>(of: &'m mut BTreeMap<String, u64>, key: &str) -> &'m mut u64 {
    if !of.contains_key(key) {
        of.insert(key.to_owned(), 0);
    }
    of.get_mut(key).expect("it was put there")
}

fn day(begin: Instant, moment: Instant) -> usize {
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
    let claim = format!("{name} scatter among recipients as their law says");
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
        Found { n: users, observed: format!("{:.4} of the law's variance", test.statistic), expected: "1".into(), test },
    );
}

/// When something happens: the moment of the day, and the day.
fn shape(board: &mut Board, name: &str, daily: &Daily, days_alike: bool) {
    board.test(Group::Distribution, format!("the moment of the day of {name}"), Found::places(&daily.clock));
    if days_alike {
        let expected = vec![1.0; daily.by_day.len()];
        let test = likelihood_ratio(&daily.by_day, &expected);
        let observed = format!("G² {:.1} over {} days", test.statistic, expected.len());
        board.test(
            Group::Distribution,
            format!("{name} by day"),
            Found { n: daily.total, observed, expected: "alike on all days".into(), test },
        );
    }
}
