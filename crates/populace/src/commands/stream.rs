//! `populace stream`.

use super::scenario::{self, Loaded};
use super::{progress, sinks};
use crate::args::{ScenarioArgs, StreamArgs};
use crate::failure::Failure;
use crate::show;
use populace_core::time::{DAY, Date, Instant as Moment};
use populace_io::generator::TableSet;
use populace_io::run::{Job, Order};
use populace_io::sinks::stream::{Pace, Standing, stream};
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) fn run(arguments: &StreamArgs) -> Result<(), Failure> {
    if !(arguments.speed.is_finite() && arguments.speed > 0.0) {
        return Err(Failure::input(format!("--speed: must be a number above 0, got {}", arguments.speed)));
    }
    let mut scenario = arguments.scenario.clone();
    let begun = arguments.now.then(now);
    if let Some(now) = begun {
        scenario.shortcuts.set("start", Date(now.div_euclid(DAY) as i32).to_string());
    }
    let stop = progress::stop_flag()?;
    let mut shown = Shown { start: Instant::now(), sent: 0, quiet: arguments.quiet };
    let mut seed = arguments.seed;
    let mut pace = Pace { speed: if arguments.now { 1.0 } else { arguments.speed }, now: begun, moments: 0..0, rows: 0 };
    let mut sent_until = begun.unwrap_or(i64::MIN);
    for round in 1.. {
        let Loaded { resolved, generator } = scenario::load(&scenario)?;
        let generator = generator.as_ref();
        if round == 1 {
            for warning in resolved.locate(generator.warnings()).problems {
                note!("warning: {warning}");
            }
            seed = seed.or(resolved.seed);
        }
        let seed = match seed {
            Some(seed) => seed,
            None => *seed.insert(drawn(arguments.quiet)?),
        };
        let _in_time = progress::end_in_time(&stop, sinks::sends_again(seed));
        let open = sinks::open(&arguments.to, generator, Duration::from_secs(arguments.timeout))?;
        let tables = TableSet::EMPTY.with(generator.main_table());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let actors = 0..generator.population().actors;
        let job = Job { generator, seed, threads, tables, actors, trim: 0, order: Order::Time, stop: &stop };
        // What follows from the last day belongs to the next round, where it comes again.
        let (period, settled) = (generator.period(), generator.settled());
        pace.moments = sent_until..if arguments.forever { settled } else { i64::MAX };
        pace.rows = arguments.events.map_or(u64::MAX, |events| events - shown.sent);
        let before = shown.sent;
        let standing =
            stream(&job, open, &pace, &mut |standing| shown.line(before, standing)).map_err(|error| sinks::again(error, seed))?;
        shown.sent = before + standing.rows;
        if !arguments.forever || arguments.events == Some(shown.sent) {
            break;
        }
        sent_until = settled;
        pace.now = arguments.now.then(now);
        lengthen(&mut scenario, &period);
    }
    if !arguments.quiet {
        let wall = shown.start.elapsed();
        note!("{} events in {:.1} s", show::thousands(shown.sent), wall.as_secs_f64());
    }
    Ok(())
}

/// As many days more as there are: what was sent stays the same, as days that are added change nothing before them.
fn lengthen(scenario: &mut ScenarioArgs, period: &Range<i64>) {
    let days = (period.end - period.start) / DAY;
    let first = scenario.shortcuts.get("days").and_then(|days| days.parse().ok()).unwrap_or(days);
    scenario.shortcuts.set("days", (days + first.min(days)).to_string());
}

/// The wall clock, microseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A seed, told.
fn drawn(quiet: bool) -> Result<u64, Failure> {
    let seed = getrandom::u64().map_err(|error| Failure::input(format!("drawing a seed: {error}; give one with --seed")))?;
    if !quiet {
        note!("seed {seed} (drawn; --seed with it sends the same events again)");
    }
    Ok(seed)
}

/// Rates and lag, about every second.
struct Shown {
    start: Instant,
    sent: u64,
    quiet: bool,
}

impl Shown {
    fn line(&mut self, before: u64, standing: &Standing) {
        if self.quiet {
            return;
        }
        self.sent = before + standing.rows;
        if standing.rows == 0 {
            note!("{} events; the next has not come yet", show::thousands(self.sent));
            return;
        }
        let rate = show::rate(self.sent, self.start.elapsed());
        let (at, lag) = (Moment(standing.at), standing.lag.as_secs_f64());
        note!("{} events, {rate}/s, at {at}, {lag:.1} s late", show::thousands(self.sent));
    }
}
