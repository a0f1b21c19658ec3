//! What a client may ask for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Limits of requests. The defaults are those of the documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The largest body, bytes.
    pub body_bytes: usize,
    /// Of webhooks, by provider, in the place of the default.
    pub webhooks: BTreeMap<String, WebhookLimits>,
    /// The deepest nesting of JSON.
    pub json_depth: usize,
    /// Requests of one client a second; as many may come at once.
    pub requests_a_second: f64,
    /// Requests that are worked on at a time; one client may have no more than the others leave free.
    pub in_flight: usize,
    /// What bodies hold at a time, bytes, shared in the same way.
    pub bodies_bytes: usize,
    /// How long the head of a request may take to come.
    pub header_time: Duration,
    /// How long a request may take from its head to its answer.
    pub request_time: Duration,
}

/// What one webhook may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookLimits {
    /// The largest body, bytes.
    pub body_bytes: usize,
    /// The most events.
    pub events: usize,
}

impl WebhookLimits {
    /// More than a provider documents: SendGrid sends up to 768 KB, which are 1,800 small events, Klaviyo 1,000 events of about 1.2 MB.
    fn of(provider: &str) -> Self {
        match provider {
            "sendgrid" => Self { body_bytes: 2 << 20, events: 10_000 },
            "klaviyo" => Self { body_bytes: 4 << 20, events: 5_000 },
            _ => Self { body_bytes: 1 << 20, events: 1_000 },
        }
    }
}

impl Limits {
    /// Those of a provider's webhooks.
    pub fn of(&self, provider: &str) -> WebhookLimits {
        self.webhooks.get(provider).copied().unwrap_or_else(|| WebhookLimits::of(provider))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            webhooks: BTreeMap::new(),
            json_depth: 32,
            requests_a_second: 100.0,
            in_flight: 256,
            bodies_bytes: 64 << 20,
            header_time: Duration::from_secs(10),
            request_time: Duration::from_secs(30),
        }
    }
}

/// Clients that are remembered; beyond, those that have rested longest are forgotten, which gives them nothing they do not have.
const CLIENTS: usize = 10_000;

/// A bucket of tokens for each client.
pub(super) struct Rates {
    a_second: f64,
    buckets: Mutex<HashMap<String, (f64, Instant)>>,
}

impl Rates {
    pub(super) fn new(a_second: f64) -> Self {
        Self { a_second, buckets: Mutex::default() }
    }

    /// Takes a token, or says after how long there is one.
    pub(super) fn take(&self, client: &str, now: Instant) -> Result<(), Duration> {
        let full = self.a_second.max(1.0);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CLIENTS && !buckets.contains_key(client) {
            buckets.retain(|_, (left, seen)| *left + now.saturating_duration_since(*seen).as_secs_f64() * self.a_second < full);
            if buckets.len() >= CLIENTS {
                return Err(Duration::from_secs(1));
            }
        }
        let (left, seen) = buckets.entry(client.to_owned()).or_insert((full, now));
        *left = (*left + now.saturating_duration_since(*seen).as_secs_f64() * self.a_second).min(full);
        *seen = now;
        if *left >= 1.0 {
            *left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - *left) / self.a_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_its_rate_and_others_theirs() {
        let rates = Rates::new(10.0);
        let start = Instant::now();
        let taken = (0..30).filter(|_| rates.take("a", start).is_ok()).count();
        assert_eq!(taken, 10);
        let wait = rates.take("a", start).unwrap_err();
        assert!((0.09..=0.1).contains(&wait.as_secs_f64()), "{wait:?}");
        assert!(rates.take("b", start).is_ok());
        let later = start + Duration::from_millis(550);
        assert_eq!((0..30).filter(|_| rates.take("a", later).is_ok()).count(), 5);
        let much_later = start + Duration::from_hours(1);
        assert_eq!((0..30).filter(|_| rates.take("a", much_later).is_ok()).count(), 10);
    }

    #[test]
    fn the_clients_that_are_remembered_are_bounded() {
        let rates = Rates::new(1.0);
        let start = Instant::now();
        for client in 0..CLIENTS {
            assert!(rates.take(&client.to_string(), start).is_ok());
        }
        assert!(rates.take("another", start).is_err());
        assert!(rates.take("another", start + Duration::from_secs(2)).is_ok());
    }
}
