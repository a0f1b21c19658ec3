//! Randomness as a coordinate: (seed, scenario, actor, purpose, ordinal) names a stream of words, and nothing is ever drawn from a
//! stream that something else shares.
//!
//! ```
//! use populace_core::stream::{ActorId, Purpose, Source, StreamKey};
//!
//! const OPEN_DELAY: Purpose = Purpose::new(7);
//! let key = StreamKey::root(42, "email").actor(ActorId(17)).purpose(OPEN_DELAY);
//! let third = key.ordinal(3).draws().next_u64();
//! // The draws of one turn do not depend on whether, or how often, another turn was drawn.
//! key.ordinal(2).draws().next_u64();
//! assert_eq!(third, key.ordinal(3).draws().next_u64());
//! ```

use crate::philox::philox4x64;

/// One simulated person, numbered from 0 within a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(pub u64);

/// What a draw is for. Two mechanisms never share a purpose, so a change to one leaves the draws of the other alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose(u64);

impl Purpose {
    /// A purpose by its number, which is part of the values version: never reuse or renumber one.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// A source of uniform 64-bit words.
pub trait Source {
    /// The next word.
    fn next_u64(&mut self) -> u64;

    /// The next word as a fraction in [0, 1), a multiple of 2⁻⁵³.
    #[inline]
    fn next_unit(&mut self) -> f64 {
        unit(self.next_u64())
    }
}

/// The fraction in [0, 1) of a uniform word, a multiple of 2⁻⁵³.
#[inline]
pub fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// The integer in `0..bound` of a uniform word. The bias is at most `bound` · 2⁻⁶⁴.
#[inline]
pub fn below(word: u64, bound: u64) -> u64 {
    ((u128::from(word) * u128::from(bound)) >> 64) as u64
}

/// The key of all randomness of one scenario under one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKey {
    key: [u64; 2],
}

impl StreamKey {
    /// The key of `scenario` (its family name, such as `email`) under `seed`.
    pub fn root(seed: u64, scenario: &str) -> Self {
        // FNV-1a: a fixed 64-bit name for the scenario, so that two scenarios under one seed share nothing.
        let name = scenario.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        Self { key: [seed, name] }
    }

    /// The key of one actor.
    #[inline]
    pub const fn actor(self, actor: ActorId) -> ActorKey {
        ActorKey { key: self.key, actor: actor.0 }
    }
}

/// The key of all randomness of one actor.
#[derive(Clone, Copy, Debug)]
pub struct ActorKey {
    key: [u64; 2],
    actor: u64,
}

impl ActorKey {
    /// The key of one mechanism of this actor.
    #[inline]
    pub const fn purpose(self, purpose: Purpose) -> PurposeKey {
        PurposeKey { key: self.key, actor: self.actor, purpose: purpose.0 }
    }
}

/// The key of one mechanism of one actor.
#[derive(Clone, Copy, Debug)]
pub struct PurposeKey {
    key: [u64; 2],
    actor: u64,
    purpose: u64,
}

impl PurposeKey {
    /// The coordinate of one turn of this mechanism: a day, a message, a call.
    #[inline]
    pub const fn ordinal(self, ordinal: u64) -> Coordinate {
        Coordinate { key: self.key, actor: self.actor, purpose: self.purpose, ordinal }
    }
}

/// A place to draw from: as many words as wanted ([`draws`](Self::draws)), or four at once, each the start of a lane of its own
/// ([`words`](Self::words)).
#[derive(Clone, Copy, Debug)]
pub struct Coordinate {
    key: [u64; 2],
    actor: u64,
    purpose: u64,
    ordinal: u64,
}

impl Coordinate {
    #[inline]
    const fn block(self, block: u64) -> [u64; 4] {
        philox4x64([block, self.ordinal, self.purpose, self.actor], self.key)
    }

    /// The words of this coordinate, one after another.
    #[inline]
    pub const fn draws(self) -> Draws {
        Draws { coordinate: self, words: [0; 4], taken: 0 }
    }

    /// Four words for four mechanisms that always draw together: one block for the price of one, and still each mechanism has words
    /// of its own, however many the others take.
    #[inline]
    pub const fn words(self) -> Words {
        Words { coordinate: self, words: self.block(0) }
    }
}

/// Sequential words of one coordinate.
#[derive(Clone, Debug)]
pub struct Draws {
    coordinate: Coordinate,
    words: [u64; 4],
    taken: u64,
}

impl Source for Draws {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        let within = (self.taken & 3) as usize;
        if within == 0 {
            self.words = self.coordinate.block(self.taken >> 2);
        }
        self.taken += 1;
        self.words[within]
    }
}

/// Four words of one coordinate, each the first of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    coordinate: Coordinate,
    words: [u64; 4],
}

impl Words {
    /// Word `LANE`, for a sampler that needs exactly one.
    #[inline]
    pub const fn word<const LANE: usize>(&self) -> u64 {
        const { assert!(LANE < 4) };
        self.words[LANE]
    }

    /// Lane `LANE`: starts at its word and goes on, where a sampler rejects, in blocks that no other lane reads.
    #[inline]
    pub const fn lane<const LANE: usize>(&self) -> Lane<'_, LANE> {
        const { assert!(LANE < 4) };
        Lane { words: self, taken: 0 }
    }
}

/// One lane of a block of [`Words`].
#[derive(Clone, Debug)]
pub struct Lane<'a, const LANE: usize> {
    words: &'a Words,
    taken: u64,
}

impl<const LANE: usize> Lane<'_, LANE> {
    /// Words beyond the first lie at blocks (lane + 1) · 2³² and on: beyond any block that `draws` reaches.
    #[cold]
    fn spill(&self) -> u64 {
        let further = self.taken - 1;
        let block = self.words.coordinate.block(((LANE as u64 + 1) << 32) + (further >> 2));
        block[(further & 3) as usize]
    }
}

impl<const LANE: usize> Source for Lane<'_, LANE> {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        let word = if self.taken == 0 { self.words.words[LANE] } else { self.spill() };
        self.taken += 1;
        word
    }
}
