//! Clicks by scanners: who is behind one, how often it visits, when, at what pace, and what it leaves.

use super::Recipient;
use super::events::LINK_INDEX;
use crate::email::{Law, Message};
use crate::source::Columns;
use crate::stats::{Pit, merge_fields};
use crate::verify::board::{Board, Calibration, Exact, Found};
use crate::verify::{Group, kit, mix, unit, uuid};
use arrow_array::Array;
use populace_core::email::{Agent, EventType, Scanners};
use populace_core::time::{Instant, SECOND};
use std::collections::BTreeMap;

/// Moments are rounded to the millisecond, seconds.
const ROUNDING: f64 = 1e-3;
/// By when the rule that most people use holds a click for a scanner's, seconds.
const SOON: f64 = 5.0;

/// Shares of scans.
#[derive(Default)]
struct Shares {
    delivered: u64,
    scanned: u64,
    soon: u64,
    within_a_minute: u64,
    with_images: u64,
}

merge_fields!(Shares { delivered, scanned, soon, within_a_minute, with_images });

/// The rows of a scan: links with their moments, in order, and the moments at which images were loaded and the recipient was unsubscribed.
#[derive(Default)]
struct Rows {
    clicks: Vec<(Instant, Option<i64>)>,
    images: Option<Instant>,
    unsubscribed: Option<Instant>,
}

/// Recipients behind a scanner, and its rows.
pub(super) struct Scanned<'a> {
    law: &'a Law<'a>,
    scanners: &'a Scanners,
    whose: Exact,
    links: Exact,
    visits: Exact,
    left: Exact,
    /// Recipients whom their first scan unsubscribes.
    first: [u64; 2],
    recipients: Calibration<()>,
    shares: Shares,
    starts: Pit,
    gaps: Pit,
    /// By user agent, among those of the document's scanners.
    agents: Vec<u64>,
    /// By link, the clicks of people.
    chosen: Vec<u64>,
}

merge_fields!(Scanned<'_> { whose, links, visits, left, first, recipients, shares, starts, gaps, agents, chosen } same { law, scanners });

impl<'a> Scanned<'a> {
    pub(super) fn new(law: &'a Law<'a>, scanners: &'a Scanners) -> Self {
        Self {
            law,
            scanners,
            whose: Exact::new("rows of scanners are of recipients behind one, each by one user agent"),
            links: Exact::new("link_index is a link of the message in each clicked, and null elsewhere"),
            visits: Exact::new("a scan visits every link once, one after another, and loads images as it begins"),
            left: Exact::new("a scan unsubscribes its recipient by the first scan or never, as soon as it has visited the other links"),
            first: [0; 2],
            recipients: Calibration::new("recipients behind a scanner"),
            shares: Shares::default(),
            starts: Pit::default(),
            gaps: Pit::default(),
            agents: Vec::new(),
            chosen: vec![0; usize::from(scanners.links)],
        }
    }

    /// Adds a recipient.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>) {
        let is_behind = self.law.is_scanned(recipient.id());
        let scans = self.rows(recipient, is_behind);
        let mut delivered = 0;
        for message in &recipient.history.messages {
            let Some(at) = message.delivered else { continue };
            delivered += 1;
            if let Some(rows) = scans.get(&message.id) {
                self.scan(at, message.id, rows, recipient);
            }
        }
        if is_behind {
            self.shares.delivered += delivered;
            self.shares.scanned += scans.len() as u64;
        }
        // Whom the first scan made leave would have been shown by what was not sent any more.
        let is_out = self.leaves(recipient);
        let shows = if is_out { 1.0 } else { 1.0 - (1.0 - self.scanners.probability).powf(delivered as f64) };
        self.recipients.add_to((), self.scanners.user_share * shows, !scans.is_empty());
        self.recipients.end_actor();
    }

    /// Whether a scan has unsubscribed a recipient: the first of all, unless something before has made it leave.
    fn leaves(&mut self, recipient: &Recipient<'_>) -> bool {
        let messages = &recipient.history.messages;
        let is_out = messages.iter().any(|message| message.scanned_out().is_some());
        if self.scanners.unsubscribe_on_get > 0.0 {
            let first = messages.iter().position(|message| message.scan.is_some());
            let acts = |message: &Message| message.unsubscribed.or(message.reported).is_some();
            let first = first.filter(|first| !messages[..*first].iter().any(acts));
            let by_first = first.is_some_and(|first| messages[first].scanned_out().is_some());
            self.first[0] += u64::from(by_first);
            self.first[1] += u64::from(first.is_some());
            self.left.hold(is_out == by_first, || recipient.id().to_owned());
        } else {
            self.left.hold(!is_out, || recipient.id().to_owned());
        }
        is_out
    }

    /// The rows of scanners by message; and what every row says of links.
    fn rows(&mut self, recipient: &Recipient<'_>, is_behind: bool) -> BTreeMap<u128, Rows> {
        let events = recipient.events;
        let links = events.batch.int(LINK_INDEX.name);
        let agents = recipient.config().scanners.as_ref().map_or(&[][..], |own| &own.user_agents);
        let mut scans: BTreeMap<u128, Rows> = BTreeMap::new();
        let mut own: Option<&str> = None;
        for (row, kind) in events.kinds.iter().enumerate() {
            let place = || format!("{} of {}", events.types.value(row), recipient.id());
            let link = links.is_valid(row).then(|| links.value(row));
            let is_click = *kind == Some(EventType::Clicked);
            let known = link.is_none_or(|link| (0..i64::from(self.scanners.links)).contains(&link));
            self.links.hold(known && link.is_some() == is_click, place);
            if events.agent(row) != Agent::Scanner {
                if let Some(count) = link.and_then(|link| self.chosen.get_mut(usize::try_from(link).ok()?)) {
                    *count += 1;
                }
                continue;
            }
            let agent = events.user_agent.value(row);
            self.whose.hold(is_behind && *own.get_or_insert(agent) == agent, place);
            let scan = scans.entry(events.messages.get(row).unwrap_or_default()).or_default();
            match kind {
                Some(EventType::Clicked) => scan.clicks.push((events.time(row), link)),
                Some(EventType::Unsubscribed) => scan.unsubscribed = Some(events.time(row)),
                _ => scan.images = Some(events.time(row)),
            }
        }
        if let Some(agent) = own {
            self.agents.resize(agents.len(), 0);
            kit::count(self.agents.get_mut(kit::position(agents, agent)));
        }
        scans
    }

    fn scan(&mut self, delivered: Instant, message: u128, rows: &Rows, recipient: &Recipient<'_>) {
        let seconds = |from: Instant, to: Instant| to.since(from) as f64 / SECOND as f64;
        let Some((begun, _)) = rows.clicks.first().copied() else {
            return self.visits.hold(false, || format!("message {} of {}", uuid(message), recipient.id()));
        };
        let gaps = || rows.clicks.windows(2).map(|pair| seconds(pair[0].0, pair[1].0));
        let [low, high] = self.scanners.gaps();
        let in_range = gaps().all(|gap| (low - ROUNDING..=high + ROUNDING).contains(&gap));
        let in_order = rows.clicks.iter().map(|(_, link)| *link).eq((0..i64::from(self.scanners.links)).map(Some));
        let together = rows.images.is_none_or(|images| images == begun);
        if let (Some(left), Some((last, _))) = (rows.unsubscribed, rows.clicks.last()) {
            let soon = (low - ROUNDING..=high + ROUNDING).contains(&seconds(*last, left));
            self.left.hold(soon, || format!("message {} of {}", uuid(message), recipient.id()));
        }
        self.visits.hold(in_range && in_order && together, || format!("message {} of {}", uuid(message), recipient.id()));
        let start = seconds(delivered, begun);
        self.starts.add(self.scanners.start_cdf(start));
        self.shares.soon += u64::from(start < SOON);
        self.shares.within_a_minute += u64::from(start < 60.0);
        self.shares.with_images += u64::from(rows.images.is_some());
        for (place, gap) in (0..).zip(gaps()) {
            // Anywhere within its millisecond, since places are finer than that.
            let own = (unit(mix(message as u64 ^ place)) - 0.5) * ROUNDING;
            if let Some(place) = self.scanners.gap_place(gap + own) {
                self.gaps.add(place);
            }
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        board.exact(self.whose);
        board.exact(self.links);
        board.exact(self.visits);
        let unsubscribes = self.scanners.unsubscribe_on_get;
        if unsubscribes > 0.0 {
            board.exact(self.left);
        }
        self.recipients.report_as(board, Group::Calibration, 0.0, |()| "all".to_owned());
        let Shares { delivered, scanned, soon, within_a_minute, with_images } = self.shares;
        let mut share = |name: &str, hits: u64, n: u64, p: f64| {
            if n > 0 {
                board.test(Group::Distribution, name, Found::share(hits, n, p));
            } else {
                board.skip(Group::Distribution, name, "there are none");
            }
        };
        share("messages of theirs that are scanned", scanned, delivered, self.scanners.probability);
        share("scans that begin within 5 seconds", soon, scanned, self.scanners.start_cdf(SOON - ROUNDING / 2.0));
        share("scans that begin within a minute", within_a_minute, scanned, self.scanners.start_cdf(60.0 - ROUNDING / 2.0));
        share("scans that load images", with_images, scanned, self.scanners.pixel_share);
        if unsubscribes > 0.0 {
            share("recipients whom their first scan unsubscribes", self.first[0], self.first[1], unsubscribes);
        }
        for (name, places) in [("delays of scans", &self.starts), ("seconds from one link of a scan to the next", &self.gaps)] {
            if places.n() > 0 {
                board.test(Group::Distribution, name, Found::places(places));
            } else {
                board.skip(Group::Distribution, name, "there are none");
            }
        }
        for (name, counts) in [("user agents of scanners", &self.agents), ("links that people click", &self.chosen)] {
            if counts.len() > 1 && counts.iter().sum::<u64>() > 0 {
                board.test(Group::Distribution, name, kit::weigh(counts, &vec![1.0; counts.len()]));
            } else {
                board.skip(Group::Distribution, name, "there is no choice, or there are none");
            }
        }
    }
}
