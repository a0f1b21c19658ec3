//! The services over HTTP: the only asynchronous code. Handlers hand their work to threads that may block.

pub mod access;
mod api;
mod app;
mod call;
mod events;
mod features;
mod identity;
mod limits;
mod metrics;
mod operation;
mod problem;
mod reply;
mod routes;
mod schema;
mod server;
mod share;
mod signature;
mod watched;

pub use access::{Access, Scope};
pub use app::{Eraser, FeatureSource, Features, Services};
pub use limits::{Limits, WebhookLimits};
pub use metrics::{Gauge, Gauges, Part};
pub use signature::{MAX_AGE, WebhookKeys};
pub use watched::{Watched, WatchedAt};

use crate::error::FlowError;
use app::App;
use server::{Listening, bind};
use std::net::SocketAddr;
use std::sync::Arc;

/// Addresses that are taken, before anything is opened or written.
pub struct Bound {
    connector: std::net::TcpListener,
    features: Option<std::net::TcpListener>,
}

impl Bound {
    /// Takes two addresses; a port of 0 takes any.
    ///
    /// # Errors
    /// An address is taken, or is open to others while nobody needs a token.
    pub fn new(access: &Access, connector: SocketAddr, features: Option<SocketAddr>) -> Result<Self, FlowError> {
        for address in [Some(connector), features].into_iter().flatten() {
            access.check(address.ip())?;
        }
        Ok(Self { connector: bind(connector)?, features: features.map(bind).transpose()? })
    }
}

/// Services that answer.
pub struct Running {
    /// Where the connector listens.
    pub connector: SocketAddr,
    /// Where the feature service listens.
    pub features: Option<SocketAddr>,
    listening: Listening,
}

impl Running {
    /// Answers at addresses that are taken.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(services: Services, bound: Bound) -> Result<Self, FlowError> {
        let app = App::new(services);
        let mut listening = Listening::start(app.services.limits.header_time)?;
        let connector = listening.add(bound.connector, routes::connector(Arc::clone(&app)))?;
        let features = bound.features.map(|listener| listening.add(listener, routes::features(app))).transpose()?;
        Ok(Self { connector, features, listening })
    }

    /// Answers until Ctrl-C or a request to terminate, or until `ended` is true, then ends what was begun.
    pub fn until_signal(self, ended: impl Fn() -> bool) {
        self.listening.until_signal(ended);
    }

    /// Takes no more connections and ends what was begun.
    pub fn stop(self) {
        self.listening.stop();
    }
}
