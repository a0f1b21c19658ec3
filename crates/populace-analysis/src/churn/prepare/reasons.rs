//! Why a row was dropped, and what was repaired in a row that was kept.

/// Declares a list of reasons: an enum with a code and a sentence for each.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $code:literal, $meaning:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $(#[doc = concat!("`", $code, "`")] $variant,)* }

        impl Reason for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// One of a list of reasons.
pub trait Reason: Copy + 'static {
    /// The whole list.
    const ALL: &'static [Self];

    /// Its name in the report.
    fn code(self) -> &'static str;

    /// What it says, in a sentence.
    fn meaning(self) -> &'static str;

    /// Its place in the list.
    fn index(self) -> usize;
}

reasons! {
    /// Why a row was dropped.
    Drop {
        BlankRow = "blank_row", "every field is blank";
        UnclosedQuote = "unclosed_quote", "a field begins with a quote that is never closed; the lines after it are read on their own";
        FieldCount = "field_count", "the row has more or fewer fields than the header";
        ZeroByte = "zero_byte", "the row holds bytes of zero, which no text has";
        UserIdBlank = "user_id_blank", "there is no user id";
        UserIdUnreadable = "user_id_unreadable", "the user id is not a whole number, as nearly all are";
        SignupDateBlank = "signup_date_blank", "there is no signup date";
        SignupDateUnreadable = "signup_date_unreadable", "the signup date is not a date that can be read in one way only: 31/01/2025 needs --dates";
        PlanBlank = "plan_blank", "there is neither a plan nor an is_paid from which it follows";
        UserIdDuplicate = "user_id_duplicate", "an earlier row has the same user id";
        EventIdBlank = "event_id_blank", "there is no event id";
        EventIdUnreadable = "event_id_unreadable", "the event id is not a whole number, as nearly all are";
        EventTimeBlank = "event_time_blank", "there is no event time";
        EventTimeUnreadable = "event_time_unreadable", "the event time is not a time that can be read in one way only: numbers need --time-unit, 31/01/2025 needs --dates";
        EventTypeBlank = "event_type_blank", "there is no event type";
        EventIdDuplicate = "event_id_duplicate", "an earlier row has the same event id";
        OddClock = "odd_clock", "the event lies before 1990 or in the future, and most do not";
        OutsideRange = "outside_range", "the event lies before the first or after the last day that was asked for";
        UserUnknown = "user_unknown", "no row of users that was kept has this user id";
    }
}

reasons! {
    /// What was repaired in a row that was kept.
    Repair {
        NotUtf8 = "not_utf8", "bytes that are not UTF-8 were replaced by U+FFFD";
        UserIdRewritten = "user_id_rewritten", "the user id was written in another way, such as 12.0 or with blanks around it";
        SignupDateRewritten = "signup_date_rewritten", "the signup date was written in another way than YYYY-MM-DD";
        PlanNormalised = "plan_normalised", "blanks around the plan were removed, or capitals made small";
        PlanFromIsPaid = "plan_from_is_paid", "the plan was blank and was taken from is_paid";
        IsPaidCorrected = "is_paid_corrected", "is_paid was blank or did not fit the plan";
        CountryNormalised = "country_normalised", "blanks around the country were removed, or the letters of its code made capitals";
        CountryBlank = "country_blank", "the country is blank and stays so";
        MarketingSourceNormalised = "marketing_source_normalised", "blanks around the marketing source were removed, or capitals made small";
        MarketingSourceBlank = "marketing_source_blank", "the marketing source is blank and stays so";
        EngagementScoreUnreadable = "engagement_score_unreadable", "the engagement score is not a number from 0 to 1 and was set to null";
        EventIdRewritten = "event_id_rewritten", "the event id was written in another way, such as 12.0 or with blanks around it";
        EventTimeRewritten = "event_time_rewritten", "the event time was written in another way than ISO 8601";
        EventTypeNormalised = "event_type_normalised", "the event type was written in another way, such as Video Watch";
        CourseIdTrimmed = "course_id_trimmed", "blanks around the course id were removed";
        NullWord = "null_word", "a word for nothing, such as NULL or NaN, stood where a blank belongs";
        WatchMinutesRewritten = "watch_minutes_rewritten", "the minutes were written in another way, such as 1,234.5";
        WatchMinutesUnreadable = "watch_minutes_unreadable", "the minutes are not a number and were set to 0";
        WatchMinutesOutOfRange = "watch_minutes_out_of_range", "the minutes are below 0 or more than a day has, and were made 0";
        QuizScoreRewritten = "quiz_score_rewritten", "the score was written in another way";
        QuizScoreUnreadable = "quiz_score_unreadable", "the score is not a number and was set to null";
        QuizScoreOutOfRange = "quiz_score_out_of_range", "the score is below 0 or above 100 and was set to null";
        AmountRewritten = "amount_rewritten", "the amount was written in another way, such as $1,234.50";
        AmountUnreadable = "amount_unreadable", "the amount is not a number and was set to null";
    }
}

reasons! {
    /// What is odd about a row that was kept as it is.
    Note {
        PlanUnknown = "plan_unknown", "the plan is neither free nor paid: is_paid is what was said, or else 0";
        EventTypeUnknown = "event_type_unknown", "the event type is none of the seven: it counts in total_events alone";
        OddClock = "odd_clock", "the event lies before 1990 or in the future, as most do: is the unit right, and the year?";
        SignupAfterStart = "signup_after_first_day", "the signup lies after the grid's first day: days_since_signup is 0 until then";
    }
}

/// A set of repairs and notes of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) repairs: u32,
    pub(super) notes: u32,
}

impl Marks {
    pub(super) fn repair(&mut self, repair: Repair) {
        self.repairs |= 1 << repair.index();
    }

    pub(super) fn repair_if(&mut self, wrong: bool, repair: Repair) {
        self.repairs |= u32::from(wrong) << repair.index();
    }

    pub(super) fn note(&mut self, note: Note) {
        self.notes |= 1 << note.index();
    }
}

const _: () = assert!(Repair::ALL.len() <= 32 && Note::ALL.len() <= 32, "marks are sets of 32 bits");
