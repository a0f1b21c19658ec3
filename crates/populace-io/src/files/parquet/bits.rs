//! Integers in bits: Parquet's hybrid of runs, and deltas.

/// Values that the bit-packed runs of the hybrid hold a multiple of.
pub(super) const GROUP: usize = 8;

/// The shortest run that is worth the two headers which it costs, in bits that it would take if packed.
const RUN_BITS: usize = 32;

/// Appends values of `width` bits in Parquet's hybrid of runs: repeated values and bit-packed ones.
pub(super) fn hybrid(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let packed = |values: &[u32], out: &mut Vec<u8>| {
        if !values.is_empty() {
            let groups = values.len().div_ceil(GROUP);
            varint((groups as u64) << 1 | 1, out);
            let end = out.len() + groups * width as usize;
            pack_codes(values, width, out);
            out.resize(end, 0);
        }
    };
    let (mut pending, mut at) = (0, 0);
    while at < values.len() {
        let run = values[at..].iter().take_while(|value| **value == values[at]).count();
        if run >= GROUP && run * width as usize >= RUN_BITS {
            packed(&values[pending..at], out);
            varint((run as u64) << 1, out);
            out.extend_from_slice(&values[at].to_le_bytes()[..width.div_ceil(u8::BITS) as usize]);
            at += run;
            pending = at;
        } else {
            at = values.len().min(at + GROUP);
        }
    }
    packed(&values[pending..], out);
}

/// Values in a block of deltas.
const BLOCK: usize = 128;

/// Values in each of the pieces of a block that have a width of their own.
const MINIBLOCK: usize = 32;

/// Appends integers as `DELTA_BINARY_PACKED`.
pub(super) fn delta(numbers: &[u64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / MINIBLOCK) as u64, out);
    varint(numbers.len() as u64, out);
    let mut last = numbers.first().copied().unwrap_or(0);
    zigzag(last as i64, out);
    let mut deltas = [0; BLOCK];
    for block in numbers.get(1..).unwrap_or_default().chunks(BLOCK) {
        let deltas = &mut deltas[..block.len()];
        for (delta, number) in deltas.iter_mut().zip(block) {
            *delta = number.wrapping_sub(last);
            last = *number;
        }
        let least = deltas.iter().map(|delta| *delta as i64).min().unwrap_or(0);
        zigzag(least, out);
        let widths = out.len();
        out.resize(widths + BLOCK / MINIBLOCK, 0);
        for (index, piece) in deltas.chunks(MINIBLOCK).enumerate() {
            let above = || piece.iter().map(|delta| delta.wrapping_sub(least as u64));
            let width = u64::BITS - above().fold(0, |all, bits| all | bits).leading_zeros();
            out[widths + index] = width as u8;
            let end = out.len() + MINIBLOCK / 8 * width as usize;
            pack(above(), width, out);
            out.resize(end, 0);
        }
    }
}

/// Appends codes of `width` bits, 32 at most, least significant bit first.
fn pack_codes(codes: &[u32], width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0_u64, 0);
    for code in codes {
        bits |= u64::from(*code) << held;
        held += width;
        if held >= u32::BITS {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= u32::BITS;
            held -= u32::BITS;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held.div_ceil(u8::BITS) as usize]);
}

/// Appends values of `width` bits, least significant bit first.
fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0_u128, 0);
    for value in values {
        bits |= u128::from(value) << held;
        held += width;
        if held >= u64::BITS {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= u64::BITS;
            held -= u64::BITS;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held.div_ceil(u8::BITS) as usize]);
}

pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint((value << 1 ^ value >> 63) as u64, out);
}
