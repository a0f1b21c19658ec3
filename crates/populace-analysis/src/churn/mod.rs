//! What can be told of a subscriber from the data alone, and what the scenario says about it.

pub mod law;
pub mod posterior;
pub mod users;

pub use law::Engagement;
pub use posterior::{Evidence, Inference};
pub use users::{EVENT_COLUMNS, Event, SIDES, USER_COLUMNS, User};
