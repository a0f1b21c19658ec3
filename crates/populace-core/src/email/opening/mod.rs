//! When a message is opened, once an open is decided.

mod attention;
mod delays;
mod mixture;

pub use attention::{AttentionConfig, OpenDelayLaw};
pub(super) use delays::ClickDelay;
pub use delays::DelaysConfig;
pub(super) use mixture::Opening;
pub use mixture::{OpenComponentConfig, OpenMixtureConfig};
