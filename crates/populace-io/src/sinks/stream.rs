//! The main table into sinks at a pace: rows in the order of time, each when its moment has come.

use super::{Lanes, Sink};
use crate::error::RunError;
use crate::run::{Job, NoProgress, Order};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest sleep, after which stopping is looked for.
const GLANCE: Duration = Duration::from_millis(50);
/// How often sinks are asked to send what they hold back, and the watcher is told.
const BEAT: Duration = Duration::from_secs(1);

/// Which moments become which.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Seconds of the scenario in a second of the wall clock; infinite for as fast as it goes.
    pub speed: f64,
    /// The moment of the scenario that is now, microseconds since 1970: that of the first row if none is given.
    pub now: Option<i64>,
    /// Rows of these moments alone, microseconds since 1970.
    pub moments: Range<i64>,
    /// Rows to send, at most.
    pub rows: u64,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// Rows handed to the sinks.
    pub rows: u64,
    /// The moment of the scenario that the latest row was of, microseconds since 1970.
    pub at: i64,
    /// How late the latest row was.
    pub lag: Duration,
}

/// The clock of a stream.
struct Clock {
    speed: f64,
    start: Instant,
    origin: i64,
}

impl Clock {
    /// When a moment of the scenario has come.
    fn due(&self, at: i64) -> Instant {
        self.start + Duration::try_from_secs_f64((at - self.origin) as f64 / 1e6 / self.speed).unwrap_or(Duration::ZERO)
    }

    /// The moment of the scenario that has come.
    fn reached(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.start).as_secs_f64() * 1e6 * self.speed;
        if since.is_finite() { self.origin.saturating_add(since as i64) } else { i64::MAX }
    }
}

/// Sends the main table's rows to sinks; `watch` hears about every second. Returns how the stream stands when its rows are at an end or as
/// many were sent as were asked for.
///
/// # Errors
/// A sink's, or [`RunError::Interrupted`] when the job is asked to stop, after the sinks have sent what they were given.
pub fn stream(
    job: &Job<'_>,
    sinks: Vec<Box<dyn Sink>>,
    pace: &Pace,
    watch: &mut (dyn FnMut(&Standing) + Send),
) -> Result<Standing, RunError> {
    let main = job.generator.main_table();
    let table = &job.generator.tables()[main];
    let Some(time) = table.time.and_then(|time| table.position(time)) else {
        return Err(RunError::Refused(format!("rows of `{}` have no time to stream them by", table.name)));
    };
    let job = Job { order: Order::Time, ..job.clone() };
    let mut standing = Standing::default();
    let mut run = Paced { pace, main, time, clock: None, beat: Instant::now(), stop: job.stop, standing: &mut standing, watch };
    let made = std::thread::scope(|scope| {
        let lanes = Lanes::start(scope, sinks, job.generator.tables().len());
        let made = job.for_each_batch(&NoProgress, &mut |table, batch| if table == main { run.send(&lanes, &batch) } else { Ok(()) });
        lanes.finish()?;
        made
    });
    match made {
        Ok(_) => Ok(standing),
        Err(RunError::Interrupted) if standing.rows == pace.rows => Ok(standing),
        Err(error) => Err(error),
    }
}

struct Paced<'a> {
    pace: &'a Pace,
    main: usize,
    time: usize,
    clock: Option<Clock>,
    beat: Instant,
    stop: &'a std::sync::atomic::AtomicBool,
    standing: &'a mut Standing,
    watch: &'a mut (dyn FnMut(&Standing) + Send),
}

impl Paced<'_> {
    /// Sends the rows of a batch as their moments come.
    fn send(&mut self, lanes: &Lanes<'_>, batch: &RecordBatch) -> Result<(), RunError> {
        let times = batch.column(self.time).as_primitive::<TimestampMicrosecondType>().values();
        let first = times.partition_point(|at| *at < self.pace.moments.start);
        let mut next = first;
        let end = times.partition_point(|at| *at < self.pace.moments.end);
        while next < end {
            if self.stop.load(Ordering::Relaxed) || self.standing.rows == self.pace.rows {
                return Err(RunError::Interrupted);
            }
            let (speed, origin) = (self.pace.speed, self.pace.now.unwrap_or(times[next]));
            let clock = self.clock.get_or_insert_with(|| Clock { speed, start: Instant::now(), origin });
            let now = Instant::now();
            let reached = clock.reached(now);
            let due = times[next..end].partition_point(|at| *at <= reached);
            let count = due.min(usize::try_from(self.pace.rows - self.standing.rows).unwrap_or(usize::MAX));
            if count > 0 {
                if !lanes.write(self.main, &batch.slice(next, count)) {
                    return Err(RunError::Interrupted);
                }
                next += count;
                self.standing.rows += count as u64;
                self.standing.at = times[next - 1];
                self.standing.lag = Instant::now().saturating_duration_since(clock.due(times[next - 1]));
            } else {
                sleep(clock.due(times[next]).saturating_duration_since(now).min(GLANCE));
            }
            if self.beat.elapsed() >= BEAT {
                self.beat = Instant::now();
                if !lanes.flush() {
                    return Err(RunError::Interrupted);
                }
                (self.watch)(&*self.standing);
            }
        }
        Ok(())
    }
}
