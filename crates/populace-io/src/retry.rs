//! Trying again.

use std::hash::{BuildHasher, RandomState};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Pauses between tries: each twice as long as the one before, scattered, until a time is over.
#[derive(Debug)]
pub struct Retry {
    begun: Instant,
    within: Duration,
    pause: Duration,
    longest: Duration,
}

impl Retry {
    /// Tries begin now and end after `within`; the pauses grow from `first` to `longest`.
    pub fn new(within: Duration, first: Duration, longest: Duration) -> Self {
        Self { begun: Instant::now(), within, pause: first, longest }
    }

    /// Waits before the next try, at least for `asked`; false, at once, if the time is over, or would be by then. The last try is at the
    /// end of the time.
    pub fn pause(&mut self, asked: Option<Duration>) -> bool {
        // Between half of the pause and all of it, so that clients that failed together do not come back together.
        let random = RandomState::new().hash_one(self.begun);
        let scattered = self.pause.mul_f64(0.5 + 0.5 * (random >> 11) as f64 / (1_u64 << 53) as f64);
        let left = self.within.saturating_sub(self.begun.elapsed());
        if left.is_zero() || asked.is_some_and(|asked| asked >= left) {
            return false;
        }
        sleep(asked.unwrap_or_default().max(scattered).min(left));
        self.pause = (2 * self.pause).min(self.longest);
        true
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.within
    }

    /// How long tries have gone on. One may last longer than they were to.
    pub fn lasted(&self) -> Duration {
        self.within.max(self.begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_with_the_time() {
        let mut retry = Retry::new(Duration::from_millis(200), Duration::from_millis(4), Duration::from_millis(16));
        let pauses = std::iter::from_fn(|| retry.pause(None).then_some(())).count();
        // Of 4, 8 and then 16 ms, or half of each, and what is left of the time.
        assert!((2..=28).contains(&pauses), "{pauses}");
        assert!(!retry.pause(Some(Duration::from_secs(1))) && retry.lasted() >= Duration::from_millis(200));
    }
}
