//! When a message is opened, once an open is decided.

mod attention;
mod delays;

pub(super) use attention::{Attention, OpenDelays};
pub use attention::{AttentionConfig, OpenDelayLaw};
pub(super) use delays::ClickDelay;
pub use delays::DelaysConfig;
