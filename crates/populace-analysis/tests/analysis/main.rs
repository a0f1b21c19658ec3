//! What must hold of the analysis commands.

mod churn;
mod corrupt;
mod email;
mod features;
mod machines;
mod own_files;
mod plan;
mod policies;
mod prepare;
mod recover;
mod report;
mod scanners;
mod score;
mod seasons;
mod source;
mod support;
mod traces;
mod verify;
