//! What must not depend on anything else: what a message is, who sends it, whether and how fast it arrives; from where a recipient
//! engages. And recipients that are unlike all others, or too much alike.

use super::volumes::day;
use super::{Recipient, window};
use crate::email::{Law, Message};
use crate::error::AnalysisError;
use crate::stats::{PoissonBinomial, Test, binomial, merge_fields, poisson};
use crate::verify::Group;
use crate::verify::board::{Board, Found, Probable, WorstActor, z};
use crate::verify::kit::{self, Copies, Independence, Series, day_of, part};
use populace_core::email::{Decider, Group as EventGroup};
use populace_io::tables::email::actor_of;
use std::net::Ipv4Addr;

/// Sends of which a recipient needs so many gaps to be told from all others.
const GAPS: usize = 4;
/// Hosts of a network.
const HOSTS: usize = 254;
/// What became of a message.
const OUTCOMES: usize = 4;
/// Fifths of a normal.
const FIFTHS: [f64; 4] = [-0.842, -0.253, 0.253, 0.842];

pub(super) struct Alike<'a> {
    law: &'a Law<'a>,
    campaigns: Independence,
    providers: Independence,
    /// Of a campaign.
    subjects: Vec<Independence>,
    delivered: Independence,
    sizes: Independence,
    latencies: Independence,
    agents: Independence,
    networks: Independence,
    hosts: Independence,
    size_series: Series,
    latency_series: Series,
    own_campaigns: WorstActor,
    own_providers: WorstActor,
    own_deliveries: WorstActor,
    /// Subjects that are those of the message of the campaign before.
    own_subjects: WorstActor,
    sends: WorstActor,
    occasions: [WorstActor; 2],
    copies: Copies,
    /// Sent at whole seconds.
    whole: [u64; 2],
}

merge_fields!(Alike<'_> {
    campaigns, providers, subjects, delivered, sizes, latencies, agents, networks, hosts, size_series, latency_series, own_campaigns,
    own_providers, own_deliveries, own_subjects, sends, occasions, copies, whole,
} same { law });

impl<'a> Alike<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        let config = law.config();
        let (campaigns, providers) = (config.campaigns.len(), config.esps.len());
        let days = kit::days(config.window.days as usize);
        let tenth = ("tenth of the recipients", kit::PARTS);
        let when = [("hour", 24), ("day of the week", 7), ("day", days), ("persona", law.personas().len()), tenth];
        let outcome = ("outcome", OUTCOMES);
        let of = |own: usize, more: &[(&'static str, usize)]| [&when[..], &[("one before", own)], more].concat();
        let of_message = |own: usize| of(own, &[("campaign", campaigns), ("provider", providers)]);
        let who = [("persona", law.personas().len()), ("fifth of opens", 5), ("fifth of sends", 5)];
        let parts = kit::PARTS;
        let arrives = config.delivery.probability.unwrap_or(1.0);
        let share = |part: usize| (0..HOSTS).filter(|host| host * parts / HOSTS == part).count() as f64;
        Self {
            law,
            campaigns: Independence::new(config.campaigns.values().map(|campaign| campaign.weight), &of(campaigns, &[outcome])),
            providers: Independence::new(config.esps.values().copied(), &of(providers, &[outcome, ("campaign", campaigns)])),
            subjects: config
                .campaigns
                .values()
                .map(|campaign| {
                    Independence::equal(campaign.subjects.len(), &of(campaign.subjects.len(), &[outcome, ("provider", providers)]))
                })
                .collect(),
            delivered: Independence::new([1.0 - arrives, arrives], &of_message(2)),
            sizes: Independence::equal(parts, &[&of_message(parts)[..], &[outcome]].concat()),
            latencies: Independence::equal(parts, &of_message(parts)),
            agents: Independence::equal(config.user_agents.len(), &who),
            networks: Independence::equal(config.ip_networks.len(), &who),
            hosts: Independence::new((0..parts).map(share), &who),
            size_series: Series::default(),
            latency_series: Series::default(),
            own_campaigns: WorstActor::default(),
            own_providers: WorstActor::default(),
            own_deliveries: WorstActor::default(),
            own_subjects: WorstActor::default(),
            sends: WorstActor::default(),
            occasions: <[WorstActor; 2]>::default(),
            copies: Copies::default(),
            whole: [0; 2],
        }
    }

    /// Adds a recipient; `opens` are those against what was expected of them.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>, opens: &PoissonBinomial) {
        let (law, config) = (self.law, recipient.config());
        let begin = window(config).begin();
        let days = config.window.days as usize;
        let mut counts = (vec![0; config.campaigns.len()], vec![0; config.esps.len()], PoissonBinomial::default());
        let t = actor_of(recipient.id()).map_or(usize::MAX, |actor| kit::tenth(actor, config.population.users));
        // The message before: campaign, provider, whether delivered, size and latency.
        let mut before = [usize::MAX; 5];
        let scheduled = recipient.due.iter().filter(|due| due.trigger.is_none() && due.blast.is_none()).count() as u64;
        let mut repeats = Probable::default();
        let mut subjects_before = vec![usize::MAX; config.campaigns.len()];
        for (message, trigger) in recipient.sends().filter(|(message, _)| message.blast.is_none()) {
            let row = message.sent_row;
            let (campaign, provider) = (recipient.campaigns[row], recipient.providers[row]);
            let arrived = usize::from(message.delivered.is_some());
            let outcome = arrived + usize::from(message.opened.is_some()) + usize::from(message.clicked.is_some());
            let [hour, weekday] = [message.sent.hour(), message.sent.weekday()].map(usize::from);
            let when = [hour, weekday, day_of(day(begin, recipient.on_days(message.sent)), days), recipient.persona];
            let [h, w, d, p] = when;
            if trigger.is_none() {
                // Variants move the outcomes of some campaigns.
                let outcome = if law.model().effects().experiments().is_some() { usize::MAX } else { outcome };
                self.campaigns.add(campaign, &[h, w, d, p, t, before[0], outcome]);
                kit::count(counts.0.get_mut(campaign));
                before[0] = campaign;
            }
            self.providers.add(provider, &[h, w, d, p, t, before[1], outcome, campaign]);
            kit::count(counts.1.get_mut(provider));
            if let Some((of, known)) = self.subjects.get_mut(campaign).zip(config.campaigns.values().nth(campaign)) {
                let subject = kit::position(&known.subjects, recipient.events.subject.value(row));
                of.add(subject, &[h, w, d, p, t, subjects_before[campaign], outcome, provider]);
                if subjects_before[campaign] != usize::MAX {
                    repeats.add(1.0 / known.subjects.len() as f64, subjects_before[campaign] == subject);
                }
                subjects_before[campaign] = subject;
            }
            if let Some(arrives) = config.delivery.probability {
                self.delivered.add(arrived, &[h, w, d, p, t, before[2], campaign, provider]);
                counts.2.add(arrives, arrived > 0);
            }
            let [mut size, mut latency] = [usize::MAX; 2];
            if let Some(place) = size_of(recipient, message) {
                size = part(place);
                self.size_series.add(place);
                self.sizes.add(size, &[h, w, d, p, t, before[3], campaign, provider, outcome]);
            }
            if let Some(place) = super::latency::place_of(law, message) {
                latency = part(place);
                self.latency_series.add(place);
                self.latencies.add(latency, &[h, w, d, p, t, before[4], campaign, provider]);
            }
            [before[1], before[2], before[3], before[4]] = [provider, arrived, size, latency];
            self.whole[usize::from(message.sent.0 % 1_000_000 == 0)] += 1;
        }
        let id = recipient.id();
        self.size_series.end_actor(id);
        self.latency_series.end_actor(id);
        let campaigns: Vec<f64> = config.campaigns.values().map(|campaign| campaign.weight).collect();
        let providers: Vec<f64> = config.esps.values().copied().collect();
        for (worst, counts, weights) in [(&mut self.own_campaigns, &counts.0, &campaigns), (&mut self.own_providers, &counts.1, &providers)]
        {
            if counts.iter().sum::<u64>() > 0 {
                let found = kit::weigh(counts, weights);
                worst.put(id, found.test.p_value, || found);
            }
        }
        let (hits, n) = (counts.2.hits(), counts.2.tries());
        if let Some(p) = config.delivery.probability {
            self.own_deliveries.put(id, binomial(hits, n, p), || Found::share(hits, n, p));
        }
        self.own_subjects.add(id, repeats, 0.0);
        self.own_counts(recipient, id, scheduled, days);
        self.copies.add(GAPS, recipient.history.messages.iter().map(|message| message.sent.0));
        let mean = law.scheduled();
        self.client(recipient, [fifth(opens.z()), fifth(z(scheduled as f64, mean, mean))]);
    }

    /// How much mail a recipient gets, and how much befalls it.
    fn own_counts(&mut self, recipient: &Recipient<'_>, id: &str, scheduled: u64, days: usize) {
        let model = self.law.model();
        let mean = self.law.scheduled();
        self.sends.put(id, poisson(scheduled, mean), || counted(scheduled, mean));
        let counts = [(EventGroup::Breaker, recipient.breakers.len()), (EventGroup::HotPath, recipient.interests.len())];
        for (worst, (group, count)) in self.occasions.iter_mut().zip(counts) {
            let rate = model.per_day(group);
            worst.put(id, binomial(count as u64, days as u64, rate), || Found::share(count as u64, days as u64, rate));
        }
    }

    fn client(&mut self, recipient: &Recipient<'_>, [opens, sends]: [usize; 2]) {
        let config = recipient.config();
        let Some((agent, address)) = recipient.events.client() else { return };
        let by = [recipient.persona, opens, sends];
        self.agents.add(kit::position(&config.user_agents, agent), &by);
        let Ok(address) = address.parse::<Ipv4Addr>() else { return };
        let [a, b, c, host] = address.octets();
        let network = format!("{a}.{b}.{c}.0/24");
        self.networks.add(kit::position(&config.ip_networks, &network), &by);
        self.hosts.add(usize::from(host).saturating_sub(1) * kit::PARTS / HOSTS, &by);
    }

    pub(super) fn report(self, seen: u64, board: &mut Board) -> Result<(), AnalysisError> {
        let config = self.law.config();
        let subjects = config.campaigns.keys().zip(&self.subjects).flat_map(|(id, of)| of.found(&format!("subjects of {id}")));
        kit::report(board, "campaigns do not depend on anything else", self.campaigns.found("campaigns"));
        kit::report(board, "providers do not depend on anything else", self.providers.found("providers"));
        kit::report(board, "subjects do not depend on anything else", subjects);
        let name = "whether a message arrives does not depend on anything else";
        if config.delivery.probability.is_some() {
            kit::report(board, name, self.delivered.found("delivered"));
        } else {
            board.skip(Group::Distribution, name, "it depends on attempts, which have checks of their own");
        }
        kit::report(
            board,
            "sizes and latencies do not depend on anything else",
            [
                self.sizes.found("sizes"),
                self.latencies.found("latencies"),
                self.size_series.found("sizes"),
                self.latency_series.found("latencies"),
            ]
            .concat(),
        );
        let clients = [self.agents.found("user agents"), self.networks.found("networks"), self.hosts.found("addresses")].concat();
        kit::report(board, "user agents and addresses do not depend on anything else", clients);
        let mut own = vec![("campaigns", self.own_campaigns), ("providers", self.own_providers), ("deliveries", self.own_deliveries)];
        own.push(("repeated subjects", self.own_subjects));
        let keeps_volume = self.law.model().decider().is_none_or(Decider::keeps_volume);
        if keeps_volume && !self.law.model().suppresses_sends() {
            let (mut sends, users) = (self.sends, config.population.users);
            let mean = self.law.scheduled();
            for _ in seen..users.min(seen + 1) {
                sends.put("a recipient without events", (2.0 * (-mean).exp()).min(1.0), || counted(0, mean));
            }
            own.push(("scheduled sends", sends));
        }
        let [breakers, paths] = self.occasions;
        own.extend([("circuit breakers", breakers), ("hot paths", paths)]);
        own.extend([("sizes", self.size_series.of_actors()), ("latencies", self.latency_series.of_actors())]);
        kit::report_actors(board, "no recipient is far from all others", own);
        self.copies.report(board, "no recipient's mail is another's, sooner or later")?;
        let [others, whole] = self.whole;
        let name = "sends have millisecond resolution: one in a thousand is at a whole second";
        board.test(Group::Distribution, name, Found::share(whole, whole + others, 1e-3));
        Ok(())
    }
}

fn counted(count: u64, mean: f64) -> Found {
    let test = Test { statistic: z(count as f64, mean, mean), p_value: poisson(count, mean) };
    Found { n: count, observed: count.to_string(), expected: format!("{mean:.1}, Poisson"), test }
}

fn fifth(z: f64) -> usize {
    FIFTHS.iter().filter(|bound| z > **bound).count()
}

/// The place of a message's size within its campaign's range.
fn size_of(recipient: &Recipient<'_>, message: &Message) -> Option<f64> {
    super::volumes::size_place(recipient, message.delivered_row?)
}
