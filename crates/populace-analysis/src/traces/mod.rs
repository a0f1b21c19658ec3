//! What can be told of a session from the calls alone, and what the scenario says about it.

pub mod cascade;
pub mod law;
pub mod sessions;

pub use cascade::{Cascades, Suspicion};
pub use law::Law;
pub use sessions::{CALL_COLUMNS, Call, Endpoints, Session};
