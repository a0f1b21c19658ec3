//! What clients share: each finds something free, however much others hold.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An amount of something, of which a client takes no more than is free: one alone holds at most half, two a third each, and whoever comes
/// next finds as much again.
pub(super) struct Share {
    total: usize,
    held: Mutex<HashMap<String, usize>>,
}

impl Share {
    pub(super) fn of(total: usize) -> Arc<Self> {
        Arc::new(Self { total, held: Mutex::default() })
    }

    /// Holds `amount` for a client, if its share has room for it.
    pub(super) fn take(self: &Arc<Self>, client: &str, amount: usize) -> Option<Held> {
        let mut held = self.nothing_yet(client);
        held.grow(amount).then_some(held)
    }

    /// Holds nothing for a client, and may grow.
    pub(super) fn nothing_yet(self: &Arc<Self>, client: &str) -> Held {
        Held { share: Arc::clone(self), client: client.to_owned(), amount: 0 }
    }

    /// How much is held.
    pub(super) fn used(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// Held until it is dropped.
pub(super) struct Held {
    share: Arc<Share>,
    client: String,
    amount: usize,
}

impl Held {
    /// Holds more; false, and nothing more, if the client's share has no room for it.
    pub(super) fn grow(&mut self, amount: usize) -> bool {
        let mut held = self.share.held.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.share.total - held.values().sum::<usize>();
        let fits = held.get(&self.client).copied().unwrap_or_default() + amount <= free;
        if fits {
            *held.entry(self.client.clone()).or_default() += amount;
            self.amount += amount;
        }
        fits
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.share.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = held.get_mut(&self.client) {
            *left -= self.amount;
            if *left == 0 {
                held.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_next_finds_as_much_as_the_others_hold() {
        let share = Share::of(120);
        let mut all = Vec::new();
        for clients in 1..=5 {
            let client = clients.to_string();
            let before = share.used();
            while let Some(held) = share.take(&client, 1) {
                all.push(held);
            }
            assert_eq!(share.used() - before, (120 - before).div_ceil(2), "{clients}");
        }
        assert!(share.take("1", 1).is_none());
        all.clear();
        assert_eq!(share.used(), 0);
        let mut held = share.take("1", 50).unwrap();
        assert!(!held.grow(40) && held.grow(10) && share.used() == 60);
        assert!(Share::of(1).take("1", 1).is_some() && Share::of(1).take("1", 2).is_none());
    }
}
