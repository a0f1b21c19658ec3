//! The command line as a user meets it: every test runs the program.

#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod corrupt;
mod documents;
mod features;
#[cfg(feature = "flow")]
mod flow;
mod guides;
mod input;
mod invariance;
mod kills;
mod outputs;
mod plan;
mod policies;
mod policy;
mod prepare;
mod recover;
mod report;
mod runs;
mod score;
#[cfg(target_os = "linux")]
mod signals;
mod sinks;
mod support;
mod terminal;
mod verify;
