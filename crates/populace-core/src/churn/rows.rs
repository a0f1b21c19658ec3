//! What comes out: rows of numbers and indices. Names live in the model, once.

use crate::time::{Date, Instant};

/// A row of a data table. An actor's user row comes first, then its events in the order of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Row {
    /// A row of `users`.
    User(User),
    /// A row of `events`.
    Event(Event),
}

/// A row of `users`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct User {
    /// From 1: the actor's number plus 1.
    pub user_id: u64,
    /// On or before the window's first day.
    pub signup_date: Date,
    /// Whether on the paid plan, else on the free one.
    pub is_paid: bool,
    /// Index into [`ChurnModel::countries`](super::ChurnModel::countries).
    pub country: u16,
    /// Index into [`ChurnModel::marketing_sources`](super::ChurnModel::marketing_sources).
    pub marketing_source: u16,
    /// Latent, 0 to 1, as drawn; the same bits as in the truth.
    pub engagement_score: f64,
}

/// How far the `event_id`s of two users are apart where each user's events are numbered: no user has as many events.
pub const IDS_PER_USER: u64 = 1_000_000;

/// A row of `events`. Its `event_id` is its number among the user's own, or that in the file, which is given at writing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// Whose it is.
    pub user_id: u64,
    /// When, to the second.
    pub event_time: Instant,
    /// What happened.
    pub action: Action,
}

/// What happened, with the fields that only it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A session began.
    Login,
    /// Enrolment in a course.
    CourseEnroll {
        /// Index into [`ChurnModel::courses`](super::ChurnModel::courses).
        course: u16,
    },
    /// A video was watched.
    VideoWatch {
        /// Index into [`ChurnModel::courses`](super::ChurnModel::courses).
        course: u16,
        /// Hundredths of a minute.
        watch_hundredths: u32,
    },
    /// A quiz was attempted.
    QuizAttempt {
        /// Index into [`ChurnModel::courses`](super::ChurnModel::courses).
        course: u16,
        /// Hundredths of a point.
        score_hundredths: u32,
    },
    /// A charge succeeded.
    PaymentSuccess {
        /// Hundredths of the currency's unit.
        amount_cents: u32,
    },
    /// A charge failed.
    PaymentFailed {
        /// Hundredths of the currency's unit.
        amount_cents: u32,
    },
    /// Support was contacted.
    SupportTicket,
}

/// The seven types of event, in the order of the seed's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventType {
    /// `login`
    Login,
    /// `course_enroll`
    CourseEnroll,
    /// `video_watch`
    VideoWatch,
    /// `quiz_attempt`
    QuizAttempt,
    /// `payment_success`
    PaymentSuccess,
    /// `payment_failed`
    PaymentFailed,
    /// `support_ticket`
    SupportTicket,
}

impl EventType {
    /// Every type, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Login,
        Self::CourseEnroll,
        Self::VideoWatch,
        Self::QuizAttempt,
        Self::PaymentSuccess,
        Self::PaymentFailed,
        Self::SupportTicket,
    ];

    /// The names as written, by number.
    pub const NAMES: [&str; 7] =
        ["login", "course_enroll", "video_watch", "quiz_attempt", "payment_success", "payment_failed", "support_ticket"];

    /// The name as written.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl Action {
    /// Its type.
    #[inline]
    pub const fn event_type(self) -> EventType {
        match self {
            Self::Login => EventType::Login,
            Self::CourseEnroll { .. } => EventType::CourseEnroll,
            Self::VideoWatch { .. } => EventType::VideoWatch,
            Self::QuizAttempt { .. } => EventType::QuizAttempt,
            Self::PaymentSuccess { .. } => EventType::PaymentSuccess,
            Self::PaymentFailed { .. } => EventType::PaymentFailed,
            Self::SupportTicket => EventType::SupportTicket,
        }
    }

    /// Index of the course, where there is one.
    #[inline]
    pub const fn course(self) -> Option<u16> {
        match self {
            Self::CourseEnroll { course } | Self::VideoWatch { course, .. } | Self::QuizAttempt { course, .. } => Some(course),
            _ => None,
        }
    }

    /// Hundredths of a minute watched, of a video.
    #[inline]
    pub const fn watch_hundredths(self) -> Option<u32> {
        if let Self::VideoWatch { watch_hundredths, .. } = self { Some(watch_hundredths) } else { None }
    }

    /// Hundredths of a point scored, of a quiz.
    #[inline]
    pub const fn score_hundredths(self) -> Option<u32> {
        if let Self::QuizAttempt { score_hundredths, .. } = self { Some(score_hundredths) } else { None }
    }

    /// Hundredths of the currency's unit, of a charge.
    #[inline]
    pub const fn amount_cents(self) -> Option<u32> {
        match self {
            Self::PaymentSuccess { amount_cents } | Self::PaymentFailed { amount_cents } => Some(amount_cents),
            _ => None,
        }
    }
}

/// A row of the truth table `users`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// The user.
    pub user_id: u64,
    /// Latent engagement, 0 to 1.
    pub engagement: f64,
    /// The probability that `churned` was drawn against: `base` · `paid_factor` · `engagement_factor` · `cap_factor`, to 1e-12.
    pub churn_prob: f64,
    /// `churn_base_rate`.
    pub base: f64,
    /// `churn.paid_factor` for a paying user, else 1.
    pub paid_factor: f64,
    /// `engagement_floor` + `engagement_weight` · (1 − engagement)^`engagement_power`.
    pub engagement_factor: f64,
    /// 1, or less where the product of the others is above `churn.max_probability`.
    pub cap_factor: f64,
    /// Whether the user churns within the window.
    pub churned: bool,
    /// The user's last day, if the user churns: no event comes after it.
    pub churn_date: Option<Date>,
    /// False only for a churn date that is the window's last day: no day is left on which the user could be missed.
    pub observable: bool,
    /// Probability of activity on a day.
    pub active_prob: f64,
    /// Probability that a session holds a video.
    pub video_prob: f64,
    /// Probability that a session holds a quiz.
    pub quiz_prob: f64,
}
