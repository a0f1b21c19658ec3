//! One raw row into one clean row.

use super::key::{Ids, Key, Looks};
use super::reasons::{Drop, Marks, Note, Repair};
use super::rows::{Place, RawColumn, Rows};
use crate::source::values::{self, Decimal, Read};
use populace_core::churn::EventType;
use populace_core::time::{DAY, Date};
use std::borrow::Cow;

/// The columns of raw users.
pub(super) const USER_COLUMNS: &[RawColumn] = &[
    RawColumn::required("user_id"),
    RawColumn::required("signup_date"),
    RawColumn::optional("plan"),
    RawColumn::optional("is_paid"),
    RawColumn::optional("country"),
    RawColumn::optional("marketing_source"),
    RawColumn::number("engagement_score"),
];

/// The columns of raw events.
pub(super) const EVENT_COLUMNS: &[RawColumn] = &[
    RawColumn::required("event_id"),
    RawColumn::required("user_id"),
    RawColumn::required("event_time"),
    RawColumn::required("event_type"),
    RawColumn::optional("course_id"),
    RawColumn::number("watch_minutes"),
    RawColumn::number("quiz_score"),
    RawColumn::number("amount"),
];

/// Minutes of a day: nobody watches more in one event.
const MOST_MINUTES: f64 = 1_440.0;
/// The best score.
const BEST_SCORE: f64 = 100.0;
/// Letters of a country's code, at most.
const CODE_LETTERS: usize = 3;

/// A clean row of users.
#[derive(Clone, Debug, Default)]
pub(super) struct UserRow {
    pub(super) place: Place,
    pub(super) id: Key,
    pub(super) signup: i32,
    pub(super) plan: String,
    pub(super) is_paid: bool,
    /// Empty where it is not known, as the next.
    pub(super) country: String,
    pub(super) source: String,
    /// NaN where it is not known.
    pub(super) engagement: f64,
    pub(super) marks: Marks,
}

/// A clean row of events.
#[derive(Clone, Debug, Default)]
pub(super) struct EventRow {
    pub(super) place: Place,
    pub(super) id: Key,
    pub(super) user: Key,
    /// Microseconds since 1970, UTC.
    pub(super) time: i64,
    /// One of the known types by its number; [`OTHER`] where `type_name` holds another.
    pub(super) kind: u8,
    pub(super) type_name: String,
    /// Empty where there is none.
    pub(super) course: String,
    pub(super) watch: f64,
    /// NaN where there is none, as the next.
    pub(super) quiz: f64,
    pub(super) amount: f64,
    pub(super) marks: Marks,
}

/// The type of an event that is none of the known ones.
pub(super) const OTHER: u8 = EventType::NAMES.len() as u8;

/// Cleans users.
#[derive(Default)]
pub(super) struct UserCleaner {
    /// Whether the engagement score is wanted.
    pub(super) latent: bool,
    pub(super) ids: Ids,
    scratch: String,
}

/// Cleans events.
#[derive(Default)]
pub(super) struct EventCleaner {
    pub(super) ids: Ids,
    pub(super) users: Ids,
    /// What the event ids look like, where they are read as whole numbers.
    pub(super) looks: Looks,
    /// The last plain date that was read, and its first instant: neighbours share it.
    date: [u8; 10],
    midnight: i64,
    scratch: String,
}

impl UserCleaner {
    /// Cleans the current row.
    pub(super) fn clean(&mut self, rows: &Rows<'_>, user: &mut UserRow) -> Result<(), Drop> {
        let mut marks = Marks::default();
        let id = required(rows.field(0), Drop::UserIdBlank, Drop::UserIdUnreadable, |field| self.ids.read(field))?;
        marks.repair_if(id.rewritten, Repair::UserIdRewritten);
        let signup = required(rows.field(1), Drop::SignupDateBlank, Drop::SignupDateUnreadable, |field| values::date(field, rows.times()))?;
        marks.repair_if(signup.rewritten, Repair::SignupDateRewritten);
        let told = values::flag(values::trim(rows.field(3)));
        let blank = read_text(rows.field(2), &mut user.plan, values::is_nothing, &mut marks);
        if blank {
            user.plan.push_str(if told.ok_or(Drop::PlanBlank)? { "paid" } else { "free" });
            marks.repair(Repair::PlanFromIsPaid);
        } else {
            marks.repair_if(lower(&mut user.plan) || untrimmed(rows.field(2)), Repair::PlanNormalised);
        }
        user.is_paid = match user.plan.as_str() {
            "paid" => true,
            "free" => false,
            _ => {
                marks.note(Note::PlanUnknown);
                told.unwrap_or(false)
            }
        };
        marks.repair_if(rows.has(3) && told != Some(user.is_paid), Repair::IsPaidCorrected);

        if read_text(rows.field(4), &mut user.country, values::is_no_country, &mut marks) {
            marks.repair_if(rows.has(4), Repair::CountryBlank);
        } else {
            let code = user.country.len() <= CODE_LETTERS && user.country.bytes().all(|byte| byte.is_ascii_alphabetic());
            let raised = code && user.country.bytes().any(|byte| byte.is_ascii_lowercase());
            if raised {
                user.country.make_ascii_uppercase();
            }
            marks.repair_if(raised || untrimmed(rows.field(4)), Repair::CountryNormalised);
        }
        if read_text(rows.field(5), &mut user.source, values::is_nothing, &mut marks) {
            marks.repair_if(rows.has(5), Repair::MarketingSourceBlank);
        } else {
            marks.repair_if(lower(&mut user.source) || untrimmed(rows.field(5)), Repair::MarketingSourceNormalised);
        }
        user.engagement = f64::NAN;
        if self.latent && !read_text(rows.field(6), &mut self.scratch, values::is_nothing, &mut marks) {
            match values::number(self.scratch.as_bytes(), rows.decimal()).filter(|read| (0.0..=1.0).contains(&read.value)) {
                Some(read) => user.engagement = read.value,
                None => marks.repair(Repair::EngagementScoreUnreadable),
            }
        }
        (user.place, user.id, user.signup, user.marks) = (rows.place(), id.value, signup.value.0, marks);
        Ok(())
    }
}

impl EventCleaner {
    /// Cleans the current row.
    pub(super) fn clean(&mut self, rows: &Rows<'_>, event: &mut EventRow) -> Result<(), Drop> {
        let mut marks = Marks::default();
        let id = required(rows.field(0), Drop::EventIdBlank, Drop::EventIdUnreadable, |field| self.ids.read(field));
        match &id {
            Ok(_) => self.looks.read(rows.field(0)),
            Err(Drop::EventIdUnreadable) => self.looks.unread(),
            Err(_) => {}
        }
        let id = id?;
        marks.repair_if(id.rewritten, Repair::EventIdRewritten);
        let user = required(rows.field(1), Drop::UserIdBlank, Drop::UserIdUnreadable, |field| self.users.read(field))?;
        marks.repair_if(user.rewritten, Repair::UserIdRewritten);
        let time = match self.plain_time(rows.field(2)) {
            Some(value) => Read { value: value - rows.times().zone, rewritten: false },
            None => required(rows.field(2), Drop::EventTimeBlank, Drop::EventTimeUnreadable, |field| values::instant(field, rows.times()))?,
        };
        marks.repair_if(time.rewritten, Repair::EventTimeRewritten);
        self.event_type(rows, event, &mut marks)?;

        if !read_optional(rows.field(4), &mut event.course, &mut marks) {
            marks.repair_if(untrimmed(rows.field(4)), Repair::CourseIdTrimmed);
        }
        let read = |column: usize, most: f64, repairs: [Repair; 3], marks: &mut Marks| {
            number(rows.field(column), rows.decimal(), if column == AMOUNT { f64::NEG_INFINITY } else { 0.0 }..=most, repairs, marks)
        };
        let [rewritten, unreadable, out] = [Repair::WatchMinutesRewritten, Repair::WatchMinutesUnreadable, Repair::WatchMinutesOutOfRange];
        event.watch = read(WATCH, MOST_MINUTES, [rewritten, unreadable, out], &mut marks).unwrap_or(0.0);
        let [rewritten, unreadable, out] = [Repair::QuizScoreRewritten, Repair::QuizScoreUnreadable, Repair::QuizScoreOutOfRange];
        event.quiz = read(QUIZ, BEST_SCORE, [rewritten, unreadable, out], &mut marks).unwrap_or(f64::NAN);
        let [rewritten, unreadable] = [Repair::AmountRewritten, Repair::AmountUnreadable];
        event.amount = read(AMOUNT, f64::INFINITY, [rewritten, unreadable, unreadable], &mut marks).unwrap_or(f64::NAN);
        (event.place, event.id, event.user, event.time, event.marks) = (rows.place(), id.value, user.value, time.value, marks);
        Ok(())
    }

    /// The moment of a field that is `YYYY-MM-DD HH:MM:SS`, which nearly all are.
    #[inline]
    fn plain_time(&mut self, field: &[u8]) -> Option<i64> {
        let field: &[u8; 19] = field.try_into().ok()?;
        if field[10] != b' ' || field[13] != b':' || field[16] != b':' {
            return None;
        }
        let pair = |at: usize| {
            let (tens, ones) = (field[at].wrapping_sub(b'0'), field[at + 1].wrapping_sub(b'0'));
            (tens <= 9 && ones <= 9).then(|| i64::from(tens) * 10 + i64::from(ones))
        };
        let (hour, minute, second) = (pair(11)?, pair(14)?, pair(17)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if field[..10] != self.date {
            let date: Date = str::from_utf8(&field[..10]).ok()?.parse().ok()?;
            self.date.copy_from_slice(&field[..10]);
            self.midnight = i64::from(date.0) * DAY;
        }
        Some(self.midnight + ((hour * 60 + minute) * 60 + second) * 1_000_000)
    }

    /// Reads the type: one of the known ones, or another.
    fn event_type(&mut self, rows: &Rows<'_>, event: &mut EventRow, marks: &mut Marks) -> Result<(), Drop> {
        let field = rows.field(3);
        if let Some(kind) = known_type(field) {
            event.kind = kind;
            return Ok(());
        }
        if read_text(field, &mut self.scratch, values::is_nothing, marks) {
            return Err(Drop::EventTypeBlank);
        }
        let changed = lower(&mut self.scratch) || untrimmed(field);
        if let Some(word) = rows.events().get(&self.scratch) {
            self.scratch.clone_from(word);
        }
        let joined: String = self.scratch.split([' ', '-', '_']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
        if let Some(kind) = known_type(joined.as_bytes()) {
            event.kind = kind;
            marks.repair(Repair::EventTypeNormalised);
        } else {
            event.kind = OTHER;
            event.type_name.clone_from(&self.scratch);
            marks.repair_if(changed, Repair::EventTypeNormalised);
            marks.note(Note::EventTypeUnknown);
        }
        Ok(())
    }
}

const WATCH: usize = 5;
const QUIZ: usize = 6;
const AMOUNT: usize = 7;

fn known_type(field: &[u8]) -> Option<u8> {
    EventType::NAMES.iter().position(|name| name.as_bytes() == field).map(|index| index as u8)
}

fn untrimmed(field: &[u8]) -> bool {
    values::trim(field).len() < field.len()
}

/// A value that a row cannot be kept without.
fn required<T>(field: &[u8], blank: Drop, unreadable: Drop, read: impl Fn(&[u8]) -> Option<Read<T>>) -> Result<Read<T>, Drop> {
    if let Some(found) = read(field) {
        return Ok(found);
    }
    let field = values::trim(field);
    if values::is_nothing(field) {
        return Err(blank);
    }
    read(field).map(|read| Read { rewritten: true, ..read }).ok_or(unreadable)
}

/// A number within a range; `None` where there is none.
fn number(field: &[u8], decimal: Decimal, range: std::ops::RangeInclusive<f64>, repairs: [Repair; 3], marks: &mut Marks) -> Option<f64> {
    let [rewritten, unreadable, out_of_range] = repairs;
    let blanks = untrimmed(field);
    let field = values::trim(field);
    if field.is_empty() {
        return None;
    }
    let Some(read) = values::number(field, decimal) else {
        marks.repair(if values::is_null_word(field) { Repair::NullWord } else { unreadable });
        return None;
    };
    if !range.contains(&read.value) {
        marks.repair(out_of_range);
        return None;
    }
    marks.repair_if(read.rewritten || blanks, rewritten);
    Some(read.value)
}

/// Copies a trimmed field; true if it is blank or a word for nothing.
fn read_text(field: &[u8], into: &mut String, is_nothing: fn(&[u8]) -> bool, marks: &mut Marks) -> bool {
    into.clear();
    let field = values::trim(field);
    if is_nothing(field) {
        return true;
    }
    let text = String::from_utf8_lossy(field);
    marks.repair_if(matches!(text, Cow::Owned(_)), Repair::NotUtf8);
    into.push_str(&text);
    false
}

/// The same for a field that is rightly blank in most rows: a word for nothing is a repair.
fn read_optional(field: &[u8], into: &mut String, marks: &mut Marks) -> bool {
    let blank = read_text(field, into, values::is_nothing, marks);
    marks.repair_if(blank && !values::trim(field).is_empty(), Repair::NullWord);
    blank
}

/// Makes capitals small; true if there were any.
fn lower(text: &mut String) -> bool {
    if text.chars().any(char::is_uppercase) {
        *text = text.to_lowercase();
        return true;
    }
    false
}
