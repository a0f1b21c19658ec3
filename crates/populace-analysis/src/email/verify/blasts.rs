//! Blasts: who gets them, when they are sent, and how they leave the queue.

use super::Recipient;
use crate::email::Law;
use crate::email::queue::Queue;
use crate::source::Columns;
use crate::stats::{Pit, merge_fields};
use crate::verify::board::{Board, Exact, Found};
use crate::verify::{Group, uuid};
use arrow_array::{Array, RecordBatch};
use populace_core::email::Blast;
use populace_core::email::laws::Cell;
use populace_core::time::SECOND;
use std::collections::{BTreeMap, HashMap};

/// What rounding to the millisecond may do, seconds.
const ROUNDING: f64 = 2e-3;

/// All congestion that there may be.
fn cells() -> impl Iterator<Item = Cell> {
    (0..8).map(|number| Cell { top: number & 1 > 0, batch: number & 2 > 0, weekend: number & 4 > 0 })
}

/// The messages of one blast.
#[derive(Default)]
struct Own {
    sent: u64,
    latencies: Pit,
    places: Pit,
    /// Messages by provider and subject.
    ways: BTreeMap<(String, String), u64>,
}

merge_fields!(Own { sent, latencies, places, ways });

/// The messages of all blasts.
pub(super) struct Blasts<'a> {
    law: &'a Law<'a>,
    laws: &'a [Blast],
    /// By blast and congestion.
    queues: Vec<Vec<(Cell, Queue)>>,
    moments: Exact,
    once: Exact,
    queue: Exact,
    own: Vec<Own>,
    has_truth: bool,
}

merge_fields!(Blasts<'_> { moments, once, queue, own, has_truth } same { law, laws, queues });

impl<'a> Blasts<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Option<Self> {
        let blasts = law.model().blasts();
        (!blasts.is_empty()).then(|| Self {
            law,
            laws: blasts,
            queues: blasts.iter().map(|blast| cells().map(|cell| (cell, Queue::new(law.model(), blast, cell))).collect()).collect(),
            moments: Exact::new("messages of a blast are sent at its moment, of its campaign"),
            once: Exact::new("a recipient gets a blast at most once"),
            queue: Exact::new("the latency of a blast's message is its place in the queue and the product of the other parts"),
            own: blasts.iter().map(|_| Own::default()).collect(),
            has_truth: false,
        })
    }

    pub(super) fn add(&mut self, recipient: &Recipient<'_>, truth: Option<&RecordBatch>) {
        let events = recipient.events;
        let mut counts = vec![0; self.laws.len()];
        let rows = truth.map(|truth| {
            let ids = truth.uuid("message_id");
            (0..truth.num_rows()).filter_map(|row| Some((ids.get(row)?, row))).collect::<HashMap<u128, usize>>()
        });
        for message in &recipient.history.messages {
            let place = || format!("message {} of {}", uuid(message.id), recipient.id());
            let seconds = message.answered.map(|answered| answered.since(message.sent) as f64 / SECOND as f64);
            let queued = rows.as_ref().zip(truth).and_then(|(rows, truth)| queue_of(truth, *rows.get(&message.id)?));
            if let Some([queue, parts]) = queued {
                self.has_truth = true;
                let is_blast = message.blast.is_some();
                let holds = (is_blast || queue == 0.0) && seconds.is_none_or(|seconds| (seconds - queue - parts).abs() <= ROUNDING);
                self.queue.hold(holds, place);
            }
            let Some(number) = message.blast.map(usize::from) else { continue };
            let (blast, own) = (&self.laws[number], &mut self.own[number]);
            let campaign = &self.law.model().campaigns()[usize::from(blast.campaign)].id;
            let holds = message.sent == blast.at(self.law.model().clock(recipient.person.zone.zone))
                && events.campaign_id.value(message.sent_row) == campaign;
            self.moments.hold(holds, place);
            let way = (events.esp.value(message.sent_row).to_owned(), events.subject.value(message.sent_row).to_owned());
            *own.ways.entry(way).or_default() += 1;
            if let Some([queue, _]) = queued {
                own.places.add(queue / blast.seconds);
            }
            if let Some(seconds) = seconds {
                let cell = self.law.model().latency_cell(message.sent);
                if let Some((_, queue)) = self.queues[number].iter().find(|(of, _)| *of == cell) {
                    own.latencies.add(queue.cdf(seconds));
                }
            }
        }
        for blast in recipient.due.iter().filter_map(|due| due.blast) {
            counts[usize::from(blast)] += 1;
            self.own[usize::from(blast)].sent += 1;
        }
        self.once.hold(counts.iter().all(|count| *count <= 1), || recipient.id().to_owned());
    }

    pub(super) fn report(mut self, board: &mut Board) {
        let users = self.law.config().population.users;
        for (blast, own) in self.laws.iter().zip(&self.own) {
            self.moments.require(own.ways.len() <= 1, || format!("{}: by {} providers or subjects", blast.name, own.ways.len()));
        }
        board.exact(self.moments);
        board.exact(self.once);
        if self.has_truth {
            board.exact(self.queue);
        }
        let group = Group::Distribution;
        let suppresses = self.law.model().suppresses_sends();
        let of = |found: &dyn Fn(&Blast, &Own) -> Option<Found>| {
            let found = |(blast, own): (&Blast, &Own)| Some((blast.name.clone(), found(blast, own)?));
            Found::worst(self.laws.iter().zip(&self.own).filter_map(found).collect::<Vec<_>>())
        };
        if suppresses {
            board.skip(group, "the share of recipients that a blast goes to", "circuit breakers stop sends");
        } else {
            board.try_test(
                group,
                "the share of recipients that a blast goes to",
                of(&|blast, own| Some(Found::share(own.sent, users, blast.share))),
            );
        }
        let places = |name: &str, of_own: fn(&Own) -> &Pit, board: &mut Board| {
            board.try_test(group, name, of(&|_, own| Some(of_own(own)).filter(|places| places.n() > 0).map(Found::places)));
        };
        places("latencies of blasts, with the queue", |own| &own.latencies, board);
        if self.has_truth {
            places("places in the queue of blasts", |own| &own.places, board);
        }
    }
}

/// The time in the queue, and the product of the other parts of the latency, of a row of the truth.
fn queue_of(truth: &RecordBatch, row: usize) -> Option<[f64; 2]> {
    let value = |name: &str| {
        let column = truth.float(name);
        column.is_valid(row).then(|| column.value(row))
    };
    let parts = populace_core::email::LATENCY_PARTS.iter().map(|(name, _)| value(name)).product::<Option<f64>>()?;
    Some([value("latency_queue")?, parts])
}
