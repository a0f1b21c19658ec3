//! `populace serve`.

use crate::args::{ServeArgs, ServiceArgs};
use crate::failure::Failure;
use populace_flow::FlowError;
use populace_flow::connector::webhooks::PROVIDERS;
use populace_flow::features::{self, Source};
use populace_flow::http::{Access, Bound, Limits, Running, Scope, WebhookKeys};
use populace_flow::identity::{IdentityStore, KeyRing, missing_keys};
use populace_flow::log::GROUP;
use populace_flow::service::{Background, Embedded};
use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The environment variable of the one token that may do everything.
const TOKEN: &str = "POPULACE_TOKEN";
/// Where the feature service listens unless told otherwise.
const FEATURES_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8001);
/// The environment variable of the one key of identities.
const KEY: &str = "POPULACE_IDENTITY_KEY";
/// The environment variables of keys of webhooks begin so, and end with the provider.
const WEBHOOK: &str = "POPULACE_WEBHOOK_";
/// The environment variable of `--identities`.
#[cfg(feature = "kafka")]
const IDENTITIES: &str = "POPULACE_IDENTITIES";
/// The environment variable of `--table`.
#[cfg(feature = "kafka")]
const TABLE: &str = "POPULACE_TABLE";

impl From<FlowError> for Failure {
    fn from(error: FlowError) -> Self {
        Self::input(error)
    }
}

pub(crate) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    #[cfg(feature = "kafka")]
    if let Some(url) = &arguments.log {
        return publish(arguments, url);
    }
    if !arguments.embedded {
        return Err(Failure::input(
            "serve needs a log to publish to: give --embedded for the one that needs no server, or --log kafka://HOST:PORT/TOPIC (in a build with \
             --features kafka)",
        ));
    }
    let access = access(&arguments.service)?;
    let ring = ring(&arguments.service)?;
    let webhooks = webhook_keys(arguments)?;
    // First, so that nothing is made where nothing can be served.
    let bound = Bound::new(&access, arguments.listen, Some(arguments.features_listen.unwrap_or(FEATURES_LISTEN)))?;
    let flow = Arc::new(Embedded::open(&arguments.data)?);
    let identities: Arc<dyn IdentityStore> = Arc::clone(&flow.identities) as _;
    check_keys(identities.as_ref(), &ring, &arguments.data.display().to_string())?;
    let source = match &arguments.features_from {
        Some(from) => source(from, &identities)?,
        None => Source::Table(Arc::clone(&flow.table) as _, identities),
    };
    let features = features::open(source, &arguments.data)?;
    let open = access.is_open();
    let mut services = flow.services(ring, access, limits(arguments), Some(features))?;
    (services.webhooks, services.hosts) = (webhooks, arguments.allow_host.clone());
    let stop = super::progress::stop_flag()?;
    let background = Background::start(&flow);
    let running = Running::start(services, bound)?;
    note!("connector   http://{}  (described at /scalar/v1)", running.connector);
    if let Some(address) = running.features {
        note!("features    http://{address}");
    }
    note!("data        {}", arguments.data.display());
    if open {
        note!("no token is needed: only this machine can reach these addresses");
    }
    note!("Ctrl-C ends what was begun and stops");
    running.until_signal(|| background.has_ended() || stop.load(Ordering::Relaxed));
    let counts = background.stop()?;
    let left = flow.log.lag(GROUP)?;
    note!("{} messages dealt with: {} stored, {} known, {} dead letters", counts.read, counts.stored, counts.known, counts.dead);
    if left > 0 {
        note!("{left} wait in the log: the next start stores them");
    }
    super::progress::ended(&stop, "what was begun is done")
}

/// Where features come from that `--features-from` names.
#[cfg_attr(not(feature = "clickhouse"), expect(unused_variables, clippy::unnecessary_wraps, reason = "files need no identities"))]
fn source(from: &Path, identities: &Arc<dyn IdentityStore>) -> Result<Source, Failure> {
    #[cfg(feature = "clickhouse")]
    if let Some(url) = from.to_str().filter(|text| text.starts_with("clickhouse://") || text.starts_with("clickhouses://")) {
        return Ok(Source::Table(Arc::new(features::clickhouse::ClickHouseEvents::open(url)?), Arc::clone(identities)));
    }
    Ok(Source::Directory(from.to_owned()))
}

/// The connector in front of Kafka.
#[cfg(feature = "kafka")]
fn publish(arguments: &ServeArgs, url: &str) -> Result<(), Failure> {
    use populace_flow::clickhouse::ClickHouseTable;
    use populace_flow::connector::{Connector, Ledger};
    use populace_flow::http::{Eraser, Gauges, Services};
    use populace_flow::identity::{ClickHouseIdentities, IdentityDatabase};
    use populace_flow::kafka::KafkaLog;
    use populace_flow::table::EventTable;
    use populace_io::sinks::Target;
    use std::collections::BTreeMap;

    let target = super::sinks::target("--log", url, "kafka")?;
    let server = |option: &str, url: &Option<String>, variable: &str| {
        let url = url.clone().or_else(|| env::var(variable).ok());
        url.map(|url| super::sinks::target(option, url.trim(), "clickhouse")).transpose()
    };
    let elsewhere = server("--identities", &arguments.identities, IDENTITIES)?;
    let table = server("--table", &arguments.table, TABLE)?;
    let (access, ring) = (access(&arguments.service)?, ring(&arguments.service)?);
    let has_features = arguments.features_from.is_some() || table.is_some();
    if arguments.features_listen.is_some() && !has_features {
        return Err(Failure::input(format!(
            "--features-listen: there is nothing to compute features from; give the table that `populace consume` stores in as --table URL (or \
             {TABLE}), or --features-from"
        )));
    }
    let listen_features = has_features.then(|| arguments.features_listen.unwrap_or(FEATURES_LISTEN));
    let webhooks = webhook_keys(arguments)?;
    let bound = Bound::new(&access, arguments.listen, listen_features)?;
    let _held = populace_flow::service::hold(&arguments.data)?;
    let log = Arc::new(KafkaLog::open(&target, Duration::from_secs(10))?);
    let mut gauges = Gauges::default();
    let identities: Arc<dyn IdentityStore> = match &elsewhere {
        Some(target) => {
            let tables = Arc::new(ClickHouseIdentities::open(target, None)?);
            let watched = Arc::clone(&tables);
            gauges.parts.push(("identities", Box::new(move || watched.ready())));
            tables
        }
        None => Arc::new(IdentityDatabase::open(&arguments.data, None)?),
    };
    let place = elsewhere.as_ref().map_or_else(|| arguments.data.display().to_string(), Target::shown);
    check_keys(identities.as_ref(), &ring, &place)?;
    let ledger = Ledger::open(&arguments.data, &ring)?;
    let connector = Connector::new(log, Arc::clone(&identities), ring, ledger);
    let mut erasers: Vec<(String, Eraser)> = Vec::new();
    let mut kept = BTreeMap::from([("log".to_owned(), format!("{}: until its retention ends", target.shown()))]);
    if let Some(table) = &table {
        let events = ClickHouseTable::open(table)?;
        erasers.push(("table".to_owned(), Box::new(move |ids| events.erase(ids))));
        kept.entry("log".to_owned()).and_modify(|told| *told += "; consumers leave it out of the table");
    } else {
        kept.insert("table".to_owned(), "not known here: start with --table".to_owned());
    }
    let source = match (&arguments.features_from, &table) {
        (Some(from), _) => Some(source(from, &identities)?),
        (None, Some(table)) => Some(Source::Table(Arc::new(features::clickhouse::ClickHouseEvents::at(table)?), Arc::clone(&identities))),
        (None, None) => None,
    };
    let source = source.map(|source| features::open(source, &arguments.data)).transpose()?;
    let hosts = arguments.allow_host.clone();
    let services = Services { connector, access, webhooks, hosts, limits: limits(arguments), gauges, features: source, erasers, kept };
    let stop = super::progress::stop_flag()?;
    let running = Running::start(services, bound)?;
    note!("connector   http://{}  (described at /scalar/v1)", running.connector);
    if let Some(address) = running.features {
        note!("features    http://{address}");
    }
    note!("log         {}", Target::shown(&target));
    if let Some(table) = &table {
        note!("table       {}", table.shown());
    }
    if let Some(target) = &elsewhere {
        note!("identities  {}", target.shown());
    }
    note!("Ctrl-C ends what was begun and stops");
    running.until_signal(|| stop.load(Ordering::Relaxed));
    super::progress::ended(&stop, "what was begun is done")
}

fn limits(arguments: &ServeArgs) -> Limits {
    let webhooks = arguments.webhook_limit.iter().cloned().collect();
    Limits { requests_a_second: f64::from(arguments.rate), webhooks, ..Limits::default() }
}

/// The keys of webhooks, from a file and from the environment, and a warning of what anybody may send by a tunnel.
fn webhook_keys(arguments: &ServeArgs) -> Result<WebhookKeys, Failure> {
    let mut keys = WebhookKeys::default().with_max_age(Duration::from_secs(arguments.webhook_age));
    if let Some(path) = &arguments.webhook_key_file {
        warn_if_shared(path);
        keys = keys.read(path)?;
    }
    for provider in PROVIDERS {
        let variable = format!("{WEBHOOK}{}", provider.to_uppercase());
        if let Ok(text) = env::var(&variable) {
            let (scheme, key) =
                text.trim().split_once(char::is_whitespace).ok_or_else(|| Failure::input(format!("{variable}: must be SCHEME KEY")))?;
            keys = keys.with(provider, scheme, key.trim()).map_err(|error| Failure::input(format!("{variable}: {error}")))?;
        }
    }
    let unsigned: Vec<&str> = PROVIDERS.into_iter().filter(|provider| !keys.has(provider)).collect();
    if !arguments.allow_host.is_empty() && !unsigned.is_empty() {
        note!(
            "warning: --allow-host: whoever finds the tunnel may send webhooks of {}, which have no key; --webhook-key-file gives them one",
            unsigned.join(", ")
        );
    }
    Ok(keys)
}

/// Who may do what: tokens from a file and from the environment, never from the command line, which every process can read.
fn access(arguments: &ServiceArgs) -> Result<Access, Failure> {
    let mut access = Access::open();
    if let Some(path) = &arguments.token_file {
        warn_if_shared(path);
        access = access.read(path)?;
    }
    with_token_of_environment(access)
}

/// Adds the token of the environment, if there is one.
pub(super) fn with_token_of_environment(access: Access) -> Result<Access, Failure> {
    match env::var(TOKEN) {
        Ok(token) => access.with(token.trim(), vec![Scope::Admin]).map_err(|error| Failure::input(format!("{TOKEN}: {error}"))),
        Err(_) => Ok(access),
    }
}

/// The keys of identities; without one, the public key of synthetic recipients.
fn ring(arguments: &ServiceArgs) -> Result<KeyRing, Failure> {
    if let Some(path) = &arguments.identity_key_file {
        warn_if_shared(path);
        return Ok(KeyRing::read(path)?);
    }
    match env::var(KEY) {
        Ok(secret) => KeyRing::new(&[("env", secret.trim().as_bytes())]).map_err(|error| Failure::input(format!("{KEY}: {error}"))),
        Err(_) => Ok(KeyRing::synthetic()),
    }
}

/// Refuses keys that nobody in the store is known under, though somebody is known there; warns if some are known under other keys.
pub(super) fn check_keys(identities: &dyn IdentityStore, ring: &KeyRing, place: &str) -> Result<(), Failure> {
    let missing = missing_keys(identities, ring, place)?;
    if !missing.is_empty() {
        let missing = missing.join(", ");
        note!(
            "warning: {place}: there are people who are known under key {missing}, which this process does not have: who is known under no other \
             key will be new; if that is not meant, add it to --identity-key-file"
        );
    }
    Ok(())
}

/// Says so if others can read a secret.
fn warn_if_shared(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o077 != 0) {
            note!("warning: {}: other users can read it; `chmod 600` keeps it yours", path.display());
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}
