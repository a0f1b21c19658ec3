//! What must hold of the analysis commands.

mod churn;
mod email;
mod features;
mod prepare;
mod recover;
mod report;
mod score;
mod source;
mod support;
mod traces;
mod verify;
