//! From users with their events to the rows of the three tables.

use super::clean::{EventRow, OTHER, UserRow};
use super::join::Visitor;
use super::key::{Key, KeyColumn};
use super::reasons::Note;
use crate::error::AnalysisError;
use crate::source::values::is_plausible;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use populace_core::churn::EventType;
use populace_core::time::DAY;
use populace_io::table::{Table, codes, dates, dictionary, floats, floats_or_null, instants, ints, shorts};
use std::collections::HashMap;
use std::ops::Range;

/// Rows of a batch, at least, when it is handed on.
const BATCH_ROWS: usize = 16 << 10;

/// The tables that come out.
pub(super) struct Tables {
    pub(super) users: Table,
    pub(super) events: Table,
    pub(super) daily: Table,
    pub(super) latent: bool,
}

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Users,
    Events,
    Daily,
}

/// Takes the batches of a table.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Which, RecordBatch) -> Result<(), AnalysisError>;

/// Texts as codes. Its size is that of what one batch holds.
#[derive(Default)]
pub(super) struct Words {
    codes: HashMap<String, i32>,
    words: Vec<String>,
}

impl Words {
    /// The code of a word; that of no word is −1.
    pub(super) fn code(&mut self, word: &str) -> i32 {
        if word.is_empty() {
            return -1;
        }
        if let Some(code) = self.codes.get(word) {
            return *code;
        }
        let code = self.words.len() as i32;
        self.codes.insert(word.to_owned(), code);
        self.words.push(word.to_owned());
        code
    }

    pub(super) fn take(&mut self) -> ArrayRef {
        self.codes.clear();
        dictionary(self.words.drain(..))
    }
}

#[derive(Default)]
struct UserBatch {
    id: KeyColumn,
    signup: Vec<i32>,
    plan: Vec<i32>,
    is_paid: Vec<i16>,
    country: Vec<i32>,
    source: Vec<i32>,
    engagement: Vec<f64>,
    words: Words,
}

struct Event {
    id: Key,
    user: Key,
    time: i64,
    kind: i32,
    course: i32,
    watch: f64,
    quiz: f64,
    amount: f64,
}

struct EventBatch {
    rows: Vec<Event>,
    /// Where the events of the current user begin.
    user_from: usize,
    kinds: Words,
    courses: Words,
}

/// What happened on one day.
#[derive(Clone, Copy, Default)]
struct Day {
    total: i32,
    counts: [i32; EventType::NAMES.len()],
    watch: Sum,
    quiz: Sum,
    scores: i32,
}

/// A sum of numbers that mostly have two decimal places: exact where all have.
#[derive(Clone, Copy, Default)]
struct Sum {
    sum: f64,
    /// Whether a number was no multiple of a hundredth.
    finer: bool,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.finer |= (value * 100.0).round() / 100.0 != value;
    }

    fn value(self) -> f64 {
        if self.finer { self.sum } else { (self.sum * 100.0).round() / 100.0 }
    }
}

#[derive(Default)]
struct DailyBatch {
    user: KeyColumn,
    date: Vec<i32>,
    signup: Vec<i32>,
    since: Vec<i32>,
    plan: Vec<i32>,
    is_paid: Vec<i16>,
    country: Vec<i32>,
    source: Vec<i32>,
    active: Vec<i16>,
    total: Vec<i32>,
    counts: [Vec<i32>; EventType::NAMES.len()],
    watch: Vec<f64>,
    quiz: Vec<f64>,
    words: Words,
}

/// Makes the rows.
pub(super) struct Output<'a> {
    tables: &'a Tables,
    sink: Sink<'a>,
    /// The grid's days since 1970.
    days: Range<i32>,
    user: UserRow,
    grid: Vec<Day>,
    users: UserBatch,
    events: EventBatch,
    daily: DailyBatch,
}

impl<'a> Output<'a> {
    pub(super) fn new(tables: &'a Tables, days: Range<i32>, sink: Sink<'a>) -> Self {
        let mut output = Self {
            tables,
            sink,
            grid: vec![Day::default(); days.len()],
            days,
            user: UserRow::default(),
            users: UserBatch::default(),
            events: EventBatch { rows: Vec::new(), user_from: 0, kinds: Words::default(), courses: Words::default() },
            daily: DailyBatch::default(),
        };
        output.events.kinds = known_kinds();
        output
    }

    /// Hands on what is left.
    pub(super) fn finish(mut self) -> Result<(), AnalysisError> {
        self.flush_users()?;
        self.flush_events()?;
        self.flush_daily()
    }

    fn flush_users(&mut self) -> Result<(), AnalysisError> {
        let batch = &mut self.users;
        if batch.id.len() == 0 {
            return Ok(());
        }
        let words = batch.words.take();
        let mut columns = vec![
            batch.id.take(),
            dates(std::mem::take(&mut batch.signup)),
            codes(std::mem::take(&mut batch.plan), &words),
            shorts(std::mem::take(&mut batch.is_paid)),
            codes(std::mem::take(&mut batch.country), &words),
            codes(std::mem::take(&mut batch.source), &words),
        ];
        let engagement = std::mem::take(&mut batch.engagement);
        if self.tables.latent {
            columns.push(or_null(engagement));
        }
        (self.sink)(Which::Users, self.tables.users.batch(columns))
    }

    fn flush_events(&mut self) -> Result<(), AnalysisError> {
        let rows = std::mem::take(&mut self.events.rows);
        self.events.user_from = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let (kinds, courses) = (self.events.kinds.take(), self.events.courses.take());
        self.events.kinds = known_kinds();
        let batch = self.tables.events.batch(vec![
            KeyColumn::of(rows.iter().map(|row| &row.id)),
            KeyColumn::of(rows.iter().map(|row| &row.user)),
            instants(rows.iter().map(|row| row.time).collect()),
            codes(rows.iter().map(|row| row.kind).collect(), &kinds),
            codes(rows.iter().map(|row| row.course).collect(), &courses),
            floats(rows.iter().map(|row| row.watch).collect()),
            or_null(rows.iter().map(|row| row.quiz).collect()),
            or_null(rows.iter().map(|row| row.amount).collect()),
            dates(rows.iter().map(|row| row.time.div_euclid(DAY) as i32).collect()),
        ]);
        (self.sink)(Which::Events, batch)
    }

    fn flush_daily(&mut self) -> Result<(), AnalysisError> {
        let batch = &mut self.daily;
        if batch.user.len() == 0 {
            return Ok(());
        }
        let words = batch.words.take();
        let mut count = |kind: EventType| ints(std::mem::take(&mut batch.counts[kind as usize]));
        let [logins, enrolled, quizzes] = [count(EventType::Login), count(EventType::CourseEnroll), count(EventType::QuizAttempt)];
        let [paid, failed] = [count(EventType::PaymentSuccess), count(EventType::PaymentFailed)];
        let tickets = count(EventType::SupportTicket);
        batch.counts[EventType::VideoWatch as usize].clear();
        let batch = self.tables.daily.batch(vec![
            batch.user.take(),
            dates(std::mem::take(&mut batch.date)),
            dates(std::mem::take(&mut batch.signup)),
            ints(std::mem::take(&mut batch.since)),
            codes(std::mem::take(&mut batch.plan), &words),
            shorts(std::mem::take(&mut batch.is_paid)),
            codes(std::mem::take(&mut batch.country), &words),
            codes(std::mem::take(&mut batch.source), &words),
            shorts(std::mem::take(&mut batch.active)),
            ints(std::mem::take(&mut batch.total)),
            logins,
            enrolled,
            floats(std::mem::take(&mut batch.watch)),
            quizzes,
            or_null(std::mem::take(&mut batch.quiz)),
            paid,
            failed,
            tickets,
        ]);
        (self.sink)(Which::Daily, batch)
    }

    /// The rows of the current user's days.
    fn grid_rows(&mut self) -> Result<(), AnalysisError> {
        let mut next = 0;
        while next < self.grid.len() {
            let (batch, user) = (&mut self.daily, &self.user);
            let days = &mut self.grid[next..];
            let days_here = days.len().min(BATCH_ROWS);
            let days = &mut days[..days_here];
            let first = self.days.start + next as i32;
            let code = [&user.plan, &user.country, &user.source].map(|word| batch.words.code(word));
            let length = batch.user.len() + days_here;
            batch.user.push(&user.id, days_here);
            batch.signup.resize(length, user.signup);
            batch.plan.resize(length, code[0]);
            batch.country.resize(length, code[1]);
            batch.source.resize(length, code[2]);
            batch.is_paid.resize(length, i16::from(user.is_paid));
            batch.date.extend(first..first + days_here as i32);
            batch.since.extend((first..first + days_here as i32).map(|date| (date - user.signup).max(0)));
            batch.active.extend(days.iter().map(|day| i16::from(day.total > 0)));
            batch.total.extend(days.iter().map(|day| day.total));
            for (kind, counts) in batch.counts.iter_mut().enumerate() {
                counts.extend(days.iter().map(|day| day.counts[kind]));
            }
            batch.watch.extend(days.iter().map(|day| day.watch.value()));
            batch.quiz.extend(days.iter().map(|day| if day.scores == 0 { f64::NAN } else { day.quiz.value() / f64::from(day.scores) }));
            days.fill(Day::default());
            next += days_here;
            if self.daily.user.len() >= BATCH_ROWS {
                self.flush_daily()?;
            }
        }
        Ok(())
    }
}

/// The known types have the codes of their numbers.
fn known_kinds() -> Words {
    let mut words = Words::default();
    for name in EventType::NAMES {
        words.code(name);
    }
    words
}

/// Doubles, null where they are NaN.
fn or_null(values: Vec<f64>) -> ArrayRef {
    let valid: NullBuffer = values.iter().map(|value| !value.is_nan()).collect();
    floats_or_null(values, &valid)
}

impl Visitor for Output<'_> {
    fn user(&mut self, user: &mut UserRow) -> Result<(), AnalysisError> {
        if user.signup > self.days.start {
            user.marks.note(Note::SignupAfterStart);
        }
        self.user.clone_from(user);
        let batch = &mut self.users;
        batch.id.push(&user.id, 1);
        batch.signup.push(user.signup);
        batch.plan.push(batch.words.code(&user.plan));
        batch.is_paid.push(i16::from(user.is_paid));
        batch.country.push(batch.words.code(&user.country));
        batch.source.push(batch.words.code(&user.source));
        batch.engagement.push(user.engagement);
        if batch.id.len() >= BATCH_ROWS { self.flush_users() } else { Ok(()) }
    }

    fn event(&mut self, event: &EventRow) -> Result<(), AnalysisError> {
        let batch = &mut self.events;
        let kind = if event.kind == OTHER { batch.kinds.code(&event.type_name) } else { i32::from(event.kind) };
        let course = batch.courses.code(&event.course);
        let (id, user) = (event.id.clone(), event.user.clone());
        let (time, watch, quiz, amount) = (event.time, event.watch, event.quiz, event.amount);
        batch.rows.push(Event { id, user, time, kind, course, watch, quiz, amount });

        let date = event.time.div_euclid(DAY) as i32;
        let day = &mut self.grid[(date - self.days.start) as usize];
        day.total += 1;
        if let Some(count) = day.counts.get_mut(usize::from(event.kind)) {
            *count += 1;
        }
        if event.kind == EventType::VideoWatch as u8 {
            day.watch.add(event.watch);
        }
        if event.kind == EventType::QuizAttempt as u8 && !event.quiz.is_nan() {
            day.quiz.add(event.quiz);
            day.scores += 1;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), AnalysisError> {
        // Files in order of users may still hold a user's events in any order; equal times stay as they stood.
        let own = &mut self.events.rows[self.events.user_from..];
        if !own.is_sorted_by_key(|event| event.time) {
            own.sort_by_key(|event| event.time);
        }
        self.events.user_from = self.events.rows.len();
        self.grid_rows()?;
        if self.events.rows.len() >= BATCH_ROWS { self.flush_events() } else { Ok(()) }
    }
}

/// Learns the days that the events of known users lie on: the first and the last since 1970.
#[derive(Default)]
pub(super) struct Span {
    plausible: Days,
    odd: Days,
}

/// Some events, and their first and last days.
#[derive(Clone, Copy, Default)]
struct Days {
    events: u64,
    days: Option<(i32, i32)>,
}

impl Days {
    fn add(&mut self, (first, last): (i32, i32), events: u64) {
        self.events += events;
        self.days = Some(self.days.map_or((first, last), |days| (days.0.min(first), days.1.max(last))));
    }
}

impl Span {
    /// The first and the last day. Clocks that are wrong say nothing, unless most do.
    pub(super) fn days(&self) -> Option<(i32, i32)> {
        let mut all = self.plausible;
        if let Some(days) = self.odd.days.filter(|_| self.odd.events > self.plausible.events) {
            all.add(days, self.odd.events);
        }
        all.days
    }
}

impl Visitor for Span {
    fn user(&mut self, _: &mut UserRow) -> Result<(), AnalysisError> {
        Ok(())
    }

    fn event(&mut self, event: &EventRow) -> Result<(), AnalysisError> {
        let date = event.time.div_euclid(DAY) as i32;
        let days = if is_plausible(event.time) { &mut self.plausible } else { &mut self.odd };
        days.add((date, date), 1);
        Ok(())
    }

    fn end(&mut self) -> Result<(), AnalysisError> {
        Ok(())
    }
}
