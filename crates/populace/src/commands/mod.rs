//! The commands.

pub(crate) mod check;
pub(crate) mod features;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod prepare;
mod progress;
pub(crate) mod recover;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod scenario;
pub(crate) mod scenarios;
pub(crate) mod score;
pub(crate) mod verify;
