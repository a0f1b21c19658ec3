//! What must hold of cascades. Whether a session is struck is told by the truth alone; but behind the first call that timed out or was
//! refused, every call of the session is known to be struck, and is so independently of what made that call known.

use super::calls::{ms, time_law, usual_or_thinking};
use super::laws::CASCADES;
use super::samples::{Call, Sample, Samples, Session};
use crate::support::{Verdict, all, chi_square, fills, follows, mean, share, sum};
use populace_core::traces::{CallRow, Fault};

/// Probability that a struck call times out or is refused.
const MARKED: f64 = 0.20 + 0.15;

/// A call this many times slower than its mean counts as long: hardly any plain one is, nearly all slow ones are.
const LONG: f64 = 2.0;

fn middle(session: &Session) -> usize {
    (session.row.calls / 2) as usize
}

/// Nothing happens before call floor(n / 2), and there it does.
pub(super) fn half(samples: &Samples) -> Verdict {
    let (mut hits, mut n) = (0, 0);
    for sample in samples.both() {
        for (session, call) in sample.every_call() {
            let early = call.index < middle(session);
            all(!(early && (call.is_marked() || call.retry.is_some())), || format!("call {} of {:?}", call.index, session.row))?;
            if call.index == middle(session) {
                n += 1;
                hits += usize::from(call.is_marked());
            }
        }
    }
    share("marked in the middle", hits, n, CASCADES * MARKED)
}

/// Sessions in which a call timed out or was refused, by their length.
pub(super) fn marks(samples: &Samples) -> Verdict {
    let (mut hits, mut expected, mut variance) = (0.0, 0.0, 0.0);
    for sample in samples.both() {
        for session in &sample.sessions {
            let tries = session.row.calls as usize - middle(session);
            let p = CASCADES * (1.0 - (0..tries).fold(1.0, |none, _| none * (1.0 - MARKED)));
            hits += f64::from(u8::from(sample.calls(session).any(|call| call.is_marked())));
            expected += p;
            variance += p * (1.0 - p);
        }
    }
    sum("marked sessions", hits, expected, variance)
}

/// Status 504 and 30,000 ms go together, exactly.
pub(super) fn timeouts(samples: &Samples) -> Verdict {
    let mut rows = samples.both().into_iter().flat_map(Sample::all_rows);
    let wrong = rows.find(|row| (row.status == 504) != (row.response_time == 30_000_000));
    all(wrong.is_none(), || format!("{wrong:?}"))
}

/// The calls of the main sample behind the first mark of their sessions.
fn behind_marks(samples: &Samples) -> Vec<Call<'_>> {
    let sample = &samples.main;
    sample.sessions.iter().flat_map(|session| sample.calls(session).skip_while(|call| !call.is_marked()).skip(1)).collect()
}

/// How long a call took, in means of its endpoint.
fn ratio(samples: &Samples, row: &CallRow) -> f64 {
    ms(row) / time_law(samples.main.path(row.endpoint)).mean
}

pub(super) fn struck_calls(samples: &Samples) -> Verdict {
    let calls = behind_marks(samples);
    let mut counts = [0; 4];
    let mut long = 0.0;
    for call in &calls {
        let law = time_law(samples.main.path(call.row.endpoint));
        let beyond = |cdf: f64| 1.0 - cdf;
        long += 0.6 * beyond(law.slow(LONG * law.mean)) + 0.05 * beyond(law.plain(LONG * law.mean));
        counts[match call.row.status {
            504 => 0,
            503 => 1,
            _ if ratio(samples, call.row) > LONG => 2,
            _ => 3,
        }] += 1;
    }
    let long = long / calls.len() as f64;
    chi_square("timed out, refused, long, other", &counts, &[0.20, 0.15, long, 0.65 - long])
}

/// How timeouts and refusals divide the marked calls.
pub(super) fn refusals(samples: &Samples) -> Verdict {
    let calls: Vec<Call<'_>> =
        samples.both().into_iter().flat_map(Sample::every_call).map(|(_, call)| call).filter(Call::is_marked).collect();
    share("timeouts among the marked", calls.iter().filter(|call| call.row.status == 504).count(), calls.len(), 0.20 / MARKED)
}

/// From the data alone: the mean is that of .60 slow and .05 unaffected calls, and what is long follows the law of a product.
pub(super) fn slow_factors(samples: &Samples) -> Verdict {
    let unmarked: Vec<&CallRow> = behind_marks(samples).into_iter().filter(|call| !call.is_marked()).map(|call| call.row).collect();
    let ratios: Vec<f64> = unmarked.iter().map(|row| ratio(samples, row)).collect();
    let n = ratios.len() as f64;
    let expected = (0.60 * 6.5 + 0.05) / 0.65;
    let variance = (0.60 * (6.5 * 6.5 + 49.0 / 12.0) + 0.05) * 1.09 / 0.65 - expected * expected;
    mean("times the mean that a call takes", ratios.iter().sum::<f64>() / n, ratios.len(), expected, variance.sqrt())?;
    let ranks = unmarked.iter().filter(|row| ratio(samples, row) > LONG).map(|row| {
        let law = time_law(samples.main.path(row.endpoint));
        let cdf = |x: f64| (0.60 * law.slow(x) + 0.05 * law.plain(x)) / 0.65;
        (cdf(ms(row)) - cdf(LONG * law.mean)) / (1.0 - cdf(LONG * law.mean))
    });
    follows("long response times", ranks.collect(), |rank| rank)
}

/// A retry repeats the call before it, once, later; 30% of faulted calls have one.
pub(super) fn retries(samples: &Samples) -> Verdict {
    for sample in samples.both() {
        for session in &sample.sessions {
            for (place, row) in sample.rows(session).iter().enumerate() {
                let sound = match row.attempt {
                    1 => true,
                    attempt => place.checked_sub(1).map(|last| &sample.rows(session)[last]).is_some_and(|last| {
                        attempt == 2
                            && (last.attempt, last.number) == (1, row.number)
                            && (last.endpoint, last.parameters) == (row.endpoint, row.parameters)
                            && last.time.plus(last.response_time) < row.time
                    }),
                };
                all(sound, || format!("{row:?}"))?;
            }
        }
    }
    let retried = |what, calls: &[Call<'_>]| share(what, calls.iter().filter(|call| call.retry.is_some()).count(), calls.len(), 0.3);
    let calls = || samples.both().into_iter().flat_map(Sample::every_call).map(|(_, call)| call);
    retried("retries of timeouts", &calls().filter(|call| call.row.status == 504).collect::<Vec<_>>())?;
    retried("retries of refusals", &calls().filter(|call| call.row.status == 503).collect::<Vec<_>>())?;
    let long = |call: &Call<'_>| !call.is_marked() && ratio(samples, call.row) > LONG;
    retried("retries of long calls", &behind_marks(samples).into_iter().filter(long).collect::<Vec<_>>())
}

/// From the end of the failed response, in seconds.
pub(super) fn retry_waits(samples: &Samples) -> Verdict {
    let calls = samples.both().into_iter().flat_map(Sample::every_call);
    let waits = calls.filter_map(|(_, call)| Some(call.retry?.time.since(call.row.time.plus(call.row.response_time))));
    fills("wait of a retry", waits.map(|wait| wait as f64 / 1e6).collect(), 0.1, 1.0)
}

pub(super) fn no_overlap(samples: &Samples) -> Verdict {
    samples.both().into_iter().try_for_each(|sample| {
        sample.sessions.iter().try_for_each(|session| {
            let apart = sample.rows(session).windows(2).all(|pair| pair[0].time.plus(pair[0].response_time) <= pair[1].time);
            all(apart, || format!("{:?}", sample.rows(session)))
        })
    })
}

/// Behind a timeout and its retry, the next call waits for what is left of its delay: delay − what the response would have taken.
pub(super) fn fault_delays(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    let mut waits = Vec::new();
    for session in &sample.sessions {
        let calls: Vec<Call<'_>> = sample.calls(session).collect();
        for pair in calls.windows(2).filter(|pair| pair[0].row.status == 504) {
            let wait = pair[1].row.time.since(pair[0].row.time) - pair[0].lasts();
            waits.push(wait as f64 / 1e6 + time_law(sample.path(pair[0].row.endpoint)).mean / 1e3);
        }
    }
    // Delays have mean 4.7 and variance 30.5; response times add at most .15².
    mean("rest of the delay behind a timeout", waits.iter().sum::<f64>() / waits.len() as f64, waits.len(), 4.7, 5.53)
}

/// Sessions struck and where, and that nothing else is.
pub(super) fn cascades_told(samples: &Samples) -> Verdict {
    for sample in samples.both() {
        let starts: Vec<Option<u32>> = sample.sessions.iter().map(|session| session.truth.and_then(|truth| truth.cascade_start)).collect();
        share("cascades", starts.iter().flatten().count(), starts.len(), CASCADES)?;
        for (session, start) in sample.sessions.iter().zip(starts) {
            all(start.is_none_or(|start| start == session.row.calls / 2), || format!("{:?}", session.truth))?;
            let within = |call: &Call<'_>| start.is_some_and(|start| call.index >= start as usize);
            let sound = sample.calls(session).all(|call| within(&call) || (call.truth.fault == Fault::None && call.retry.is_none()));
            all(sound, || format!("a fault outside the cascade of {:?}", session.truth))?;
        }
    }
    Ok(())
}

/// The calls that a cascade struck.
fn struck(sample: &Sample) -> impl Iterator<Item = Call<'_>> {
    sample.every_call().filter_map(|(session, call)| {
        let start = session.truth?.cascade_start?;
        (call.index >= start as usize).then_some(call)
    })
}

/// What each fault does, how often it comes and is retried. A retry itself is unaffected.
pub(super) fn faults_told(samples: &Samples) -> Verdict {
    let (mut counts, mut retried) = ([0; 4], [0; 4]);
    for call in samples.both().into_iter().flat_map(struck) {
        counts[call.truth.fault as usize] += 1;
        retried[call.truth.fault as usize] += usize::from(call.retry.is_some());
    }
    chi_square("none, slow, timeout, unavailable", &counts, &[0.05, 0.60, 0.20, 0.15])?;
    all(retried[0] == 0, || format!("{} retries of what did not fail", retried[0]))?;
    for fault in 1..4 {
        share("retries by fault", retried[fault], counts[fault], 0.3)?;
    }
    for (row, truth) in samples.both().into_iter().flat_map(Sample::told) {
        let kept = row.response_time == truth.base_response_time;
        let sound = match truth.fault {
            Fault::None => kept && !matches!(row.status, 503 | 504),
            Fault::Slow => !kept && row.attempt == 1 && !matches!(row.status, 503 | 504),
            Fault::Timeout => row.status == 504 && row.attempt == 1,
            Fault::Unavailable => kept && row.status == 503 && row.attempt == 1,
        };
        all(sound && (row.session, row.number, row.attempt) == (truth.session, truth.number, truth.attempt), || {
            format!("{row:?} with {truth:?}")
        })?;
    }
    Ok(())
}

pub(super) fn slow_told(samples: &Samples) -> Verdict {
    let slow = samples.both().into_iter().flat_map(Sample::told).filter(|(_, truth)| truth.fault == Fault::Slow);
    fills("factor", slow.map(|(row, truth)| row.response_time as f64 / truth.base_response_time as f64).collect(), 3.0, 10.0)
}

/// The delays that are left when what faults and retries added is taken away.
pub(super) fn caller_waits(samples: &Samples) -> Verdict {
    let sample = &samples.main;
    let mut delays = Vec::new();
    for session in sample.sessions.iter().filter(|session| session.truth.is_some_and(|truth| truth.cascade_start.is_some())) {
        let calls: Vec<Call<'_>> = sample.calls(session).collect();
        for pair in calls.windows(2).filter(|pair| pair[0].truth.base_response_time < 1_000_000) {
            let added = pair[0].lasts() - pair[0].truth.base_response_time;
            delays.push((pair[1].row.time.since(pair[0].row.time) - added) as f64 / 1e6);
        }
    }
    usual_or_thinking("delay", delays)
}
