//! Texts that passed a test lately: names of campaigns, subject lines and user agents come again and again. And how ids are looked up.

use std::hash::{BuildHasher, Hasher, RandomState};

/// How many texts are remembered, and the longest of them, bytes.
const SLOTS: usize = 256;
const LONGEST: usize = 256;

/// Remembers texts that passed a test which always says the same of the same text.
#[derive(Debug)]
pub(crate) struct Memo(Vec<String>);

impl Default for Memo {
    fn default() -> Self {
        Self(vec![String::new(); SLOTS])
    }
}

impl Memo {
    /// Whether a text passes the test.
    pub(crate) fn passes(&mut self, text: &str, test: impl FnOnce(&str) -> bool) -> bool {
        let known = &mut self.0[slot(text.as_bytes())];
        if known == text && !text.is_empty() {
            return true;
        }
        let passed = test(text);
        if passed && text.len() <= LONGEST {
            text.clone_into(known);
        }
        passed
    }
}

/// A hash of ids under keys of this process: one multiplication, and nobody outside can choose ids that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folded {
    keys: [u64; 2],
    state: u64,
}

impl Default for Folded {
    fn default() -> Self {
        let random = RandomState::new();
        Self { keys: [random.hash_one(0) | 1, random.hash_one(1)], state: 0 }
    }
}

impl BuildHasher for Folded {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(16) {
            let mut whole = [0; 16];
            whole[..word.len()].copy_from_slice(word);
            self.write_u128(u128::from_le_bytes(whole));
        }
    }

    fn write_u128(&mut self, id: u128) {
        let halves = [self.state ^ id as u64 ^ self.keys[0], (id >> 64) as u64 ^ self.keys[1]];
        let product = u128::from(halves[0]) * u128::from(halves[1]);
        self.state = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

fn slot(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mix = |hash: u64, word: &[u8; 8]| (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mix(words.iter().fold(0, mix), &last) >> 56) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_alike_have_hashes_that_are_not() {
        let build = Folded { keys: [0x9E37_79B9_7F4A_7C15, 0xF39C_C060_5CED_C835], state: 0 };
        for shift in [0, 20, 64, 100] {
            let mut buckets = vec![0_u32; 1_024];
            (0..16_384_u128).for_each(|id| buckets[(build.hash_one(id << shift) % 1_024) as usize] += 1);
            // 16 each, with a standard deviation of 4.
            assert!(buckets.iter().all(|ids| *ids < 52), "{shift}: {:?}", buckets.iter().max());
        }
        assert_eq!(build.hash_one(7_u128), build.hash_one(7_u128));
        assert_ne!(Folded::default().hash_one(7_u128), build.hash_one(7_u128));
    }

    #[test]
    fn the_answer_is_that_of_the_test_whatever_was_asked_before() {
        let (mut memo, mut asked) = (Memo::default(), 0);
        let test = |text: &str| !text.len().is_multiple_of(3);
        for number in 0..20_000_u64 {
            let text = "x".repeat((number * number % 301) as usize) + &(number % 11).to_string();
            let passes = memo.passes(&text, |text| {
                asked += 1;
                test(text)
            });
            assert_eq!(passes, test(&text), "{text}");
        }
        assert!(!memo.passes("", |_| false));
        assert!((1_000..19_000).contains(&asked), "{asked}");
    }
}
