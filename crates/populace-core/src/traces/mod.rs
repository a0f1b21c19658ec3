#![doc = include_str!("guide.md")]

mod actor;
mod config;
pub mod endpoints;
mod laws;
mod model;
mod rows;
mod sessions;

pub use config::{
    CascadeConfig, DelaysConfig, Method, ParametersConfig, ResponseSizesConfig, ResponseTimesConfig, SessionsConfig, TracesConfig,
    WorkflowConfig,
};
pub use laws::Expected;
pub use model::{Endpoint, TracesModel};
pub use rows::{CallRow, CallTruth, EndReason, Fault, SessionId, SessionRow, SessionTruth, TraceRow, TraceTruth};

use crate::plan::Population;
use crate::scenario::{ConfigError, Observer, Problem, Scenario};
use crate::stream::{ActorId, StreamKey};
use crate::time::Window;

/// The built-in documents, by name.
pub const DOCUMENTS: &[(&str, &str)] = &[("traces", include_str!("traces.yaml"))];

/// The built-in workflows besides the `traces` document's own, by name: `WorkflowDefinition` documents.
pub const WORKFLOWS: &[(&str, &str)] = &[
    ("ecommerce", include_str!("workflows/ecommerce.yaml")),
    ("simple", include_str!("workflows/simple.yaml")),
    ("microservices", include_str!("workflows/microservices.yaml")),
];

impl Scenario for TracesModel {
    const NAME: &'static str = "traces";
    type Config = TracesConfig;
    type Row = TraceRow;
    type Truth = TraceTruth;

    fn from_config(config: &TracesConfig) -> Result<Self, ConfigError> {
        Self::build(config)
    }

    fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    fn population(&self) -> Population {
        let expected = self.expected();
        Population { actors: self.config.population.users, rows_per_actor: (expected.calls + expected.retries) / expected.users }
    }

    fn window(&self) -> Window {
        self.window
    }

    fn simulate(&self, actor: ActorId, key: StreamKey, out: &mut impl Observer<TraceRow, TraceTruth>) {
        self.simulate_user(actor, key, out);
    }
}
