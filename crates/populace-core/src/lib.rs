//! Simulation of populations whose every probability is known.
//!
//! One direction: a scenario document becomes a [`Config`](scenario::Scenario::Config), the checked configuration becomes a model
//! ([`Scenario`](scenario::Scenario)), and the model simulates one actor at a time into an [`Observer`](scenario::Observer). There
//! is no output, no clock and no shared state here: the bytes of every data set depend on this crate alone.

pub mod churn;
pub mod dist;
pub mod email;
pub mod markov;
pub mod math;
pub mod philox;
pub mod plan;
pub mod scenario;
pub mod stream;
pub mod time;
pub mod traces;

/// Raised with every change of any sampled value; part of the manifest.
pub const VALUES_VERSION: u32 = 1;
