//! A schedule of the user's own: read, checked and laid out by recipient.

use crate::error::AnalysisError;
use crate::source::{As, Columns, TableSource, Want, shown, values};
use crate::watch::Watch;
use arrow_array::RecordBatch;
use populace_core::email::{EmailModel, Planned, Uuid};
use populace_core::scenario::Scenario;
use populace_core::time::{HOUR, Instant};
use populace_io::catalogue;
use populace_io::document::{Resolved, suggest};
use populace_io::error::RunError;
use populace_io::files::sha256_of;
use populace_io::generator::Generator;
use populace_io::tables::Tables;
use populace_io::tables::email::{Email, MOST_OF_A_DAY, Plans, Unfit, actor_of};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const RECIPIENT: &str = "recipient_id";
const TIME: &str = "send_time";
const CAMPAIGN: &str = "campaign_id";
const SUBJECT: &str = "subject";
const DECISION: &str = "decision_id";

const WANTS: [Want; 5] = [
    Want { name: RECIPIENT, kind: As::Text, nullable: true, optional: false },
    Want { name: TIME, kind: As::Zoned, nullable: true, optional: false },
    Want::optional(CAMPAIGN, As::Text),
    Want::optional(SUBJECT, As::Text),
    Want::optional(DECISION, As::Text),
];

/// The most problems of a file that are told one by one; the others are counted.
const TOLD: usize = 20;
const MILLISECOND: i64 = 1_000;

/// The generator of a document that mails by a schedule, with the rows of the file.
pub(super) fn load(document: &Resolved, file: &Path, watch: &Watch<'_>) -> Result<Box<dyn Generator>, AnalysisError> {
    let model: EmailModel = catalogue::model(document)?;
    let named = model.config().policy.as_ref().and_then(|policy| policy.base.sha256.clone());
    let Some(named) = named.filter(|_| model.decider().is_some_and(populace_core::email::Decider::is_of_schedule)) else {
        return Err(AnalysisError::input(format!(
            "{}: the document mails by no schedule of your own\nhint: `policy replay RUN --schedule FILE` mails the people of a run by it",
            file.display()
        )));
    };
    let table = TableSource::file(file)?;
    let found = sha256_of(file).map_err(|error| AnalysisError::io(file, error))?;
    if found != named {
        return Err(AnalysisError::input(format!(
            "{}: is not the schedule of the document: its SHA-256 is {found}, and the document has {named}\n\
             hint: give that file; to mail by this one, `policy replay RUN --schedule FILE`",
            file.display()
        )));
    }
    let mut reading = Reading::new(&model, file);
    let temporary = |error| AnalysisError::io(std::env::temp_dir(), error);
    let mut plans = Plans::new(model.config().population.users).map_err(temporary)?;
    let mut first = 1;
    for batch in table.read(&WANTS)? {
        let batch = batch?;
        if watch.stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(RunError::Interrupted.into());
        }
        let rows = Rows::new(&batch);
        for row in 0..batch.num_rows() {
            if let Some((actor, planned)) = reading.row(&rows, row, first + row as u64) {
                plans.push(actor, first + row as u64, &planned).map_err(temporary)?;
            }
        }
        first += batch.num_rows() as u64;
    }
    let rows = plans
        .sorted(|unfit| match unfit {
            Unfit::Repeated { earlier, later } => {
                let what = format!("is that of row {earlier}, too");
                reading.tell(later, DECISION, &what, "a decision is on one message: leave one of them out");
            }
            Unfit::Crowded { row } => {
                let what = format!("the recipient has more than {MOST_OF_A_DAY} rows on that day");
                reading.tell(row, TIME, &what, "spread them over more days");
            }
        })
        .map_err(temporary)?;
    reading.finish()?;
    Ok(Box::new(Email::new(model.with_schedule(Arc::new(rows)))))
}

/// The columns of a batch.
struct Rows<'a> {
    columns: [crate::source::Texts<'a>; 5],
}

impl<'a> Rows<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        Self { columns: WANTS.map(|want| batch.text(want.name)) }
    }

    fn get(&self, column: usize, row: usize) -> Option<&'a str> {
        let text = self.columns[column];
        text.is_valid(row).then(|| text.value(row).trim()).filter(|value| !value.is_empty())
    }
}

/// What is known while a file is read, and all that is wrong with it.
struct Reading<'a> {
    file: &'a Path,
    users: u64,
    window: [Instant; 2],
    campaigns: BTreeMap<&'a str, u8>,
    /// The campaigns and numbers of a subject.
    subjects: BTreeMap<&'a str, Vec<(u8, u16)>>,
    told: Vec<(u64, String)>,
    problems: u64,
}

impl<'a> Reading<'a> {
    fn new(model: &'a EmailModel, file: &'a Path) -> Self {
        let config = model.config();
        let mut subjects: BTreeMap<&str, Vec<(u8, u16)>> = BTreeMap::new();
        let mut number = 0;
        for (campaign, own) in config.campaigns.values().enumerate() {
            for subject in &own.subjects {
                subjects.entry(subject).or_default().push((campaign as u8, number));
                number += 1;
            }
        }
        Self {
            file,
            users: config.population.users,
            window: [model.window().begin(), model.window().end()],
            campaigns: config.campaigns.keys().enumerate().map(|(number, id)| (id.as_str(), number as u8)).collect(),
            subjects,
            told: Vec::new(),
            problems: 0,
        }
    }

    fn tell(&mut self, row: u64, column: &str, what: &str, hint: &str) {
        self.problems += 1;
        if self.told.len() < TOLD {
            self.told.push((row, format!("{}: row {row}, {column}: {what}; {hint}", self.file.display())));
        }
    }

    /// What a row says, unless something is wrong with it.
    fn row(&mut self, rows: &Rows<'_>, row: usize, number: u64) -> Option<(u64, Planned)> {
        let before = self.problems;
        let actor = self.recipient(rows.get(0, row), number);
        let time = self.time(rows.get(1, row), number);
        let campaign = rows.get(2, row).and_then(|id| self.campaign(id, number));
        let (campaign, subject) = match rows.get(3, row) {
            None => (campaign, None),
            Some(text) => {
                self.subject(text, campaign, number).map_or((campaign, None), |(campaign, subject)| (Some(campaign), Some(subject)))
            }
        };
        let decision = rows.get(4, row).and_then(|text| {
            let id = text.parse::<Uuid>().ok();
            if id.is_none() {
                self.tell(
                    number,
                    DECISION,
                    &format!("{} is not a UUID", shown(text)),
                    "it is that of a row of `decisions`; leave it empty where there is none",
                );
            }
            id
        });
        let (actor, time) = (actor?, time?);
        (self.problems == before).then_some((actor, Planned { time, decision, campaign, subject }))
    }

    fn recipient(&mut self, id: Option<&str>, row: u64) -> Option<u64> {
        let actor = id.and_then(actor_of).filter(|actor| *actor < self.users);
        if actor.is_none() {
            let what = id.map_or_else(|| "is empty".to_owned(), |id| format!("{} is no recipient of the run", shown(id)));
            self.tell(row, RECIPIENT, &what, &format!("there are {}, from synth_user_01000 on", self.users));
        }
        actor
    }

    fn time(&mut self, text: Option<&str>, row: u64) -> Option<Instant> {
        const HINT: &str = "write it as 2025-10-01T08:30:00Z or 2025-10-01T10:30:00+02:00";
        let Some(text) = text else {
            self.tell(row, TIME, "is empty", HINT);
            return None;
        };
        let field = values::trim(text.as_bytes());
        let read = |zone: i64| values::instant(field, crate::source::Times { zone, ..Default::default() }).map(|read| read.value);
        let Some(micros) = read(0) else {
            self.tell(row, TIME, &format!("{} is no moment", shown(text)), HINT);
            return None;
        };
        if read(HOUR) != Some(micros) {
            self.tell(row, TIME, &format!("{} has no zone", shown(text)), HINT);
            return None;
        }
        let time = Instant(micros.div_euclid(MILLISECOND) * MILLISECOND);
        let [begin, end] = self.window;
        if time < begin || time >= end {
            let hint = format!("the run mails from {begin} until before {end}");
            self.tell(row, TIME, &format!("{time} lies outside the window"), &hint);
            return None;
        }
        Some(time)
    }

    fn campaign(&mut self, id: &str, row: u64) -> Option<u8> {
        let found = self.campaigns.get(id).copied();
        if found.is_none() {
            let known: Vec<&str> = self.campaigns.keys().copied().collect();
            let hint = suggest(id, &known, "campaigns");
            self.tell(row, CAMPAIGN, &format!("{} is no campaign that is scheduled", shown(id)), &hint);
        }
        found
    }

    fn subject(&mut self, text: &str, campaign: Option<u8>, row: u64) -> Option<(u8, u16)> {
        let of = self.subjects.get(text);
        let found = of.and_then(|of| of.iter().find(|(own, _)| campaign.is_none_or(|campaign| campaign == *own)).copied());
        if found.is_none() {
            let (what, hint) = if of.is_some() {
                ("is a subject of another campaign", "name that one")
            } else {
                ("is no subject of a campaign", "leave it out, or add it to the campaign's `subjects`")
            };
            self.tell(row, SUBJECT, &format!("{} {what}", shown(text)), hint);
        }
        found
    }

    fn finish(mut self) -> Result<(), AnalysisError> {
        if self.problems == 0 {
            return Ok(());
        }
        self.told.sort_by_key(|(row, _)| *row);
        let mut lines: Vec<String> = self.told.into_iter().map(|(_, line)| line).collect();
        let more = self.problems - lines.len() as u64;
        if more > 0 {
            lines.push(format!("{}: {more} further problems", self.file.display()));
        }
        Err(AnalysisError::input(lines.join("\n")))
    }
}
