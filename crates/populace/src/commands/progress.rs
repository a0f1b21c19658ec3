//! What long commands share: Ctrl-C and SIGTERM, and a progress bar over rows.

use crate::failure::Failure;
use crate::show;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use populace_analysis::AnalysisError;
use populace_analysis::watch::{Progress, Watch};
use populace_io::error::RunError;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static TERMINATED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The exit code of a command that a signal has ended: 143 for SIGTERM, 130 for Ctrl-C.
pub(crate) fn exit_code() -> u8 {
    if TERMINATED.get().is_some_and(|terminated| terminated.load(Ordering::Relaxed)) { 143 } else { 130 }
}

/// Whether a signal has come: an error after it is not an error of what was asked for.
pub(crate) fn is_stopped() -> bool {
    STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed))
}

/// A flag that the first Ctrl-C or SIGTERM raises; the second ends the program at once. A process that runs several commands, as Python
/// does, has one flag, which each command lowers.
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    if let Some(stop) = STOP.get() {
        [Some(stop), TERMINATED.get()].into_iter().flatten().for_each(|flag| flag.store(false, Ordering::Relaxed));
        return Ok(Arc::clone(stop));
    }
    let stop = Arc::clone(STOP.get_or_init(Arc::default));
    let flag = Arc::clone(&stop);
    let handler = ctrlc::set_handler(move || {
        // A second Ctrl-C does not wait for the unit that is being written.
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    handler.map_err(|error| Failure::input(format!("installing the Ctrl-C handler: {error}")))?;
    hear_termination(&stop).map_err(|error| Failure::input(format!("installing the SIGTERM handler: {error}")))?;
    Ok(stop)
}

/// How long a server that does not answer may hold up a command after a signal: container engines kill after ten seconds.
const GRACE: Duration = Duration::from_secs(8);

/// Ends the process if it still waits for a server when the grace after a signal is over, unless what this returns was dropped before.
pub(super) fn end_in_time(stop: &Arc<AtomicBool>, left: impl Into<String>) -> Sender<()> {
    let ((guard, ended), stop, left) = (channel(), Arc::clone(stop), left.into());
    std::thread::spawn(move || {
        let lasts = |time| ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
        while lasts(Duration::from_millis(50)) {
            if stop.load(Ordering::Relaxed) && lasts(GRACE) {
                std::process::exit(Failure::Interrupted(left).report().into());
            }
        }
    });
    guard
}

/// How a command ends that goes on until a signal comes: well, unless one has.
pub(super) fn ended(stop: &AtomicBool, left: &str) -> Result<(), Failure> {
    if stop.load(Ordering::Relaxed) { Err(Failure::Interrupted(left.to_owned())) } else { Ok(()) }
}

/// Makes SIGTERM, which service managers and container engines send, do what Ctrl-C does.
#[cfg(unix)]
fn hear_termination(stop: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::{consts::SIGTERM, flag};
    // Looked at first, so that it is the second signal that ends the program.
    flag::register_conditional_shutdown(SIGTERM, 143, Arc::clone(stop))?;
    flag::register(SIGTERM, Arc::clone(TERMINATED.get_or_init(Arc::default)))?;
    flag::register(SIGTERM, Arc::clone(stop)).map(drop)
}

#[cfg(not(unix))]
fn hear_termination(_: &Arc<AtomicBool>) -> io::Result<()> {
    Ok(())
}

/// Runs what writes all of its files or none, under a progress bar; Ctrl-C stops it.
pub(super) fn watched<T>(quiet: bool, threads: Option<u16>, work: impl FnOnce(&Watch) -> Result<T, AnalysisError>) -> Result<T, Failure> {
    let stop = stop_flag()?;
    let bar = RowBar::new(quiet);
    let threads = threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let made = work(&Watch { progress: &bar, stop: &stop, threads });
    bar.finish();
    match made {
        Err(AnalysisError::Run(RunError::Interrupted)) => Err(Failure::Interrupted("nothing was written".into())),
        made => Ok(made?),
    }
}

/// A progress bar over rows; none when standard error is not a terminal.
struct RowBar {
    bar: ProgressBar,
}

impl RowBar {
    fn new(quiet: bool) -> Self {
        let target =
            if quiet || !io::stderr().is_terminal() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        Self { bar: ProgressBar::with_draw_target(None, target) }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for RowBar {
    fn begins(&self, what: &str, rows: Option<u64>) {
        let template = match rows {
            Some(_) => "{prefix} {bar:32} {percent:>3}%  {msg}  {elapsed} of about {duration}",
            None => "{prefix} {spinner}  {msg}  {elapsed}",
        };
        self.bar.reset();
        self.bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_prefix(what.to_owned());
        match rows {
            Some(rows) => self.bar.set_length(rows),
            None => self.bar.unset_length(),
        }
    }

    fn advanced(&self, rows: u64) {
        self.bar.inc(rows);
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{} rows", show::thousands(self.bar.position())));
        }
    }
}
