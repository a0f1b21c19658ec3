//! Unsubscribes and complaints: how often, when, whose complaints the sender is told of, and what is not sent any more.

use super::Recipient;
use super::latency::minutes;
use crate::email::{Law, Message};
use crate::source::{As, Columns, Want};
use crate::stats::{Pit, PoissonBinomial, binomial, merge_fields};
use crate::verify::board::{Board, Calibration, Exact, Found, z};
use crate::verify::{Group, uuid};
use arrow_array::{Array, RecordBatch};
use populace_core::email::{Leaving, Reply};
use populace_core::time::Instant;

/// What rounding may do to a probability of the truth.
const ROUNDING: f64 = 1e-12;
/// Deliveries beyond these are one group.
const MOST_DELIVERIES: u32 = 40;
/// Fewer events than these in either group tell nothing of a ratio.
const FEWEST: u64 = 5;

/// The column of `events` that comes with it, where there are no attempts.
pub(super) const RESPONSE: Want = Want::nullable("response", As::Text);

/// The columns of the truth of messages.
pub(super) fn wants() -> [Want; 6] {
    [
        Want::optional("recent_deliveries", As::Int),
        Want::optional("leaving_frequency", As::Float),
        Want::optional("leaving_campaign", As::Float),
        Want::optional("p_unsubscribe", As::Float),
        Want::optional("p_complaint", As::Float),
        Want::optional("complained_at", As::Instant),
    ]
}

/// Messages that may make their recipient leave, and what follows where one does.
pub(super) struct Leavers<'a> {
    law: &'a Law<'a>,
    leaving: &'a Leaving,
    once: Exact,
    after: Exact,
    stopped: Exact,
    told: Exact,
    /// Unsubscribes, and complaints that are told of.
    all: Calibration<usize>,
    unsubscribes: Calibration<u32>,
    campaigns: Calibration<usize>,
    complaints: Calibration<u32>,
    /// Unsubscribes after few deliveries, and after more.
    few: PoissonBinomial,
    many: PoissonBinomial,
    /// Waits from an open, and from a delivery without one.
    waits: [Pit; 2],
}

merge_fields!(Leavers<'_> { once, after, stopped, told, all, unsubscribes, campaigns, complaints, few, many, waits } same { law, leaving });

impl<'a> Leavers<'a> {
    pub(super) fn new(law: &'a Law<'a>, leaving: &'a Leaving) -> Self {
        Self {
            law,
            leaving,
            once: Exact::new("a recipient unsubscribes and complains at most once, of one message"),
            after: Exact::new("unsubscribes and complaints follow the delivery of their message, and its open where it has one"),
            stopped: Exact::new("nothing is sent once an unsubscribe or a complaint takes effect: it is dropped, and nothing before"),
            told: Exact::new("complaints are told of by providers with a feedback loop alone"),
            all: Calibration::new("unsubscribes and complaints"),
            unsubscribes: Calibration::new("unsubscribes by the deliveries of the days before"),
            campaigns: Calibration::new("unsubscribes by campaign"),
            complaints: Calibration::new("complaints by the deliveries of the days before, where they are told of"),
            few: PoissonBinomial::default(),
            many: PoissonBinomial::default(),
            waits: <[Pit; 2]>::default(),
        }
    }

    /// Adds a recipient; `shows_opens` is whether its rows say when it opens.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>, shows_opens: bool) {
        let (history, id) = (recipient.history, recipient.id());
        let reports = self.law.mailbox_of(id).is_some_and(|mailbox| mailbox.reports);
        let acts = |message: &Message| message.unsubscribed.or(message.reported).or(message.scanned_out()).is_some();
        let leavers = history.messages.iter().filter(|message| acts(message)).count();
        self.once.hold(leavers <= 1, || format!("{id} leaves {leavers} times"));
        for message in &history.messages {
            let place = || format!("message {} of {id}", uuid(message.id));
            let from = message.opened.filter(|_| shows_opens).or(message.delivered);
            for act in [message.unsubscribed, message.reported].into_iter().flatten() {
                self.after.hold(from.is_some_and(|from| from <= act), place);
            }
            if message.reported.is_some() {
                self.told.hold(reports, place);
            }
            if message.may_leave {
                self.risk(recipient, message, (reports, shows_opens));
            }
        }
        self.all.end_actor();
        self.unsubscribes.end_actor();
        self.campaigns.end_actor();
        self.complaints.end_actor();
        self.stops(recipient);
    }

    fn risk(&mut self, recipient: &Recipient<'_>, message: &Message, (reports, shows_opens): (bool, bool)) {
        let campaign = recipient.campaigns[message.sent_row];
        if campaign >= recipient.config().campaigns.len() {
            return;
        }
        let deliveries = message.recent_deliveries;
        let p = self.leaving.p_unsubscribe(deliveries, campaign);
        let hit = message.unsubscribed.is_some();
        self.all.add_to(0, p, hit);
        self.unsubscribes.add_to(deliveries.min(MOST_DELIVERIES), p, hit);
        self.campaigns.add_to(campaign, p, hit);
        let few = deliveries <= self.leaving.config().tolerated;
        if few { &mut self.few } else { &mut self.many }.add(p, hit);
        if reports {
            let p = self.leaving.p_complaint(deliveries);
            self.all.add_to(1, p, message.reported.is_some());
            self.complaints.add_to(deliveries.min(MOST_DELIVERIES), p, message.reported.is_some());
        }
        let Some(delivered) = message.delivered.filter(|_| shows_opens) else { return };
        for act in [message.unsubscribed, message.reported].into_iter().flatten() {
            match message.opened {
                Some(opened) => self.waits[0].add(self.leaving.after_open(minutes(act, opened))),
                None => self.waits[1].add(self.leaving.after_delivery(minutes(act, delivered))),
            }
        }
    }

    /// What is sent and what is dropped before and after a recipient has left.
    fn stops(&mut self, recipient: &Recipient<'_>) {
        let history = recipient.history;
        let until = history.left().zip(self.leaving.takes_effect_after()).map(|((left, _), after)| left.plus(after));
        let is_over = |at: Instant| until.is_some_and(|until| at >= until);
        let sent = history.messages.iter().find(|message| is_over(message.sent));
        self.stopped.hold(sent.is_none(), || format!("message {} of {}", sent.map_or_else(String::new, |of| uuid(of.id)), recipient.id()));
        let responses = recipient.events.batch.text("response");
        for &(at, row) in &history.dropped {
            let by_us = responses.is_valid(row) && responses.value(row) == Reply::UnsubscribedAddress.response();
            self.stopped.hold(!by_us || is_over(at), || format!("dropped at {at} of {}", recipient.id()));
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        for law in [self.once, self.after, self.stopped, self.told] {
            board.exact(law);
        }
        let many = |deliveries: u32| {
            if deliveries == MOST_DELIVERIES { format!("{deliveries} or more") } else { deliveries.to_string() }
        };
        let ids: Vec<&String> = self.law.config().campaigns.keys().collect();
        let kinds = ["unsubscribes", "complaints that are told of"];
        self.all.report_as(board, Group::Calibration, 0.0, |kind| kinds[kind].to_owned());
        self.unsubscribes.report_as(board, Group::Calibration, 0.0, many);
        self.campaigns.report_as(board, Group::Calibration, 0.0, |campaign| ids[campaign].clone());
        self.complaints.report_as(board, Group::Calibration, 0.0, many);
        ratio(&self.few, &self.many, board);
        let [after_open, after_delivery] = self.waits;
        for (name, places) in
            [("waits from an open to an unsubscribe or a complaint", after_open), ("waits from a delivery without an open", after_delivery)]
        {
            if places.n() > 0 {
                board.test(Group::Distribution, name, Found::places(&places));
            } else {
                board.skip(Group::Distribution, name, "there are none");
            }
        }
    }
}

/// The hazard after many deliveries over that after few: of all unsubscribes, a share is expected after many.
fn ratio(few: &PoissonBinomial, many: &PoissonBinomial, board: &mut Board) {
    let name = "unsubscribes per delivery after many deliveries over those after few";
    let (hits, n) = (many.hits(), few.hits() + many.hits());
    if few.hits().min(many.hits()) < FEWEST || few.expected() <= 0.0 || many.expected() <= 0.0 {
        board.skip(Group::Distribution, name, "there are too few unsubscribes");
        return;
    }
    let share = many.expected() / (few.expected() + many.expected());
    let times = |few: f64, many: f64, tries: [u64; 2]| format!("{:.3} times", many / tries[1] as f64 / (few / tries[0] as f64));
    let tries = [few.tries(), many.tries()];
    let mean = share * n as f64;
    let found = Found {
        n,
        observed: times(few.hits() as f64, many.hits() as f64, tries),
        expected: times(few.expected(), many.expected(), tries),
        test: crate::stats::Test { statistic: z(hits as f64, mean, mean * (1.0 - share)), p_value: binomial(hits, n, share) },
    };
    board.test(Group::Distribution, name, found);
}

/// Whether the truth of a message says what it was decided by, as the events have it: `row` is that of the truth.
pub(super) fn truth_holds(recipient: &Recipient<'_>, leaving: &Leaving, message: &Message, truth: &RecordBatch, row: usize) -> bool {
    let float = |name: &str| {
        let column = truth.float(name);
        column.is_valid(row).then(|| column.value(row))
    };
    let deliveries = truth.int("recent_deliveries");
    let names = ["leaving_frequency", "leaving_campaign", "p_unsubscribe", "p_complaint"];
    let found = names.map(float);
    let complained = truth.instant("complained_at");
    let complained = complained.is_valid(row).then(|| complained.value(row));
    let campaign = recipient.campaigns[message.sent_row];
    if message.delivered.is_none() || campaign >= recipient.config().campaigns.len() {
        return deliveries.is_null(row) && found.iter().all(Option::is_none) && complained.is_none();
    }
    let own = message.recent_deliveries;
    let [unsubscribe, complaint] =
        if message.may_leave { [leaving.p_unsubscribe(own, campaign), leaving.p_complaint(own)] } else { [0.0; 2] };
    let expected = [leaving.frequency(own), leaving.campaign(campaign), unsubscribe, complaint];
    let told = message.reported.is_none_or(|reported| complained == Some(reported.0));
    told && deliveries.is_valid(row)
        && deliveries.value(row) == i64::from(own)
        && found.iter().zip(expected).all(|(found, expected)| found.is_some_and(|found| (found - expected).abs() < ROUNDING))
}
