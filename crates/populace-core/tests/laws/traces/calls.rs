//! What must hold of the calls that nothing disturbs.

use super::laws::CASCADES;
use super::samples::{Call, RARE_LOGOUT_MS, Sample, Samples, Session};
use crate::support::{Verdict, all, chi_square, fills, follows, share, thin};
use populace_core::math::{ln, normal_cdf};
use populace_core::traces::{CallRow, Method};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Mean response times in milliseconds.
const MEANS: [(&str, f64); 16] = [
    ("/api/login", 120.0),
    ("/api/users/{id}/profile", 80.0),
    ("/api/products/browse", 200.0),
    ("/api/products/search", 250.0),
    ("/api/products/{id}/details", 150.0),
    ("/api/cart/add", 90.0),
    ("/api/cart", 100.0),
    ("/api/cart/remove", 85.0),
    ("/api/checkout", 300.0),
    ("/api/payment", 500.0),
    ("/api/confirmation", 150.0),
    ("/api/users/{id}/orders", 180.0),
    ("/api/orders/{id}/details", 160.0),
    ("/api/orders/{id}/track", 140.0),
    ("/api/users/{id}/settings", 110.0),
    ("/api/logout", 60.0),
];

/// Response times of an endpoint: N(mean, .3 mean) above 10 ms, and a slow call's, U(3, 10) times that.
pub(super) struct TimeLaw {
    pub(super) mean: f64,
    /// P(slow ≤ x) at multiples of the mean, `STEPS` to one.
    slow: Vec<f64>,
}

/// Steps of the table of a slow call's law to one mean, and nodes of its integral over the factor.
const STEPS: usize = 50;
const NODES: u32 = 70;

impl TimeLaw {
    fn new(mean: f64) -> Self {
        let mut law = Self { mean, slow: Vec::new() };
        law.slow = (0..25 * STEPS)
            .map(|step| {
                let x = mean * step as f64 / STEPS as f64;
                let factors = (0..NODES).map(|node| 3.0 + 7.0 * (f64::from(node) + 0.5) / f64::from(NODES));
                factors.map(|factor| law.plain(x / factor)).sum::<f64>() / f64::from(NODES)
            })
            .collect();
        law
    }

    /// P(response time ≤ x milliseconds).
    pub(super) fn plain(&self, x: f64) -> f64 {
        let cdf = |x: f64| normal_cdf((x / self.mean - 1.0) / 0.3);
        ((cdf(x) - cdf(10.0)) / (1.0 - cdf(10.0))).max(0.0)
    }

    /// P(response time ≤ x | slow).
    pub(super) fn slow(&self, x: f64) -> f64 {
        let place = x / self.mean * STEPS as f64;
        let Some(pair) = self.slow.get(place as usize..place as usize + 2) else { return 1.0 };
        pair[0] + (pair[1] - pair[0]) * place.fract()
    }
}

static LAWS: LazyLock<BTreeMap<&str, TimeLaw>> = LazyLock::new(|| MEANS.iter().map(|(path, mean)| (*path, TimeLaw::new(*mean))).collect());
static DEFAULT: LazyLock<TimeLaw> = LazyLock::new(|| TimeLaw::new(150.0));
static RARE_LOGOUT: LazyLock<TimeLaw> = LazyLock::new(|| TimeLaw::new(RARE_LOGOUT_MS));

/// The law of an endpoint in the main sample.
pub(super) fn time_law(path: &str) -> &'static TimeLaw {
    &LAWS[path]
}

/// The law of an endpoint in the rare sample.
fn rare_time_law(path: &str) -> &'static TimeLaw {
    if path == "/api/logout" { &RARE_LOGOUT } else { &DEFAULT }
}

pub(super) fn ms(row: &CallRow) -> f64 {
    // The middle of the microsecond that it is rounded down to.
    (row.response_time as f64 + 0.5) / 1_000.0
}

/// Whether a cascade cannot have struck the call: it is in the first half of its session.
pub(super) fn is_early(session: &Session, call: &Call<'_>) -> bool {
    call.index < (session.row.calls / 2) as usize
}

/// Where each response time lies in its law, by endpoint: of early calls, of refused calls and of retries in the plain law; of the others
/// that have not timed out in the mixture of plain and slow calls. Whole above 10 ms.
pub(super) fn response_times(samples: &Samples) -> Verdict {
    let struck = CASCADES * 0.6 / (1.0 - CASCADES * (0.2 + 0.15));
    for (sample, law_of) in [(&samples.main, time_law as fn(&str) -> &'static TimeLaw), (&samples.rare, rare_time_law)] {
        let laws: Vec<&TimeLaw> = sample.model.endpoints().iter().map(|endpoint| law_of(&endpoint.path)).collect();
        let mut ranks = vec![[vec![], vec![]]; laws.len()];
        for session in &sample.sessions {
            // Calls of one session are struck together: of those that might be, one of each endpoint, so that all are independent.
            let mut seen = 0_u32;
            for call in sample.calls(session) {
                let [plain, mixed] = &mut ranks[usize::from(call.row.endpoint)];
                let is_early = is_early(session, &call);
                let is_first = !is_early && seen >> call.row.endpoint & 1 == 0;
                seen |= u32::from(is_first) << call.row.endpoint;
                match call.row.status {
                    504 => {}
                    503 => plain.push(ms(call.row)),
                    _ if is_early => plain.push(ms(call.row)),
                    _ => mixed.extend(is_first.then(|| ms(call.row))),
                }
                plain.extend(call.retry.map(ms));
            }
        }
        all(ranks.iter().flatten().flatten().all(|time| *time >= 10.0), || "a response within less than 10 ms".into())?;
        let mut pooled = Vec::new();
        for (endpoint, [plain, mixed]) in ranks.into_iter().enumerate() {
            let (path, law) = (sample.path(endpoint as u16), laws[endpoint]);
            let places: Vec<f64> = thin(plain.into_iter(), 4_000).into_iter().map(|x| law.plain(x)).collect();
            pooled.extend_from_slice(&places);
            if !places.is_empty() {
                follows(&format!("response time of {path}"), places, |rank| rank)?;
            }
            let cdf = |x| (1.0 - struck) * law.plain(x) + struck * law.slow(x);
            follows(&format!("response time of {path} in a second half"), thin(mixed.into_iter(), 4_000), cdf)?;
        }
        follows("response times", pooled, |rank| rank)?;
    }
    Ok(())
}

/// Seconds from the start of a call to the start of the next, where no cascade can be and the response is there within the least delay.
pub(super) fn delays(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    let mut delays = Vec::new();
    for session in &sample.sessions {
        let calls: Vec<Call<'_>> = sample.calls(session).collect();
        for pair in calls.windows(2).filter(|pair| is_early(session, &pair[0]) && pair[0].row.response_time < 1_000_000) {
            delays.push(pair[1].row.time.since(pair[0].row.time) as f64 / 1e6);
        }
    }
    usual_or_thinking("delay", delays)
}

/// U(1, 5) with probability .9, else U(10, 30).
pub(super) fn usual_or_thinking(what: &str, delays: Vec<f64>) -> Verdict {
    let n = delays.len();
    let (thinking, usual): (Vec<f64>, Vec<f64>) = delays.into_iter().partition(|delay| *delay > 7.5);
    share(&format!("{what} for thinking"), thinking.len(), n, 0.1)?;
    fills(&format!("usual {what}"), thin(usual.into_iter(), 30_000), 1.0, 5.0)?;
    fills(&format!("{what} for thinking"), thinking, 10.0, 30.0)
}

/// Of every row that a cascade has not marked, retries among them.
pub(super) fn statuses(samples: &Samples) -> Verdict {
    let mut counts = [0; 3];
    for row in samples.both().into_iter().flat_map(Sample::all_rows) {
        match row.status {
            200 => counts[0] += 1,
            400 => counts[1] += 1,
            500 => counts[2] += 1,
            503 | 504 => {}
            other => return Err(format!("status {other}")),
        }
    }
    chi_square("statuses", &counts, &[0.95, 0.035, 0.015])
}

/// Sizes are whole bytes, rounded down.
pub(super) fn sizes(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    for (what, is_get, median) in [("size of a GET response", true, 4_096.0), ("size of another response", false, 512.0)] {
        let of_method = |row: &&CallRow| (method(sample.path(row.endpoint)) == Method::Get) == is_get;
        let sizes: Vec<f64> = sample.all_rows().iter().filter(of_method).map(|row| row.response_size as f64 + 0.5).collect();
        all(sizes.iter().all(|size| *size >= 1.0), || format!("{what}: less than a byte"))?;
        follows(what, thin(sizes.into_iter(), 30_000), |x| normal_cdf(ln(x / median) / 0.6))?;
    }
    Ok(())
}

fn method(path: &str) -> Method {
    match path {
        "/api/login" | "/api/cart/add" | "/api/cart/remove" | "/api/checkout" | "/api/payment" => Method::Post,
        "/api/users/{id}/settings" => Method::Put,
        _ => Method::Get,
    }
}

pub(super) fn methods(samples: &Samples) -> Verdict {
    let mut endpoints = samples.main.model.endpoints().iter();
    endpoints.try_for_each(|endpoint| all(endpoint.method == method(&endpoint.path), || format!("{:?} {}", endpoint.method, endpoint.path)))
}

/// All combinations equally likely; a page is a string.
pub(super) fn parameters(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    let queries = ["laptop", "phone", "headphones", "camera", "keyboard", "monitor", "shoes", "backpack"];
    let sorts = ["relevance", "price", "rating", "newest"];
    let categories = ["electronics", "books", "clothing", "home", "sports", "toys"];
    let searches = queries.iter().flat_map(|q| sorts.map(|sort| format!(r#"{{"q":"{q}","sort":"{sort}"}}"#))).collect();
    let pages = |category| (1..=10).map(move |page| format!(r#"{{"category":"{category}","page":"{page}"}}"#));
    let browses = categories.iter().flat_map(pages).collect();
    let by_path: [(&str, Vec<String>); 2] = [("/api/products/search", searches), ("/api/products/browse", browses)];
    let none = vec!["{}".to_owned()];

    let names = sample.model.parameters();
    let mut counts = vec![vec![0; names.len()]; sample.model.endpoints().len()];
    for (_, call) in sample.every_call() {
        counts[usize::from(call.row.endpoint)][usize::from(call.row.parameters)] += 1;
    }
    for (endpoint, counts) in counts.iter().enumerate() {
        let path = sample.path(endpoint as u16);
        let expected = by_path.iter().find(|(own, _)| *own == path).map_or(&none, |(_, expected)| expected);
        let mut cells = vec![0; expected.len()];
        for (name, count) in names.iter().zip(counts).filter(|(_, count)| **count > 0) {
            let cell = expected.iter().position(|own| own == name);
            cell.map(|cell| cells[cell] += count).ok_or_else(|| format!("{path} has the parameters {name}"))?;
        }
        chi_square(&format!("parameters of {path}"), &cells, &vec![1.0 / cells.len() as f64; cells.len()])?;
    }
    Ok(())
}

/// Sessions are UUIDs of version 8, no two the same, and leave their last 16 bits to their calls: 4, 8, … and one more of a retry.
pub(super) fn ids(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    let mut ids: Vec<u128> = sample.sessions.iter().map(|session| session.row.id.uuid()).collect();
    let sound = ids.iter().all(|id| id >> 76 & 0xF == 8 && id >> 62 & 3 == 2 && id.trailing_zeros() >= 16);
    all(sound, || "an id that is not a UUID of version 8 with 16 bits left".into())?;
    ids.sort_unstable();
    all(ids.windows(2).all(|pair| pair[0] != pair[1]), || "two sessions with one id".into())?;
    for session in &sample.sessions {
        let mut number = 0;
        let numbered = sample.rows(session).iter().all(|row| {
            number += u16::from(row.attempt == 1);
            row.number == number
                && row.session == session.row.id
                && row.session.call(row.number, row.attempt) == session.row.id.uuid() + u128::from(4 * number + u16::from(row.attempt > 1))
        });
        all(numbered, || format!("{:?}", sample.rows(session)))?;
    }
    Ok(())
}
