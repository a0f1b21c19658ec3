//! Raw data into clean tables: `users_clean`, `events_clean` and `user_daily`, the full grid of users and days.
//!
//! Raw files may be dirty. Every row is kept, repaired or dropped, and counted by [reason](reasons).
//!
//! Memory does not grow with the data: where users and events come by user, as in a run, they are read side by side; otherwise they
//! are first spread over temporary files by ranges of users. What grows is a bit for each event where event ids do not ascend, and
//! the events of one user, which are sorted in memory.

mod clean;
mod ids;
mod join;
mod key;
mod output;
pub mod reasons;
mod report;
mod rows;
mod spill;
mod tables;

pub use crate::watch::{Progress, Watch};
pub use report::{GridReport, ReasonReport, Report, TableReport};

use crate::error::AnalysisError;
use crate::source::{ReadOptions, Source};
use crate::stage::Stage;
use arrow_array::RecordBatch;
use clean::{EVENT_COLUMNS, EventCleaner, EventRow, USER_COLUMNS, UserCleaner, UserRow};
use ids::{Repeats, RowSet};
use join::{CleanEvents, CleanUsers, Facts, InOrder, Stream, Tallies, Tally, Visitor, join};
use key::{Ids, Key, Looks};
use output::{Output, Sink, Span, Tables, Which};
use populace_core::churn::ChurnModel;
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, Date};
use populace_io::dataset::MANIFEST;
use populace_io::error::RunError;
use populace_io::files::place::Directory;
use populace_io::files::writer::{FileInfo, TableWriter};
use populace_io::files::{FileOptions, Format};
use populace_io::wording::own;
use reasons::{Drop, Reason};
use rows::RawTable;
use spill::Spill;
use std::cell::Cell;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

/// The name of the report.
pub const REPORT: &str = "prepare_report.json";
/// The names of the tables.
const STEMS: [&str; 3] = ["users_clean", "events_clean", "user_daily"];
/// Days of a grid whose ends are those of the events, at most: more are a sign of a wrong date.
const MOST_DAYS: i32 = 3_660;
/// Rows of a Parquet row group: the tables are one file each, whose metadata stays small.
const ROW_GROUP_ROWS: u64 = 512 << 10;
/// Any moment.
const ALWAYS: Range<i64> = i64::MIN..i64::MAX;
/// Batches that wait to be written, of one table.
const WAITING: usize = 4;

/// What is to be prepared.
#[derive(Clone, Debug)]
pub struct ChurnOptions {
    /// The directory of `users` and `events`.
    pub raw: PathBuf,
    /// The directory for the three tables and the report.
    pub processed: PathBuf,
    /// CSV or Parquet.
    pub format: Format,
    /// Whether `users_clean` keeps `engagement_score`.
    pub keep_latent: bool,
    /// The grid's first day; without one, the run's or that of the first event.
    pub from: Option<Date>,
    /// The grid's last day, included.
    pub to: Option<Date>,
    /// Whether the files of an earlier time may be replaced.
    pub overwrite: bool,
    /// How files are read that are no run.
    pub reading: ReadOptions,
}

/// Prepares the data of a subscription.
///
/// # Errors
/// A table or a required column is missing, no row can be kept, the grid's days are not known or too many, the target is there
/// already, a file cannot be read or written, or the work was stopped ([`RunError::Interrupted`]).
pub fn churn(options: &ChurnOptions, watch: Watch<'_>) -> Result<Report, AnalysisError> {
    let mut remarks = Vec::new();
    let (source, window) = open(options, &mut remarks)?;
    let (users, users_header) = RawTable::open(source.table("users")?, USER_COLUMNS)?;
    let (events, events_header) = RawTable::open(source.table("events")?, EVENT_COLUMNS)?;
    if users_header.missing.contains(&"plan") && users_header.missing.contains(&"is_paid") {
        let files: Vec<String> = users.files().iter().map(|file| file.display().to_string()).collect();
        return Err(AnalysisError::input(format!("{}: has neither a column plan nor a column is_paid", files.join(", "))));
    }
    let first = options.from.or(window.as_ref().map(|window| Date(window.start)));
    let last = options.to.or(window.as_ref().map(|window| Date(window.end - 1)));
    if let (Some(first), Some(last)) = (first, last)
        && first > last
    {
        return Err(AnalysisError::input(format!(
            "the grid's first day {first} lies after its last, {last}; {}",
            own("change --from or --to")
        )));
    }
    // A run's own ids are whole numbers.
    let user_ids = if source.manifest().is_some() { Ids::Whole } else { ids_of(&users, &watch)? };
    let event_ids = Cell::new(Ids::Whole);
    let work = Work { options, users: &users, events: &events, user_ids, event_ids, first, last, watch: &watch };
    let earlier = STEMS.iter().flat_map(|stem| ["csv", "parquet"].map(|ending| format!("{stem}.{ending}"))).chain([REPORT.to_owned()]);
    let stage = Stage::new(&options.processed, earlier.collect(), options.overwrite)?;
    let done = work.run(&stage)?;

    let users = TableReport::new(&users, users_header, &done.tallies.users);
    let events = TableReport::new(&events, events_header, &done.tallies.events);
    for (name, table) in [("users", &users), ("events", &events)] {
        if table.kept == 0 && (name == "users" || table.read > 0) {
            let raw = options.raw.display();
            return Err(AnalysisError::input(format!("{raw}: no row of {name} can be kept: {}", table.why_none())));
        }
    }
    let days = done.days.len() as u64;
    let user_daily = GridReport {
        users: users.kept,
        first_date: Date(done.days.start).to_string(),
        last_date: Date(done.days.end - 1).to_string(),
        days,
        rows: users.kept * days,
    };
    remarks.extend(source.recoded());
    let report = Report { users, events, user_daily, files: done.files, remarks };
    let text = serde_json::to_string_pretty(&report).map_err(|error| AnalysisError::io(REPORT, error.into()))? + "\n";
    let path = stage.path().join(REPORT);
    std::fs::write(&path, text).map_err(|error| AnalysisError::io(&path, error))?;
    let names: Vec<&str> = report.files.iter().map(|file| file.path.as_str()).chain([REPORT]).collect();
    stage.complete(&names)?;
    Ok(report)
}

/// The raw directory, and the days of the run that it is.
fn open(options: &ChurnOptions, remarks: &mut Vec<String>) -> Result<(Source, Option<Range<i32>>), AnalysisError> {
    match Source::open_with(&options.raw, &options.reading) {
        Ok(source) => {
            let window = match source.manifest() {
                None => None,
                Some(manifest) if manifest.identity.family != ChurnModel::NAME => {
                    let (raw, family) = (options.raw.display(), &manifest.identity.family);
                    return Err(AnalysisError::input(format!("{raw}: is a run of {family}, and prepare churn takes one of churn")));
                }
                Some(_) => {
                    let model: ChurnModel = source.model()?;
                    let window = &model.config().window;
                    Some(window.start.0..window.start.plus(window.days as i32).0)
                }
            };
            Ok((source, window))
        }
        // A run whose files somebody has edited is data like any other.
        Err(AnalysisError::Run(changed)) if options.raw.join(MANIFEST).is_file() => {
            remarks.push(format!("the files are not those of {MANIFEST} and are read as they are: {changed}"));
            Ok((Source::open_as_found(&options.raw, &options.reading)?, None))
        }
        Err(error) => Err(error),
    }
}

/// How the ids in the first column of a table are read.
fn ids_of(table: &RawTable, watch: &Watch<'_>) -> Result<Ids, AnalysisError> {
    let (mut rows, mut looks) = (table.rows(watch), Looks::default());
    while let Some(row) = rows.advance()? {
        if row.is_ok() {
            looks.add(rows.field(0));
        }
    }
    Ok(looks.ids())
}

/// What has been done.
struct Done {
    tallies: Tallies,
    days: Range<i32>,
    files: Vec<FileInfo>,
}

/// How the rows are to be read.
enum Arranged {
    /// Both tables come by user.
    AsTheyStand { repeated: Option<RowSet> },
    /// They do not, and were spread.
    Spread { users: Box<Spill<UserRow>>, events: Box<Spill<EventRow>> },
}

struct Work<'a> {
    options: &'a ChurnOptions,
    users: &'a RawTable,
    events: &'a RawTable,
    user_ids: Ids,
    /// Whole numbers, until it is found that they are not.
    event_ids: Cell<Ids>,
    /// The grid's first day, if it is known from the start.
    first: Option<Date>,
    /// The last.
    last: Option<Date>,
    watch: &'a Watch<'a>,
}

impl<'a> Work<'a> {
    fn clean_users(&self) -> CleanUsers<'a> {
        let mut cleaner = UserCleaner::default();
        (cleaner.latent, cleaner.ids) = (self.options.keep_latent, self.user_ids);
        CleanUsers { rows: self.users.rows(self.watch), cleaner }
    }

    fn clean_events<'b>(&'b self, repeated: Option<&'b RowSet>) -> CleanEvents<'b> {
        let begin = self.first.map_or(i64::MIN, |first| i64::from(first.0) * DAY);
        let end = self.last.map_or(i64::MAX, |last| i64::from(last.0 + 1) * DAY);
        let range = (self.first.is_some() || self.last.is_some()).then_some(begin..end);
        let mut cleaner = EventCleaner::default();
        (cleaner.ids, cleaner.users) = (self.event_ids.get(), self.user_ids);
        CleanEvents { rows: self.events.rows(self.watch), cleaner, range, repeated }
    }

    fn run(&self, stage: &Stage) -> Result<Done, AnalysisError> {
        if let (Some(first), Some(last)) = (self.first, self.last)
            && let Some(done) = self.in_one_pass(first.0..last.0 + 1, stage)?
        {
            return Ok(done);
        }
        let mut span = Span::default();
        let mut spilled = Tallies::default();
        let (mut arranged, rows) = self.arrange(&mut span, &mut spilled)?;
        let days = self.days(&span)?;
        self.watch.progress.begins("writing", Some(rows));
        let tables = self.tables();
        let (tallies, files) = write(&tables, self.file_options(), stage, |sink| {
            let mut tallies = spilled.clone();
            let mut output = Output::new(&tables, days.clone(), sink);
            let days = i64::from(days.start) * DAY..i64::from(days.end) * DAY;
            self.join(&mut arranged, &mut output, &days, &mut tallies)?;
            output.finish()?;
            Ok(tallies)
        })?;
        Ok(Done { tallies, days, files })
    }

    /// Reads and writes at once, in the hope that the rows come by user and the ids ascend; `None` if they do not.
    fn in_one_pass(&self, days: Range<i32>, stage: &Stage) -> Result<Option<Done>, AnalysisError> {
        self.watch.progress.begins("preparing", None);
        let tables = self.tables();
        let (made, files) = write(&tables, self.file_options(), stage, |sink| {
            let mut tallies = Tallies::default();
            let mut users = InOrder::new(self.clean_users());
            let mut events = InOrder::new(Facts::new(self.clean_events(None)));
            let mut output = Output::new(&tables, days.clone(), sink);
            join(&mut users, &mut events, &mut output, &ALWAYS, &mut tallies)?;
            output.finish()?;
            let as_hoped = !users.broken && !events.broken && events.stream.ids_ascend && !self.are_text(&events.stream);
            Ok(as_hoped.then_some(tallies))
        })?;
        Ok(made.map(|tallies| Done { tallies, days, files }))
    }

    /// Finds out in which order the rows come, which days they lie on, and how they are to be read. Gives about the number of rows too.
    fn arrange(&self, span: &mut Span, spilled: &mut Tallies) -> Result<(Arranged, u64), AnalysisError> {
        self.watch.progress.begins("reading", None);
        let mut users = InOrder::new(self.clean_users());
        let mut events = InOrder::new(Facts::new(self.clean_events(None)));
        let mut unused = Tallies::default();
        join(&mut users, &mut events, span, &ALWAYS, &mut unused)?;
        let by_user = !users.broken && !events.broken;
        let mut facts = events.stream;
        let mut event = EventRow::default();
        while facts.advance(&mut event, &mut unused.events)? {}
        if self.are_text(&facts) {
            self.event_ids.set(Ids::Text);
            *span = Span::default();
            return self.arrange(span, spilled);
        }
        let (read, rows) = (unused.events.read, facts.rows);
        let repeated = if facts.ids_ascend { None } else { Some(self.repeated(rows)?) };
        if by_user && repeated.as_ref().is_none_or(RowSet::is_empty) {
            return Ok((Arranged::AsTheyStand { repeated: None }, read));
        }
        let mut arranged = if by_user {
            Arranged::AsTheyStand { repeated }
        } else {
            self.spread(&spill::bounds(rows, &facts.sample()), repeated.as_ref(), spilled)?
        };
        if self.first.is_none() || self.last.is_none() {
            *span = Span::default();
            self.join(&mut arranged, span, &ALWAYS, &mut Tallies::default())?;
        }
        Ok((arranged, read))
    }

    fn repeated(&self, rows: u64) -> Result<RowSet, AnalysisError> {
        self.watch.progress.begins("looking for repeated ids", None);
        let mut repeats = Repeats::new(rows)?;
        let mut events = self.clean_events(None);
        let (mut event, mut unused) = (EventRow::default(), Tally::default());
        while events.advance(&mut event, &mut unused)? {
            repeats.push(&event.id, events.rows.read())?;
        }
        repeats.find()
    }

    fn spread(&self, bounds: &[Key], repeated: Option<&RowSet>, tallies: &mut Tallies) -> Result<Arranged, AnalysisError> {
        self.watch.progress.begins("sorting", None);
        let (mut users, mut user) = (Spill::new(bounds)?, UserRow::default());
        let mut clean = self.clean_users();
        while clean.advance(&mut user, &mut tallies.users)? {
            users.push(&mut user)?;
        }
        let (mut events, mut event) = (Spill::new(bounds)?, EventRow::default());
        let mut clean = self.clean_events(repeated);
        while clean.advance(&mut event, &mut tallies.events)? {
            events.push(&mut event)?;
        }
        Ok(Arranged::Spread { users: Box::new(users), events: Box::new(events) })
    }

    /// Whether event ids that are read as whole numbers are text.
    fn are_text(&self, facts: &Facts<CleanEvents<'_>>) -> bool {
        self.event_ids.get() == Ids::Whole && facts.stream.cleaner.looks.ids() == Ids::Text
    }

    /// Shows a visitor all users with their events of some days, by user.
    fn join(
        &self,
        arranged: &mut Arranged,
        visitor: &mut dyn Visitor,
        days: &Range<i64>,
        tallies: &mut Tallies,
    ) -> Result<(), AnalysisError> {
        match arranged {
            Arranged::AsTheyStand { repeated } => {
                join(&mut self.clean_users(), &mut self.clean_events(repeated.as_ref()), visitor, days, tallies)
            }
            Arranged::Spread { users, events } => {
                for partition in 0..users.partitions() {
                    join(&mut users.sorted(partition)?, &mut events.sorted(partition)?, visitor, days, tallies)?;
                    if self.watch.stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return Err(RunError::Interrupted.into());
                    }
                }
                Ok(())
            }
        }
    }

    /// Why no day is known.
    fn no_days(&self) -> Result<AnalysisError, AnalysisError> {
        let (mut users, mut user) = (Tally::default(), UserRow::default());
        let mut clean = self.clean_users();
        while clean.advance(&mut user, &mut users)? {}
        let (mut events, mut event) = (Tally::default(), EventRow::default());
        let mut clean = self.clean_events(None);
        while clean.advance(&mut event, &mut events)? {}
        let told = |table: &str, tally: &Tally| {
            let dropped = Drop::ALL.iter().zip(&tally.dropped).filter(|(_, count)| count.rows > 0);
            let why = dropped
                .max_by_key(|(_, count)| count.rows)
                .map(|(why, count)| format!(", {} of them dropped ({}: {})", count.rows, why.code(), own(why.meaning())));
            format!("\n  {table}: {} rows{}", tally.read, why.unwrap_or_default())
        };
        let raw = self.options.raw.display();
        let (users, events) = (told("users", &users), told("events", &events));
        Ok(AnalysisError::input(format!(
            "{raw}: no event of a known user can be read, so the days of the grid are not known{users}{events}\n{}",
            own("hint: mend these, or give --from and --to")
        )))
    }

    /// The grid's days.
    fn days(&self, span: &Span) -> Result<Range<i32>, AnalysisError> {
        let first = self.first.map(|date| date.0).or(span.days().map(|(first, _)| first));
        let last = self.last.map(|date| date.0).or(span.days().map(|(_, last)| last));
        let raw = self.options.raw.display();
        let (Some(first), Some(last)) = (first, last) else {
            return Err(self.no_days()?);
        };
        let days = last - first + 1;
        if days > MOST_DAYS && (self.first.is_none() || self.last.is_none()) {
            let (first, last) = (Date(first), Date(last));
            return Err(AnalysisError::input(format!(
                "{raw}: the events lie on {days} days from {first} to {last}, which looks like a wrong date; {}",
                own("give the days you want with --from and --to")
            )));
        }
        Ok(first..last + 1)
    }

    fn tables(&self) -> Tables {
        let latent = self.options.keep_latent;
        let (events, users) = (self.event_ids.get(), self.user_ids);
        Tables { users: tables::users(latent, users), events: tables::events(events, users), daily: tables::daily(users), latent }
    }

    fn file_options(&self) -> FileOptions {
        FileOptions { row_group_rows: ROW_GROUP_ROWS, file_rows: u64::MAX, ..FileOptions::new(self.options.format) }
    }
}

/// Writes the three tables, each on a thread of its own, from what `make` hands to its sink.
fn write<T>(
    tables: &Tables,
    options: FileOptions,
    stage: &Stage,
    make: impl FnOnce(Sink<'_>) -> Result<T, AnalysisError>,
) -> Result<(T, Vec<FileInfo>), AnalysisError> {
    let place = Directory::new(stage.path());
    std::thread::scope(|scope| {
        let (mut senders, mut lanes) = (Vec::new(), Vec::new());
        for table in [&tables.users, &tables.events, &tables.daily] {
            let (sender, receiver) = sync_channel::<RecordBatch>(WAITING);
            let place = &place;
            senders.push(sender);
            lanes.push(scope.spawn(move || -> Result<Vec<FileInfo>, RunError> {
                let mut writer = TableWriter::new(table, options, place)?;
                for batch in receiver {
                    writer.push(batch)?;
                }
                writer.finish()
            }));
        }
        let mut sink = |which: Which, batch: RecordBatch| {
            let lane = match which {
                Which::Users => 0,
                Which::Events => 1,
                Which::Daily => 2,
            };
            // A lane that has gone left an error, which is what is returned.
            senders[lane].send(batch).map_err(|_| AnalysisError::Run(RunError::Interrupted))
        };
        let made = make(&mut sink);
        drop(senders);
        let mut files = Vec::new();
        for lane in lanes {
            files.extend(lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok((made?, files))
    })
}
