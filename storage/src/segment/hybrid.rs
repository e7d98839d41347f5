//! Parquet's hybrid of run lengths and packed bits, written from runs.
//!
//! Source: Parquet format, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)".

/// A run of equal values shorter than this is packed.
const SHORTEST_RUN: usize = 8;

/// Appends `runs` of (value, how often) to `out`, `width` bits a value.
pub(super) fn encode(runs: impl Iterator<Item = (u32, usize)>, width: u32, out: &mut Vec<u8>) {
    let mut packed: Vec<u32> = Vec::new();
    for (value, mut count) in runs {
        // Packed values come in groups of eight; only between groups may a run begin.
        let fill = (packed.len().next_multiple_of(8) - packed.len()).min(count);
        packed.extend(std::iter::repeat_n(value, fill));
        count -= fill;
        if count < SHORTEST_RUN {
            packed.extend(std::iter::repeat_n(value, count));
            continue;
        }
        pack(&mut packed, width, out);
        varint((count as u64) << 1, out);
        out.extend(value.to_le_bytes().iter().take(width.div_ceil(8) as usize));
    }
    pack(&mut packed, width, out);
}

/// Appends values as packed bits, the last group filled up with zeros.
fn pack(values: &mut Vec<u32>, width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    values.resize(values.len().next_multiple_of(8), 0);
    varint(((values.len() / 8) as u64) << 1 | 1, out);
    let (mut bits, mut held) = (0_u64, 0);
    for value in values.drain(..) {
        bits |= u64::from(value) << held;
        held += width;
        while held >= 8 {
            out.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            held -= 8;
        }
    }
}

/// Appends an unsigned LEB128 number.
pub(super) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends a signed number, small magnitudes in few bytes.
pub(super) fn zigzag(number: i64, out: &mut Vec<u8>) {
    varint(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
}

/// Bits that hold every place in a dictionary of so many entries: whole bytes, which compress better than the few bits that
/// are needed, since equal places then look equal wherever they are.
pub(super) fn place_bits(entries: usize) -> u32 {
    (usize::BITS - entries.saturating_sub(1).leading_zeros()).next_multiple_of(8).max(8)
}
