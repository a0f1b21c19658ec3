//! What comes out: small numbers and indices into the model's tables.

use crate::time::Instant;

/// A row of a data table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TraceRow {
    /// A call, in order within its session.
    Call(CallRow),
    /// A session, after its calls.
    Session(SessionRow),
}

/// One call, or one retry of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallRow {
    /// The session's id.
    pub session: SessionId,
    /// Number of the call within its session's walk, from 1; a retry has that of the call it repeats.
    pub number: u16,
    /// Index into [`TracesModel::user_types`](super::TracesModel::user_types).
    pub user_type: u8,
    /// Index into [`TracesModel::endpoints`](super::TracesModel::endpoints).
    pub endpoint: u16,
    /// Index into [`TracesModel::parameters`](super::TracesModel::parameters).
    pub parameters: u16,
    /// When the call started.
    pub time: Instant,
    /// How long it took, in microseconds.
    pub response_time: i64,
    /// HTTP status code.
    pub status: u16,
    /// Size of the response body in bytes.
    pub response_size: i64,
    /// 1, or 2 for a retry.
    pub attempt: u8,
}

impl CallRow {
    /// Whether it repeats a call that failed: the first attempt at the same number.
    #[inline]
    pub const fn is_retry(&self) -> bool {
        self.attempt > 1
    }
}

/// One session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Index into [`TracesModel::user_types`](super::TracesModel::user_types).
    pub user_type: u8,
    /// Start of the first call.
    pub start: Instant,
    /// End of the last response.
    pub end: Instant,
    /// Number of calls, retries not counted.
    pub calls: u32,
}

/// A session's id: a UUID of version 8 whose last 16 bits are zero. The calls of the session are numbered in those bits: 14 have the
/// call's number in the walk, two its attempts before. So a call has the same id whatever is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// The id made of 128 random bits, 22 of which give way to version, variant and the number of the call.
    #[inline]
    pub const fn from_words(high: u64, low: u64) -> Self {
        let high = high & !0xF000 | 0x8000;
        let low = low & 0x3FFF_FFFF_FFFF_0000 | 0x8000_0000_0000_0000;
        Self((high as u128) << 64 | low as u128)
    }

    /// The id as a number, most significant byte first.
    #[inline]
    pub const fn uuid(self) -> u128 {
        self.0
    }

    /// The id of an attempt (from 1 to [`MOST_ATTEMPTS`](Self::MOST_ATTEMPTS)) at call `number` of this session's walk, from 1.
    #[inline]
    pub const fn call(self, number: u16, attempt: u8) -> u128 {
        self.0 | (number as u128 * Self::MOST_ATTEMPTS as u128 + attempt as u128 - 1)
    }

    /// How many attempts at a call have ids of their own.
    pub const MOST_ATTEMPTS: u8 = 4;
}

/// What only the simulator knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TraceTruth {
    /// Of a call.
    Call(CallTruth),
    /// Of a session, after its calls.
    Session(SessionTruth),
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallTruth {
    /// The session's id.
    pub session: SessionId,
    /// Number of the call within its session's walk, from 1.
    pub number: u16,
    /// 1, or 2 for a retry.
    pub attempt: u8,
    /// What a cascade did to it.
    pub fault: Fault,
    /// The response time it would have had without a fault, in microseconds.
    pub base_response_time: i64,
}

/// What was planned for a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionTruth {
    /// The session's id.
    pub id: SessionId,
    /// Index of the first call that the cascade can hit, from 0, retries not counted; none without a cascade.
    pub cascade_start: Option<u32>,
    /// Why it ended.
    pub end_reason: EndReason,
}

/// What a cascade does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Multiplies its response time.
    Slow,
    /// Lets it time out (504).
    Timeout,
    /// Refuses it (503).
    Unavailable,
}

impl Fault {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::None, Self::Slow, Self::Timeout, Self::Unavailable];

    /// As it is written in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slow => "slow",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It reached an exit point.
    Exit,
    /// It reached the greatest length.
    MaxLength,
}

impl EndReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Exit, Self::MaxLength];

    /// As it is written in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::MaxLength => "max_length",
        }
    }
}
