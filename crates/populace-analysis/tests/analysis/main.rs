//! What must hold of the analysis commands.

mod blasts;
mod churn;
mod corrupt;
mod deliveries;
mod email;
mod features;
mod leaving;
mod machines;
mod own_files;
mod people;
mod plan;
mod policies;
mod policy_figures;
mod prepare;
mod recover;
mod report;
mod scanners;
mod schedules;
mod score;
mod seasons;
mod source;
mod support;
mod traces;
mod verify;
mod zones;
