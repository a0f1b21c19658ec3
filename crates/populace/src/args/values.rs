//! What options take, what completion proposes for them, and what a message says of something else.

use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::{Arg, Command};
use populace_analysis::families as analysis;
use populace_core::time::{DAY, HOUR, MINUTE, SECOND};
#[cfg(feature = "flow")]
use populace_flow::connector::webhooks::PROVIDERS;
#[cfg(feature = "flow")]
use populace_flow::http::WebhookLimits;
use populace_io::argument;
pub(crate) use populace_io::argument::number;
use populace_io::catalogue::{self, LIBRARY};
use populace_io::document::{Request, Resolved, Source};
use populace_io::family::{self, FAMILIES};
use populace_io::files::{Compression, Types};
use populace_io::table::Ids;
use std::collections::BTreeSet;
use std::ffi::OsStr;
#[cfg(any(feature = "flow", feature = "kafka"))]
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A whole number of a range, in any form that people write.
pub(crate) fn whole<T: TryFrom<u64> + Clone + Send + Sync + 'static>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| T::try_from(argument::whole(text, &range)?).map_err(|_| format!("must be at most {}", range.end()))
}

/// A name of a host, without a port.
#[cfg(feature = "flow")]
pub(crate) fn host(text: &str) -> Result<String, String> {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let ends_in_letters = |(_, last): (&str, &str)| last.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_host = text.split('.').all(is_label) && text.rsplit_once('.').is_some_and(ends_in_letters);
    if is_host { Ok(text.to_owned()) } else { Err("must be the name of a host, such as hooks.example.com".to_owned()) }
}

/// A limit of webhooks: `PROVIDER=BYTES,EVENTS`.
#[cfg(feature = "flow")]
pub(crate) fn webhook_limit(text: &str) -> Result<(String, WebhookLimits), String> {
    let wrong = || format!("must be PROVIDER=BYTES,EVENTS, such as sendgrid=2097152,10000; the providers are {}", PROVIDERS.join(", "));
    let (provider, limits) = text.split_once('=').filter(|(provider, _)| PROVIDERS.contains(provider)).ok_or_else(wrong)?;
    let (bytes, events) = limits.split_once(',').ok_or_else(wrong)?;
    let number = |text: &str, most: usize| text.trim().parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(wrong);
    Ok((provider.to_owned(), WebhookLimits { body_bytes: number(bytes, 32 << 20)?, events: number(events, 100_000)? }))
}

/// An address to listen at.
#[cfg(any(feature = "flow", feature = "kafka"))]
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:5215".to_owned())
}

/// A span of time such as `30m`, in microseconds.
pub(crate) fn gap(text: &str) -> Result<i64, String> {
    let wrong = || "must be a span such as 90s, 30m or 2h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Text for which completion proposes names. Other text is taken too: a file, or a name that is answered with a better message.
#[derive(Clone)]
pub(crate) struct Proposed(Arc<dyn Fn() -> Vec<&'static str> + Send + Sync>);

pub(crate) fn proposed(names: impl Fn() -> Vec<&'static str> + Send + Sync + 'static) -> Proposed {
    Proposed(Arc::new(names))
}

impl TypedValueParser for Proposed {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}

/// A compression.
#[derive(Clone)]
pub(crate) struct Codecs;

impl TypedValueParser for Codecs {
    type Value = Compression;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Compression, clap::Error> {
        let parse: fn(&str) -> Result<Compression, String> = str::parse;
        TypedValueParser::parse_ref(&parse, command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(["none", "zstd", "snappy", "lz4", "gzip"].into_iter().map(PossibleValue::new)))
    }
}

/// The types of Parquet columns.
pub(crate) fn types() -> impl TypedValueParser<Value = Types> {
    PossibleValuesParser::new(["portable", "compact"]).try_map(|name| name.parse::<Types>())
}

/// The types of ids.
pub(crate) fn ids() -> impl TypedValueParser<Value = Ids> {
    PossibleValuesParser::new(["text", "uuid", "binary"]).try_map(|name| name.parse::<Ids>())
}

/// The built-in scenarios.
pub(crate) fn scenarios() -> Vec<&'static str> {
    LIBRARY.names().collect()
}

/// What `scenarios show` prints.
pub(crate) fn documents() -> Vec<&'static str> {
    let components = family::components().flat_map(|(_, component)| component.builtins).map(|(name, _)| *name);
    LIBRARY.names().chain(components).collect()
}

/// The families.
pub(crate) fn families() -> Vec<&'static str> {
    FAMILIES.iter().map(|family| family.name).collect()
}

/// What `--detect` names.
pub(crate) fn effects() -> Vec<&'static str> {
    let named = FAMILIES.iter().flat_map(|family| analysis::effects(family.name)).map(|effect| effect.name);
    named.chain(["list"]).collect()
}

/// The profiles of the built-in scenarios.
pub(crate) fn profiles() -> Vec<&'static str> {
    of_scenarios(|resolved| resolved.profiles.clone())
}

/// The tables of the built-in scenarios.
pub(crate) fn tables() -> Vec<&'static str> {
    of_scenarios(|resolved| {
        let generator = catalogue::generator(resolved);
        generator.iter().flat_map(|generator| generator.tables()).map(populace_io::table::Table::path).collect()
    })
}

/// Names of the built-in scenarios, each once. Completion asks for them once in a process.
fn of_scenarios(names: impl Fn(&Resolved) -> Vec<String>) -> Vec<&'static str> {
    let scenarios = LIBRARY.names().filter_map(|name| catalogue::resolve(&Request::new(Source::Named(name))).ok());
    let names: BTreeSet<String> = scenarios.flat_map(|resolved| names(&resolved)).collect();
    names.into_iter().map(|name| &*name.leak()).collect()
}
