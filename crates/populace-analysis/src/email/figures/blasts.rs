//! How long the messages of a blast took, by their place in its queue.

use super::{MICROSECONDS, cell_index, cell_of};
use crate::email::queue::Queue;
use crate::email::{Law, Message};
use crate::report::figure::{Axis, Chart, Draw, Figure, Panel, Plot, Role, Series};
use crate::report::measure::{Sketch, quantile_of};
use crate::stats::merge_fields;
use populace_core::email::EmailModel;

/// Places in the queue that are drawn.
const PLACES: usize = 50;

/// Messages of the blasts, in the document's order.
pub(super) struct Blasts {
    /// Latencies, seconds.
    latencies: Vec<Sketch>,
    /// How many messages each kind of congestion had.
    cells: Vec<[u64; 8]>,
}

merge_fields!(Blasts { latencies, cells });

impl Blasts {
    pub(super) fn new(model: &EmailModel) -> Self {
        let blasts = model.blasts().len();
        Self { latencies: vec![Sketch::default(); blasts], cells: vec![[0; 8]; blasts] }
    }

    /// Adds a delivered message, if it is of a blast.
    pub(super) fn add(&mut self, law: Option<&Law<'_>>, message: &Message) {
        let Some((blast, delivered)) = message.blast.map(usize::from).zip(message.delivered) else { return };
        if message.deferrals > 0 || message.delivered_row.is_none_or(|row| row == message.sent_row) {
            return;
        }
        self.latencies[blast].add(delivered.since(message.sent) as f64 / MICROSECONDS);
        if let Some(law) = law {
            self.cells[blast][cell_index(law.model().latency_cell(message.sent))] += 1;
        }
    }

    /// Latency by the place in the queue, a panel for each blast.
    pub(super) fn figure(&self, law: Option<&Law<'_>>, model: &EmailModel) -> Option<Figure> {
        let places: Vec<f64> = (0..PLACES).map(|place| (place as f64 + 0.5) / PLACES as f64).collect();
        let panel = |number: usize| {
            let (blast, latencies) = (&model.blasts()[number], &self.latencies[number]);
            // Latencies are shown in minutes.
            let minutes = |seconds: f64| seconds / 60.0;
            let mut series = Vec::new();
            if law.is_some() {
                let cells = self.cells[number].iter().enumerate().filter(|(_, n)| **n > 0);
                let queues: Vec<(f64, Queue)> = cells.map(|(cell, n)| (*n as f64, Queue::new(model, blast, cell_of(cell)))).collect();
                let total: f64 = queues.iter().map(|(n, _)| n).sum();
                let cdf = |seconds: f64| queues.iter().map(|(n, queue)| n * queue.cdf(seconds)).sum::<f64>() / total;
                let longest = 2.0 * 86_400.0;
                let truth = places.iter().map(|place| Some(minutes(quantile_of(cdf, *place, 0.0, longest)))).collect();
                series.push(Series::new("true", Role::Truth, Draw::Line, truth).at(places.iter().copied()));
            }
            let seen = places.iter().map(|place| latencies.quantile(*place).map(minutes)).collect();
            series.push(Series::new("observed", Role::Observed, Draw::Points, seen).at(places.iter().copied()));
            let chart = Chart {
                x: Axis::share("Place in the queue: messages delivered earlier, of the blast").between(0.0, 1.0),
                y: Axis::number("From sending to delivery", "min").from_zero(),
                series,
                ..Chart::default()
            };
            (latencies.n() > 0).then(|| Panel { name: blast.name.replace('_', " "), plot: Plot::Chart(chart) })
        };
        let panels: Vec<Panel> = (0..self.latencies.len()).filter_map(panel).collect();
        let caption = "All messages of a blast are sent at one moment and leave the provider's queue at a rate: the first are delivered at \
                       once, the last when it is empty. The line is the law of the queue and the latency together.";
        (!panels.is_empty()).then(|| Figure::choice("blasts", "Latency by the place in a blast's queue", caption, "Blast", panels))
    }
}
