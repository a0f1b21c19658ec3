//! Opens and clicks.

use crate::email::history::Agents;
use crate::email::{Inference, Law, Message, Posterior, Recipient, recipients};
use crate::error::AnalysisError;
use crate::score::binary::{Binary, Row};
use crate::score::card::{Predictor, Scorecard};
use crate::score::predictions::{Key, Missing, Predictions, finite, probability};
use crate::score::rows::RowsFile;
use crate::score::{Context, fill};
use crate::source::{As, Columns, Side, Want};
use arrow_array::{Array, RecordBatch};
use populace_core::email::{Agent, EmailModel, EventType};
use populace_io::catalogue;
use std::collections::HashMap;

const TRUTH: [Want; 4] = [
    Want::new("recipient_id", As::Text),
    Want::new("message_id", As::Uuid),
    Want::nullable("p_open", As::Float),
    Want::nullable("p_click", As::Float),
];
/// A further column, where there are machines.
const HUMAN: Want = Want::nullable("human_opened_at", As::Instant);
/// Who opened or clicked.
const AGENTS: [Want; 3] = [Want::new("recipient_id", As::Text), Want::new("event_id", As::Uuid), Want::new("agent", As::Text)];
const EVENT_ID: Want = Want::new("event_id", As::Uuid);
const CEILINGS: [Predictor; 2] = [Predictor::Observable, Predictor::Latent];
/// Drift is told of where the relative standard deviation that it adds up to is above this.
const SMALL_DRIFT: f64 = 0.01;

/// What is predicted of a message.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// That it is opened.
    Open,
    /// That it is clicked, once it is opened.
    Click,
    /// That a machine opened it, once it is opened.
    Machine,
}

impl Step {
    /// What names a row of predictions.
    const fn key(self) -> &'static str {
        match self {
            Self::Open | Self::Click => "message_id",
            Self::Machine => "event_id",
        }
    }
}

/// Scores opens.
pub(crate) fn opens(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    score(context, Step::Open)
}

/// Scores clicks.
pub(crate) fn clicks(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    score(context, Step::Click)
}

/// Scores who opened: the recipient or a machine.
pub(crate) fn machines(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    score(context, Step::Machine)
}

fn score(context: &Context<'_>, step: Step) -> Result<Scorecard, AnalysisError> {
    let model: &EmailModel = &catalogue::model(context.document)?;
    if matches!(step, Step::Machine) && !model.has_agents() {
        return Err(AnalysisError::input(
            "machine_open: the scenario of this run has no `machine_opens` and no `scanners`, so that all opens are people's\nhint: generate a run with one of the sections",
        ));
    }
    let options = context.options;
    let wants = [Want::new("score", As::Float)];
    let value = if options.ranks { finite } else { probability };
    let predictions = Predictions::<u128, f64>::read(context, step.key(), &wants, |batch, row| value(batch, "score", row))?;
    let law = Law::new(model, context.source.seed(context.document));
    let judge = Judge { step, inference: &Inference::new(&law), predictions: &predictions };
    let mut scorer = Scorer {
        step,
        has_agents: model.has_agents(),
        has_machines: model.machine_opens().is_some(),
        predictions: &predictions,
        missing: Missing::default(),
        binary: Binary::new(&CEILINGS, !options.ranks),
        rows: RowsFile::create(options.rows.as_deref(), &format!("{},label,score,p_observable,p_latent", step.key()))?,
    };
    let personas = law.personas();
    let work = |recipient: Recipient| Ok((usize::from(recipient.person.persona), judge.recipient(&recipient)?));
    let wants: Vec<Want> = TRUTH.into_iter().chain(model.has_agents().then_some(HUMAN)).collect();
    let messages = Side { table: "truth/messages", wants: &wants, time: None };
    let agents = Side { table: "truth/events", wants: &AGENTS, time: None };
    let (columns, sides) = match step {
        Step::Open | Step::Click => (&[][..], vec![messages]),
        Step::Machine => (&[EVENT_ID][..], vec![messages, agents]),
    };
    recipients::each(context.source, &law, columns, &sides, context.watch, work, |(persona, judged): (usize, Vec<Judged>)| {
        judged.into_iter().try_for_each(|judged| scorer.take(judged, &personas[persona].name))?;
        scorer.binary.end_user();
        Ok(())
    })?;
    scorer.finish(context, drift(model))
}

/// A message: where its prediction is and what is known of it, or that there is none.
#[derive(Clone, Copy)]
enum Judged {
    Predicted(usize, Row),
    Missing(u128),
}

/// What a recipient's data says.
struct Judge<'a> {
    step: Step,
    inference: &'a Inference<'a>,
    predictions: &'a Predictions<u128, f64>,
}

impl Judge<'_> {
    fn recipient(&self, recipient: &Recipient) -> Result<Vec<Judged>, AnalysisError> {
        let law = self.inference.law();
        let Recipient { ref history, ref more, .. } = *recipient;
        let id = &history.recipient_id;
        let truth = truths(more[0].as_ref(), law.model().has_agents());
        let mut order: Vec<&Message> = history.messages.iter().filter(|message| self.decided(message).is_some()).collect();
        order.sort_by_key(|message| self.decided(message));
        let mut filters = self.inference.filters(history);
        let agents = Agents::new(law.config());
        let (rows, scanned) = if matches!(self.step, Step::Machine) { opened_rows(recipient, agents) } else { Default::default() };
        let mut judged = Vec::with_capacity(order.len() + scanned.len());
        let unsaid = || AnalysisError::input(format!("truth/events: does not say who opened a message of {id}; generate the run again"));
        for row in scanned {
            judged.push(match self.predictions.place(&row.event_id) {
                // A scanner says what it is.
                Some(place) => Judged::Predicted(place, Row { label: row.is_machine.ok_or_else(unsaid)?, model: 0.0, ceilings: [1.0; 2] }),
                None => Judged::Missing(row.event_id),
            });
        }
        for message in order {
            let row = rows.get(&message.id);
            let key = row.map_or(message.id, |row| row.event_id);
            let Some(place) = self.predictions.place(&key) else {
                judged.push(Judged::Missing(key));
                continue;
            };
            let Known { p: known, human } = truth.get(&message.id).copied().flatten().ok_or_else(|| {
                AnalysisError::input(format!("truth/messages: has no probability of a delivered message of {id}; generate the run again"))
            })?;
            let impossible = || {
                AnalysisError::input(format!("events: what {id} did cannot happen in this scenario; is the run's scenario.yaml its own?"))
            };
            let delivered = message.delivered.ok_or_else(impossible)?;
            let row = match self.step {
                Step::Open => {
                    let mut opens = 0.0;
                    for (of_zone, posterior) in filters.before(delivered).ok_or_else(impossible)? {
                        let unsuppressed = self.inference.open_unsuppressed(posterior.zone().zone, history, delivered);
                        let p_open = self.inference.p_open(posterior.zone(), message);
                        for ((person, p), weight) in self.inference.people().zip(p_open).zip(posterior.states()) {
                            opens += of_zone * weight * p * unsuppressed[usize::from(person.habit)];
                        }
                    }
                    let unsuppressed = self.inference.open_unsuppressed(recipient.person.zone.zone, history, delivered);
                    Row {
                        label: human.unwrap_or(message.opened.is_some()),
                        model: 0.0,
                        ceilings: [opens, known[0] * unsuppressed[usize::from(recipient.person.habit)]],
                    }
                }
                Step::Click => {
                    let opened = message.opened.ok_or_else(impossible)?;
                    // The open itself is known.
                    let unsuppressed = |zone: u8| self.inference.click_unsuppressed(zone, history, opened);
                    let of_zone = |(weight, posterior): (f64, Posterior<'_>)| {
                        weight * posterior.p_click(message) * unsuppressed(posterior.zone().zone)
                    };
                    let observable = filters.before(opened.plus(1)).ok_or_else(impossible)?.into_iter().map(of_zone).sum();
                    let latent = known[1] * unsuppressed(recipient.person.zone.zone);
                    Row { label: message.clicked.is_some(), model: 0.0, ceilings: [observable, latent] }
                }
                Step::Machine => {
                    let label = row.ok_or_else(impossible)?.is_machine.ok_or_else(unsaid)?;
                    let ceilings = match message.machine_opened {
                        // By a client that opens nothing ahead.
                        None => [0.0; 2],
                        Some(shown) => {
                            let mut observable = 0.0;
                            for (of_zone, posterior) in filters.before(shown.plus(1)).ok_or_else(impossible)? {
                                let share = self.inference.machine_share(history, message, shown, &posterior).ok_or_else(impossible)?;
                                observable += of_zone * share;
                            }
                            let latent = self.inference.machine_share_of(history, message, shown, &recipient.person, known[0]);
                            [observable, latent.ok_or_else(impossible)?]
                        }
                    };
                    Row { label, model: 0.0, ceilings }
                }
            };
            judged.push(Judged::Predicted(place, row));
        }
        Ok(judged)
    }

    /// When the label begins to be open.
    fn decided(&self, message: &Message) -> Option<populace_core::time::Instant> {
        match self.step {
            Step::Open => message.delivered,
            Step::Click => message.opened,
            Step::Machine => message.opened.or(message.machine_opened),
        }
    }
}

/// The `opened` row of a message.
#[derive(Clone, Copy)]
struct OpenedRow {
    event_id: u128,
    /// `None` where the truth does not say.
    is_machine: Option<bool>,
}

/// The `opened` rows of a recipient, by message, and those of its scanner.
fn opened_rows(recipient: &Recipient, of: Agents<'_>) -> (HashMap<u128, OpenedRow>, Vec<OpenedRow>) {
    let Some(events) = &recipient.events else { return Default::default() };
    let mut agents: HashMap<u128, bool> = HashMap::new();
    if let Some(truth) = recipient.more.get(1).and_then(Option::as_ref) {
        let (ids, names) = (truth.uuid("event_id"), truth.text("agent"));
        agents.extend((0..truth.num_rows()).filter_map(|row| Some((ids.get(row)?, names.value(row) != Agent::Human.name()))));
    }
    let (ids, messages, types) = (events.uuid("event_id"), events.uuid("message_id"), events.text("event_type"));
    let user_agents = events.text("user_agent");
    let (mut by_message, mut scanned) = (HashMap::new(), Vec::new());
    for row in (0..events.num_rows()).filter(|row| types.value(*row) == EventType::Opened.name()) {
        let Some((event_id, message)) = ids.get(row).zip(messages.get(row)) else { continue };
        let opened = OpenedRow { event_id, is_machine: agents.get(&event_id).copied() };
        if of.of(user_agents, row) == Agent::Scanner {
            scanned.push(opened);
        } else {
            by_message.insert(message, opened);
        }
    }
    (by_message, scanned)
}

struct Scorer<'a> {
    step: Step,
    /// Whether machines have rows beside those of people, and whether their rows may stand for people's.
    has_agents: bool,
    has_machines: bool,
    predictions: &'a Predictions<u128, f64>,
    missing: Missing,
    binary: Binary,
    rows: Option<RowsFile>,
}

impl Scorer<'_> {
    fn take(&mut self, judged: Judged, persona: &str) -> Result<(), AnalysisError> {
        let (place, mut row) = match judged {
            Judged::Predicted(place, row) => (place, row),
            Judged::Missing(id) => {
                self.missing.add(&id);
                return Ok(());
            }
        };
        // Weighted sums of probabilities may pass 1 by a rounding.
        row.ceilings = row.ceilings.map(|p| p.min(1.0));
        row.model = *self.predictions.value(place);
        self.predictions.mark(place);
        self.binary.add(&row, persona);
        if let Some(file) = &mut self.rows {
            let (label, [observable, latent]) = (u8::from(row.label), row.ceilings);
            let id = Key::show(self.predictions.id(place));
            file.write(format_args!("{id},{label},{},{observable},{latent}", row.model))?;
        }
        Ok(())
    }

    fn finish(self, context: &Context<'_>, drift: Option<String>) -> Result<Scorecard, AnalysisError> {
        let (what, label) = match self.step {
            Step::Open if self.has_agents => ("delivered message", "the recipient opens it (`human_opened_at`), of each delivered message"),
            Step::Open => ("delivered message", "an `opened` row exists, of each delivered message"),
            Step::Click if self.has_machines => {
                ("opened message", "a `clicked` row exists, of each message opened by a client that opens nothing ahead")
            }
            Step::Click if self.has_agents => ("opened message", "the recipient clicks, of each message that the recipient opened"),
            Step::Click => ("opened message", "a `clicked` row exists, of each opened message"),
            Step::Machine => ("opened row", "a machine opened it before the recipient did, of each `opened` row"),
        };
        self.predictions.check_all_seen(match self.step {
            Step::Open => "is not a delivered message of the run",
            Step::Click if self.has_machines => "is not a message of the run that was opened by a client which opens nothing ahead",
            Step::Click if self.has_agents => "is not a message of the run that its recipient opened",
            Step::Click => "is not an opened message of the run",
            Step::Machine => "is not an `opened` row of the run",
        })?;
        if !context.options.subset {
            self.missing.check(self.predictions.path(), self.step.key(), what)?;
        }
        if let Some(file) = self.rows {
            file.finish()?;
        }
        let mut card = context.card(label);
        fill(&mut card, &self.binary, "persona");
        if self.missing.count() > 0 {
            card.counts.insert("without a prediction".into(), self.missing.count() as u64);
        }
        card.notes.extend(drift);
        Ok(card)
    }
}

/// What the truth says of a delivered message.
#[derive(Clone, Copy)]
struct Known {
    /// `p_open` and `p_click`.
    p: [f64; 2],
    /// Whether the recipient opened it, where rows do not say so.
    human: Option<bool>,
}

/// What is known of each message of a recipient, `None` of one that was not delivered.
fn truths(truth: Option<&RecordBatch>, has_agents: bool) -> HashMap<u128, Option<Known>> {
    let Some(truth) = truth else { return HashMap::new() };
    let (ids, opens, clicks) = (truth.uuid("message_id"), truth.float("p_open"), truth.float("p_click"));
    let humans = has_agents.then(|| truth.instant(HUMAN.name));
    let known = |row: usize| {
        (opens.is_valid(row) && clicks.is_valid(row))
            .then(|| Known { p: [opens.value(row), clicks.value(row)], human: humans.map(|humans| humans.is_valid(row)) })
    };
    (0..truth.num_rows()).filter_map(|row| Some((ids.get(row)?, known(row)))).collect()
}

/// What the observable ceiling leaves out.
fn drift(model: &EmailModel) -> Option<String> {
    let amplitude = model.config().drift.as_ref()?.amplitude;
    let months = f64::from(model.config().window.days) / 30.4;
    let deviation = amplitude * (months / 3.0).sqrt();
    (deviation > SMALL_DRIFT).then(|| {
        format!(
            "rates drift by up to {:.1}% (one standard deviation) over the run; the observable ceiling uses their distribution but does not learn the rates, so a model may exceed it",
            100.0 * deviation
        )
    })
}
