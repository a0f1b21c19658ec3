//! The model of a scenario, by its family.

use crate::error::AnalysisError;
use populace_core::churn::ChurnModel;
use populace_core::email::EmailModel;
use populace_core::scenario::Scenario;
use populace_core::traces::TracesModel;
use populace_io::catalogue;
use populace_io::document::Resolved;

/// A checked scenario.
#[derive(Debug)]
pub enum Model {
    /// Users of a subscription.
    Churn(Box<ChurnModel>),
    /// Recipients of mail.
    Email(Box<EmailModel>),
    /// Callers of an API.
    Traces(Box<TracesModel>),
}

impl Model {
    /// The model of a document.
    ///
    /// # Errors
    /// The document is not sound.
    pub fn new(document: &Resolved) -> Result<Self, AnalysisError> {
        Ok(match document.family.as_str() {
            "churn" => Self::Churn(Box::new(catalogue::model(document)?)),
            "email" => Self::Email(Box::new(catalogue::model(document)?)),
            _ => Self::Traces(Box::new(catalogue::model(document)?)),
        })
    }

    /// The family: `churn`, `email` or `traces`.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Churn(_) => ChurnModel::NAME,
            Self::Email(_) => EmailModel::NAME,
            Self::Traces(_) => TracesModel::NAME,
        }
    }
}
