//! What is counted, in the text format of Prometheus (version 0.0.4).

use crate::error::FlowError;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram of times, seconds.
const BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Something that is measured when it is asked for.
pub type Gauge = Box<dyn Fn() -> Result<f64, FlowError> + Send + Sync>;
/// Something that is ready or says why not.
pub type Part = Box<dyn Fn() -> Result<(), FlowError> + Send + Sync>;

/// What is told of the parts behind the connector.
#[derive(Default)]
pub struct Gauges {
    /// Measured values: name without `populace_`, what it is, and how to measure it. A name that ends in `_total` is a counter.
    pub values: Vec<(&'static str, &'static str, Gauge)>,
    /// The parts that must be ready.
    pub parts: Vec<(&'static str, Part)>,
}

#[derive(Default)]
struct Times {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

/// Requests and their times.
#[derive(Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    times: Mutex<BTreeMap<&'static str, Times>>,
}

impl Metrics {
    pub(super) fn observed(&self, route: &'static str, status: u16, took: Duration) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((route, status)).or_default() += 1;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let times = times.entry(route).or_default();
        let seconds = took.as_secs_f64();
        for (bucket, bound) in times.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        times.count += 1;
        times.sum += seconds;
    }

    pub(super) fn requests(&self, out: &mut String) {
        head(out, "http_requests_total", "counter", "Requests by route and status");
        for ((route, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(out, "populace_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        head(out, "http_request_seconds", "histogram", "Time from the head of a request to its answer");
        for (route, times) in &*self.times.lock().unwrap_or_else(PoisonError::into_inner) {
            for (bucket, bound) in times.buckets.iter().zip(BOUNDS) {
                let _ = writeln!(out, "populace_http_request_seconds_bucket{{route=\"{route}\",le=\"{bound}\"}} {bucket}");
            }
            let Times { count, sum, .. } = times;
            let _ = writeln!(out, "populace_http_request_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(out, "populace_http_request_seconds_sum{{route=\"{route}\"}} {sum}");
            let _ = writeln!(out, "populace_http_request_seconds_count{{route=\"{route}\"}} {count}");
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP populace_{name} {help}\n# TYPE populace_{name} {kind}\n");
}

/// A counter by labels.
pub(super) fn labelled(out: &mut String, name: &str, help: &str, values: impl Iterator<Item = (String, u64)>) {
    head(out, name, "counter", help);
    for (labels, value) in values {
        let _ = writeln!(out, "populace_{name}{{{labels}}} {value}");
    }
}

/// A counter, if its name ends in `_total`, or a gauge.
pub(super) fn figure(out: &mut String, name: &str, help: &str, value: f64) {
    head(out, name, if name.ends_with("_total") { "counter" } else { "gauge" }, help);
    let _ = writeln!(out, "populace_{name} {value}");
}
