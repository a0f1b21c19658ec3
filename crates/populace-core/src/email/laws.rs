//! What must hold, without drawing: the distribution of latencies in closed form and the expected volumes by integration.

pub use super::delivery::Cell;
pub use super::volumes::{Expectation, Volumes};
