//! Philox4x64-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
//!
//! A block is a pure function of a 128-bit key and a 256-bit counter, so any draw of any actor can be computed alone. `NumPy`'s
//! `Philox` is the same function, which gives the tests an oracle that shares no code with this one.

const MULTIPLIER_0: u64 = 0xD2E7_470E_E14C_6C93;
const MULTIPLIER_1: u64 = 0xCA5A_8263_9512_1157;
const WEYL_0: u64 = 0x9E37_79B9_7F4A_7C15;
const WEYL_1: u64 = 0xBB67_AE85_84CA_A73B;
const ROUNDS: usize = 10;

/// The 64-bit halves (high, low) of `a * b`.
#[inline]
const fn wide_mul(a: u64, b: u64) -> (u64, u64) {
    let product = a as u128 * b as u128;
    ((product >> 64) as u64, product as u64)
}

/// The four words at `counter` under `key`.
#[inline]
pub const fn philox4x64(mut counter: [u64; 4], mut key: [u64; 2]) -> [u64; 4] {
    let mut round = 0;
    while round < ROUNDS {
        let (high_0, low_0) = wide_mul(MULTIPLIER_0, counter[0]);
        let (high_1, low_1) = wide_mul(MULTIPLIER_1, counter[2]);
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key[0] = key[0].wrapping_add(WEYL_0);
        key[1] = key[1].wrapping_add(WEYL_1);
        round += 1;
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.random.Philox(counter=…, key=…).random_raw(8)`, NumPy 2.3: it counts up before each block.
    #[test]
    fn blocks_are_those_of_numpy() {
        let zero = [
            [0x02f4_ba64_08e4_d89b, 0x3dd6_2b0b_9ca8_c5b2, 0x1c86_67a5_5d90_2e79, 0x907d_7a05_2fd5_b4dc],
            [0x809b_f322_8839_87c3, 0x4711_28b9_e807_f7dd, 0xf250_ba0d_bec0_65b7, 0xfc6e_d667_67a4_57bc],
        ];
        let other = [
            [0x4dc3_79b6_14fb_d548, 0x4d98_2954_9802_0938, 0x5bd3_0ad3_7568_a5df, 0x5ccc_c5bf_507c_29c0],
            [0x1c62_dce3_e32c_f0ab, 0x3f3b_a88a_0e3f_9d75, 0x8e62_965f_407f_ccee, 0x190d_6f71_6db9_5d57],
        ];
        for block in 0..2 {
            assert_eq!(philox4x64([block as u64 + 1, 0, 0, 0], [0, 0]), zero[block]);
            assert_eq!(philox4x64([block as u64 + 8, 3, 12, 17], [42, 0xdead_beef_cafe_babe]), other[block]);
        }
    }

    /// The known-answer vector of the authors' own test suite for ten rounds: all bits set.
    #[test]
    fn blocks_are_those_of_random123() {
        assert_eq!(
            philox4x64([u64::MAX; 4], [u64::MAX; 2]),
            [0x87b0_92c3_013f_e90b, 0x438c_3c67_be8d_0224, 0x9cc7_d7c6_9cd7_77b6, 0xa09c_aebf_594f_0ba0]
        );
    }
}
