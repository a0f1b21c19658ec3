//! The tables of each scenario: which columns there are, what they mean, and how rows become columns.

pub mod churn;
pub mod email;
pub mod traces;
