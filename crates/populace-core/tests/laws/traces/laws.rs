//! What must hold of the data. Every number here and in `calls` and `cascades` is the specification's, none is read from the document
//! or the code.

use super::calls::{delays, ids, methods, parameters, response_times, sizes, statuses};
use super::cascades::{
    caller_waits, cascades_told, fault_delays, faults_told, half, marks, no_overlap, refusals, retries, retry_waits, slow_factors,
    slow_told, struck_calls, timeouts,
};
use super::samples::{RARE_ENTRIES, Sample, Samples};
use crate::mutation::Law;
use crate::support::{Verdict, all, chi_square, fills, follows, mean, share, sum, uniform};
use populace_core::math::normal_cdf;
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, Date, MINUTE};
use populace_core::traces::EndReason;

/// What must hold of the data.
pub(super) const LAWS: &[Law<Samples>] = &[
    ("population", population),
    ("names", names),
    ("user types", user_types),
    ("sessions of a user", session_counts),
    ("starts are uniform over the window", starts),
    ("sessions of a user do not depend on each other", sessions_apart),
    ("entry points", entries),
    ("transitions", transitions),
    ("lengths", lengths),
    ("exit points end a session", exits),
    ("a session ends with its last response", session_rows),
    ("delays", delays),
    ("response times are normal above 10 ms", response_times),
    ("statuses", statuses),
    ("sizes are lognormal", sizes),
    ("methods", methods),
    ("parameters", parameters),
    ("ids", ids),
    ("cascades start in the middle", half),
    ("share of sessions struck", marks),
    ("timeouts take 30 s", timeouts),
    ("shares of faults", struck_calls),
    ("timeouts and refusals", refusals),
    ("slow calls are 3 to 10 times as slow", slow_factors),
    ("retries", retries),
    ("a retry waits", retry_waits),
    ("a caller never overlaps itself", no_overlap),
    ("a fault delays what follows", fault_delays),
];

/// What must hold of the truth itself. A mutant caught by these alone would be one that the data do not show.
pub(super) const TRUTHS: &[Law<Samples>] = &[
    ("cascades are told", cascades_told),
    ("faults are told", faults_told),
    ("the factor of a slow call is uniform", slow_told),
    ("the next call starts a delay and what a fault added after the last", caller_waits),
    ("the reason of the end is told", end_reasons),
];

/// Share of sessions with a cascade in the samples.
pub(super) const CASCADES: f64 = 0.3;

const DAYS: i64 = 30;

/// Probability of each next endpoint.
const TRANSITIONS: [(&str, &[(&str, f64)]); 13] = [
    ("/api/login", &[("/api/users/{id}/profile", 0.80), ("/api/products/browse", 0.20)]),
    (
        "/api/users/{id}/profile",
        &[("/api/products/browse", 0.48), ("/api/users/{id}/orders", 0.28), ("/api/users/{id}/settings", 0.16), ("/api/logout", 0.08)],
    ),
    (
        "/api/products/browse",
        &[("/api/products/{id}/details", 0.55), ("/api/products/search", 0.20), ("/api/cart", 0.10), ("/api/logout", 0.15)],
    ),
    ("/api/products/search", &[("/api/products/{id}/details", 0.65), ("/api/products/browse", 0.25), ("/api/logout", 0.10)]),
    (
        "/api/products/{id}/details",
        &[("/api/cart/add", 0.32), ("/api/products/browse", 0.40), ("/api/products/search", 0.12), ("/api/logout", 0.16)],
    ),
    ("/api/cart/add", &[("/api/cart", 0.65), ("/api/products/browse", 0.35)]),
    ("/api/cart", &[("/api/checkout", 0.50), ("/api/products/browse", 0.20), ("/api/cart/remove", 0.20), ("/api/logout", 0.10)]),
    ("/api/cart/remove", &[("/api/cart", 0.45), ("/api/products/browse", 0.35), ("/api/logout", 0.20)]),
    ("/api/checkout", &[("/api/payment", 0.85), ("/api/cart", 0.15)]),
    ("/api/payment", &[("/api/confirmation", 0.92), ("/api/checkout", 0.08)]),
    (
        "/api/users/{id}/orders",
        &[("/api/orders/{id}/details", 0.60), ("/api/products/browse", 0.20), ("/api/users/{id}/profile", 0.08), ("/api/logout", 0.12)],
    ),
    (
        "/api/orders/{id}/details",
        &[("/api/orders/{id}/track", 0.35), ("/api/users/{id}/orders", 0.25), ("/api/products/browse", 0.20), ("/api/logout", 0.20)],
    ),
    ("/api/users/{id}/settings", &[("/api/users/{id}/profile", 0.65), ("/api/logout", 0.35)]),
];

pub(super) const EXITS: [&str; 3] = ["/api/logout", "/api/confirmation", "/api/orders/{id}/track"];

fn population(samples: &Samples) -> Verdict {
    let actors = samples.main.model.population().actors;
    all(actors == 1_000, || format!("{actors} users"))
}

fn names(samples: &Samples) -> Verdict {
    let model = &samples.main.model;
    all(model.config().workflow.name == "ecommerce", || model.config().workflow.name.clone())?;
    all(model.user_types() == ["free", "guest", "premium"], || format!("{:?}", model.user_types()))?;
    let mut expected: Vec<&str> = TRANSITIONS.iter().map(|(from, _)| *from).chain(EXITS).collect();
    expected.sort_unstable();
    let paths: Vec<&str> = model.endpoints().iter().map(|endpoint| endpoint.path.as_str()).collect();
    all(paths == expected, || format!("{paths:?}"))
}

fn user_types(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    let mut types = vec![None; sample.users as usize];
    for session in &sample.sessions {
        let of_user = types[session.user as usize].get_or_insert(session.row.user_type);
        let same = *of_user == session.row.user_type && sample.rows(session).iter().all(|row| row.user_type == session.row.user_type);
        all(same, || format!("user {} is of two types", session.user))?;
    }
    let mut counts = [0; 3];
    for user_type in types.into_iter().flatten() {
        counts[usize::from(user_type)] += 1;
    }
    chi_square("free, guest, premium", &counts, &[0.5, 0.2, 0.3])
}

/// Sessions of each user.
fn counts(sample: &Sample) -> Vec<usize> {
    let mut counts = vec![0; sample.users as usize];
    for session in &sample.sessions {
        counts[session.user as usize] += 1;
    }
    counts
}

/// max(1, round(N(m, s))) with mean 3 and standard deviation 2: m and s by an independent solution.
fn session_counts(samples: &Samples) -> Verdict {
    let up_to = |k: f64| if k < 1.0 { 0.0 } else { normal_cdf((k + 0.5 - 2.597_916_876_671) / 2.536_816_534_741) };
    let p: Vec<f64> = (0..20).map(|k| up_to(f64::from(k)) - up_to(f64::from(k) - 1.0)).collect();
    let counts = counts(&samples.main);
    let mut cells = vec![0; p.len()];
    for &count in &counts {
        cells[count.min(p.len() - 1)] += 1;
    }
    chi_square("sessions of a user", &cells, &p)?;
    let values: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
    mean("sessions of a user", values.iter().sum::<f64>() / values.len() as f64, values.len(), 3.0, 2.0)?;
    // The square of the deviation from 3 has mean 4; its own deviation by the law above.
    let fourth: f64 = p.iter().zip(0..).map(|(p, k)| p * (f64::from(k) - 3.0).powi(4)).sum();
    let variance = values.iter().map(|count| (count - 3.0).powi(2)).sum::<f64>() / values.len() as f64;
    mean("variance of the sessions of a user", variance, values.len(), 4.0, (fourth - 16.0).sqrt())
}

/// Days, minutes of the day and the rest of the minute, each on its own and all together.
fn starts(samples: &Samples) -> Verdict {
    let begin = Date::from_ymd(2026, 1, 1).unwrap().midnight();
    let starts: Vec<i64> = samples.main.sessions.iter().map(|session| session.row.start.since(begin)).collect();
    uniform("day of a start", starts.iter().map(|start| start.div_euclid(DAY)), 0, DAYS - 1)?;
    uniform("minute of a start", starts.iter().map(|start| start.rem_euclid(DAY) / MINUTE), 0, 1_439)?;
    follows("moment in its minute", starts.iter().map(|start| (start % MINUTE) as f64).collect(), |x| x / MINUTE as f64)?;
    fills("start", starts.iter().map(|&start| start as f64).collect(), 0.0, (DAYS * DAY) as f64)
}

/// The first and the second session of a user: entry point, whether struck.
fn sessions_apart(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    let entry = |path: &str| ["/api/login", "/api/products/browse", "/api/products/search"].iter().position(|entry| *entry == path);
    let mut entries = [0; 9];
    let mut struck = [0; 4];
    for pair in sample.sessions.chunk_by(|a, b| a.user == b.user).filter(|sessions| sessions.len() >= 2) {
        let [a, b] = [&pair[0], &pair[1]].map(|session| entry(sample.path(sample.rows(session)[0].endpoint)));
        let (Some(a), Some(b)) = (a, b) else { return Err("another entry point".into()) };
        entries[a * 3 + b] += 1;
        let [a, b] = [&pair[0], &pair[1]].map(|session| usize::from(sample.rows(session).iter().any(|row| row.attempt == 2)));
        struck[a * 2 + b] += 1;
    }
    let p = [0.6, 0.3, 0.1];
    let products: Vec<f64> = p.iter().flat_map(|a| p.map(|b| a * b)).collect();
    chi_square("entry points of two sessions", &entries, &products)?;
    let n = struck.iter().sum::<usize>() as f64;
    let [first, second] = [(struck[2] + struck[3]) as f64 / n, (struck[1] + struck[3]) as f64 / n];
    let p = first * second;
    sum("both sessions struck", struck[3] as f64, n * p, n * p * (1.0 - first) * (1.0 - second))
}

/// Counts by endpoint are those of probabilities by path; endpoints not named have none. Each alone, then all together.
fn named(what: &str, sample: &Sample, counts: &[usize], expected: &[(&str, f64)]) -> Verdict {
    let mut probabilities = vec![0.0; counts.len()];
    for (path, p) in expected {
        match sample.endpoint(path) {
            Some(endpoint) => probabilities[usize::from(endpoint)] = *p,
            None => return Err(format!("{what}: no endpoint {path}")),
        }
    }
    let n = counts.iter().sum();
    for (endpoint, (&count, &p)) in counts.iter().zip(&probabilities).enumerate() {
        share(&format!("{what} {}", sample.path(endpoint as u16)), count, n, p)?;
    }
    chi_square(what, counts, &probabilities)
}

fn entries(samples: &Samples) -> Verdict {
    let expected = [("/api/login", 0.6), ("/api/products/browse", 0.3), ("/api/products/search", 0.1)];
    named("entry", &samples.main, &samples.main.entries(), &expected)?;
    named("entry", &samples.rare, &samples.rare.entries(), &RARE_ENTRIES)
}

/// From every endpoint, over both samples: the chain is the same.
fn transitions(samples: &Samples) -> Verdict {
    let [mut counts, more] = samples.both().map(Sample::transitions);
    counts.iter_mut().flatten().zip(more.iter().flatten()).for_each(|(count, more)| *count += more);
    transition_rows(&samples.main, &counts, &TRANSITIONS)
}

/// Every row of `counts` follows the row of its endpoint, and nothing leaves any other.
pub(super) fn transition_rows(sample: &Sample, counts: &[Vec<usize>], expected: &[(&str, &[(&str, f64)])]) -> Verdict {
    for (endpoint, counts) in counts.iter().enumerate() {
        let from = sample.path(endpoint as u16);
        match expected.iter().find(|(own, _)| *own == from) {
            Some((_, row)) => named(&format!("{from} →"), sample, counts, row)?,
            None => all(counts.iter().all(|count| *count == 0), || format!("{from} was left: {counts:?}"))?,
        }
    }
    Ok(())
}

/// Mean 7.709 calls; .216 of the sessions end with a confirmation, .028 are cut off. The figures are rounded to their last digit.
fn lengths(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    let lengths: Vec<f64> = sample.sessions.iter().map(|session| f64::from(session.row.calls)).collect();
    let n = lengths.len();
    all(lengths.iter().all(|length| (1.0..=20.0).contains(length)), || "a length outside 1 to 20".into())?;
    let observed = lengths.iter().sum::<f64>() / n as f64;
    let deviation = (lengths.iter().map(|length| (length - observed).powi(2)).sum::<f64>() / n as f64).sqrt();
    mean("calls of a session", observed, n, 7.709, deviation)?;
    let last = |session| sample.rows(session).last().map_or("", |row| sample.path(row.endpoint));
    let count = |path: &dyn Fn(&str) -> bool| sample.sessions.iter().filter(|session| path(last(session))).count();
    share("sessions with a confirmation", count(&|path| path == "/api/confirmation"), n, 0.216)?;
    share("sessions cut off", count(&|path| !EXITS.contains(&path)), n, 0.028)
}

/// A session goes on until an exit point or its 20th call, and no further.
fn exits(samples: &Samples) -> Verdict {
    samples.both().into_iter().try_for_each(|sample| {
        sample.sessions.iter().try_for_each(|session| {
            let calls: Vec<&str> = sample.calls(session).map(|call| sample.path(call.row.endpoint)).collect();
            let end = calls.iter().position(|path| EXITS.contains(path)).map_or(20, |index| index + 1);
            all(calls.len() == end, || format!("{calls:?}"))
        })
    })
}

/// The row of a session against those of its calls.
fn session_rows(samples: &Samples) -> Verdict {
    samples.both().into_iter().try_for_each(|sample| {
        sample.sessions.iter().try_for_each(|session| {
            let rows = sample.rows(session);
            let end = rows.iter().map(|row| row.time.plus(row.response_time)).max();
            let calls = rows.iter().filter(|row| row.attempt == 1).count();
            let sound = rows.iter().all(|row| row.session == session.row.id)
                && rows.first().map(|row| row.time) == Some(session.row.start)
                && end == Some(session.row.end)
                && calls == session.row.calls as usize;
            all(sound, || format!("{:?} with {rows:?}", session.row))
        })?;
        let in_order = sample.sessions.windows(2).all(|pair| (pair[0].user, pair[0].row.start) <= (pair[1].user, pair[1].row.start));
        all(in_order, || "sessions are not in the order of user and time".into())
    })
}

fn end_reasons(samples: &Samples) -> Verdict {
    samples.both().into_iter().try_for_each(|sample| {
        sample.sessions.iter().try_for_each(|session| {
            let last = sample.rows(session).last().map_or("", |row| sample.path(row.endpoint));
            let expected = if EXITS.contains(&last) { EndReason::Exit } else { EndReason::MaxLength };
            let sound = session.truth.is_some_and(|truth| truth.id == session.row.id && truth.end_reason == expected);
            all(sound, || format!("{:?} after {last}", session.truth))
        })
    })
}
