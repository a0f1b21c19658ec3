//! Units of work made by any number of threads and consumed in order, in bounded memory: a worker makes a unit, then waits for its
//! turn to hand it over. No queue grows; at most one unit a thread exists at a time.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Waits until it is a unit's turn: turns come in the order of the units, each once.
#[derive(Debug)]
pub struct Turns<S> {
    state: Mutex<(u64, bool, S)>,
    changed: Condvar,
}

impl<S> Turns<S> {
    /// The first turn is that of unit `first`; `state` is passed from turn to turn.
    pub fn new(first: u64, state: S) -> Self {
        Self { state: Mutex::new((first, false, state)), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, bool, S)> {
        // A worker that panicked has marked the run as failed; what it left behind is not used again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn of `unit` and lets `act` work on the state; `None` if a turn before it failed.
    ///
    /// # Errors
    /// Those of `act`; no later turn is granted then.
    pub fn take<V, E>(&self, unit: u64, act: impl FnOnce(&mut S) -> Result<V, E>) -> Result<Option<V>, E> {
        let mut state = self.lock();
        while state.0 != unit && !state.1 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.1 {
            return Ok(None);
        }
        let result = act(&mut state.2);
        state.0 += 1;
        state.1 |= result.is_err();
        drop(state);
        self.changed.notify_all();
        result.map(Some)
    }

    /// Grants no further turn if the thread panics while the guard is there.
    pub fn close_on_panic(&self) -> impl Drop + '_ {
        struct Guard<'a, S>(&'a Turns<S>);
        impl<S> Drop for Guard<'_, S> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.close();
                }
            }
        }
        Guard(self)
    }

    /// Grants no further turn.
    pub fn close(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    /// The state after all turns.
    pub fn into_inner(self) -> S {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).2
    }
}

/// Runs `produce` for every unit on `threads` threads, each with scratch of its own, and `consume` in the order of the units. Units end
/// before the first of which `produce` makes nothing; of those after it, it must make nothing either.
///
/// # Errors
/// The first error of either; units after it are not consumed.
pub fn run<W: Default, U, S: Send, E: Send>(
    units: Range<u64>,
    threads: usize,
    state: &mut S,
    produce: impl Fn(u64, &mut W) -> Result<Option<U>, E> + Sync,
    consume: impl Fn(&mut S, u64, U, &mut W) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = std::sync::atomic::AtomicU64::new(units.start);
    let turns = Turns::new(units.start, state);
    let work = || -> Result<(), E> {
        /// Frees the waiting workers if this one panics.
        struct Close<'a, S>(&'a Turns<S>, bool);
        impl<S> Drop for Close<'_, S> {
            fn drop(&mut self) {
                if self.1 {
                    self.0.close();
                }
            }
        }
        let mut guard = Close(&turns, true);
        let mut scratch = W::default();
        loop {
            let unit = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if unit >= units.end {
                guard.1 = false;
                return Ok(());
            }
            let Some(made) = produce(unit, &mut scratch)? else {
                guard.1 = false;
                return Ok(());
            };
            if turns.take(unit, |state| consume(state, unit, made, &mut scratch))?.is_none() {
                return Ok(());
            }
        }
    };
    if threads <= 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        // The first error is the one that is told; the scope joins the other workers.
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn units_are_consumed_in_order_by_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let mut seen = Vec::new();
            let made = run(
                3..50,
                threads,
                &mut seen,
                |unit, (): &mut ()| {
                    std::thread::sleep(Duration::from_micros(unit * 37 % 200));
                    Ok::<_, String>(Some(unit * unit))
                },
                |seen, unit, square, ()| {
                    assert_eq!(square, unit * unit);
                    seen.push(unit);
                    Ok(())
                },
            );
            assert_eq!(made, Ok(()));
            assert_eq!(seen, (3..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_ends_the_run_and_nothing_after_it_is_consumed() {
        for threads in [1, 2, 8] {
            let mut seen = Vec::new();
            let result = run(
                0..100,
                threads,
                &mut seen,
                |unit, (): &mut ()| Ok(Some(unit)),
                |seen, unit, _, ()| {
                    if unit == 20 {
                        return Err("full");
                    }
                    seen.push(unit);
                    Ok(())
                },
            );
            assert_eq!((result, seen), (Err("full"), (0..20).collect::<Vec<_>>()));
        }
    }
}
