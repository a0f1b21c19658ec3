//! The values of one column of a batch, ready to be written cell by cell.

use super::TextFormat;
use crate::table::{InstantText, Kind, Table, as_codes};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use populace_core::time::{DAY, Date, HOUR, MINUTE, SECOND};

/// A column of a batch.
pub(super) struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Bool(&'a BooleanArray),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float { values: &'a [f64], last: FloatText },
    Fixed { values: &'a [f64], places: u8 },
    Instant { values: &'a [i64], text: InstantText, date: DateText },
    Date { values: &'a [i32], date: DateText },
    Uuid(&'a [[u8; 16]]),
    Text { keys: &'a [i32], rendered: Rendered },
}

impl<'a> Cells<'a> {
    /// Of every column of a batch.
    pub(super) fn all(table: &Table, batch: &'a RecordBatch, format: TextFormat) -> Vec<Self> {
        table.columns.iter().zip(batch.columns()).map(|(column, array)| Self::new(column.kind, array.as_ref(), format)).collect()
    }

    pub(super) fn new(kind: Kind, array: &'a dyn Array, format: TextFormat) -> Self {
        let values = match kind {
            Kind::Bool => Values::Bool(array.as_boolean()),
            Kind::Int16 => Values::Int16(array.as_primitive::<Int16Type>().values()),
            Kind::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values()),
            Kind::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values()),
            Kind::Float => Values::Float { values: array.as_primitive::<Float64Type>().values(), last: FloatText::default() },
            Kind::Fixed(places) => Values::Fixed { values: array.as_primitive::<Float64Type>().values(), places },
            Kind::Instant(text) => {
                Values::Instant { values: array.as_primitive::<TimestampMicrosecondType>().values(), text, date: DateText::default() }
            }
            Kind::Date => Values::Date { values: array.as_primitive::<Date32Type>().values(), date: DateText::default() },
            Kind::Uuid => Values::Uuid(array.as_fixed_size_binary().value_data().as_chunks().0),
            Kind::Text | Kind::Json => {
                let (keys, values) = as_codes(array);
                Values::Text { keys, rendered: Rendered::new(values, kind, format) }
            }
        };
        Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), values }
    }

    #[inline]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the value of a row; nothing for a null.
    #[inline]
    pub(super) fn append(&mut self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return;
        }
        match &mut self.values {
            Values::Bool(values) => out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Values::Int16(values) => out.extend_from_slice(itoa::Buffer::new().format(values[row]).as_bytes()),
            Values::Int32(values) => out.extend_from_slice(itoa::Buffer::new().format(values[row]).as_bytes()),
            Values::Int64(values) => out.extend_from_slice(itoa::Buffer::new().format(values[row]).as_bytes()),
            Values::Float { values, last } => out.extend_from_slice(last.of(values[row])),
            Values::Fixed { values, places } => append_fixed(values[row], *places, out),
            Values::Instant { values, text, date } => append_instant(values[row], *text, date, out),
            Values::Date { values, date } => out.extend_from_slice(date.of(values[row])),
            Values::Uuid(values) => append_uuid(&values[row], out),
            Values::Text { keys, rendered } => out.extend_from_slice(rendered.get(keys[row])),
        }
    }
}

/// The text of a double, made anew only when the value changes: neighbouring rows often hold the same rate or factor.
#[derive(Default)]
struct FloatText {
    value: Option<u64>,
    text: [u8; 24],
    length: usize,
}

impl FloatText {
    #[inline]
    fn of(&mut self, value: f64) -> &[u8] {
        if self.value != Some(value.to_bits()) {
            self.value = Some(value.to_bits());
            let mut buffer = zmij::Buffer::new();
            let text = buffer.format(value);
            self.length = text.len();
            self.text[..self.length].copy_from_slice(text.as_bytes());
        }
        &self.text[..self.length]
    }
}

/// The text of a date, made anew only when the date changes.
#[derive(Default)]
pub struct DateText {
    date: Option<i32>,
    text: [u8; 10],
}

impl DateText {
    #[inline]
    fn of(&mut self, date: i32) -> &[u8; 10] {
        if self.date != Some(date) {
            self.date = Some(date);
            let (year, month, day) = Date(date).ymd();
            self.text[..2].copy_from_slice(pair(year as u32 / 100));
            self.text[2..4].copy_from_slice(pair(year as u32 % 100));
            self.text[4] = b'-';
            self.text[5..7].copy_from_slice(pair(month));
            self.text[7] = b'-';
            self.text[8..].copy_from_slice(pair(day));
        }
        &self.text
    }
}

/// The two digits of a number below 100.
#[inline]
fn pair(number: u32) -> &'static [u8; 2] {
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[0; 2]; 100];
        let mut number = 0;
        while number < 100 {
            pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
            number += 1;
        }
        pairs
    };
    &PAIRS[number as usize]
}

/// A moment as text, microseconds since 1970, in a year of four digits.
#[inline]
pub fn append_instant(value: i64, style: InstantText, date: &mut DateText, out: &mut Vec<u8>) {
    let time = value.rem_euclid(DAY);
    let mut text = [0; 27];
    text[..10].copy_from_slice(date.of(value.div_euclid(DAY) as i32));
    text[10] = if matches!(style, InstantText::Plain | InstantText::Exact) { b' ' } else { b'T' };
    text[11..13].copy_from_slice(pair((time / HOUR) as u32));
    text[13] = b':';
    text[14..16].copy_from_slice(pair((time % HOUR / MINUTE) as u32));
    text[16] = b':';
    text[17..19].copy_from_slice(pair((time % MINUTE / SECOND) as u32));
    text[19] = b'.';
    let micros = (time % SECOND) as u32;
    match style {
        InstantText::Plain => out.extend_from_slice(&text[..19]),
        InstantText::Exact if micros == 0 => out.extend_from_slice(&text[..19]),
        InstantText::Millis => {
            let millis = micros / 1_000;
            text[20] = b'0' + (millis / 100) as u8;
            text[21..23].copy_from_slice(pair(millis % 100));
            text[23] = b'Z';
            out.extend_from_slice(&text[..24]);
        }
        InstantText::Micros | InstantText::Exact => {
            text[20..22].copy_from_slice(pair(micros / 10_000));
            text[22..24].copy_from_slice(pair(micros / 100 % 100));
            text[24..26].copy_from_slice(pair(micros % 100));
            text[26] = b'Z';
            out.extend_from_slice(&text[..if style == InstantText::Exact { 26 } else { 27 }]);
        }
    }
}

/// A multiple of 10^−places with exactly so many places.
#[inline]
fn append_fixed(value: f64, places: u8, out: &mut Vec<u8>) {
    let scale = 10_u64.pow(u32::from(places));
    let units = (value * scale as f64).round() as i64;
    if units < 0 {
        out.push(b'-');
    }
    let units = units.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(units / scale).as_bytes());
    let fraction = (units % scale) as u32;
    match places {
        0 => {}
        1 => out.extend_from_slice(&[b'.', b'0' + fraction as u8]),
        2 => {
            let [tens, ones] = *pair(fraction);
            out.extend_from_slice(&[b'.', tens, ones]);
        }
        3 => {
            let [tens, ones] = *pair(fraction % 100);
            out.extend_from_slice(&[b'.', b'0' + (fraction / 100) as u8, tens, ones]);
        }
        _ => out.extend_from_slice(format!(".{fraction:0width$}", width = usize::from(places)).as_bytes()),
    }
}

/// A UUID as text.
#[inline]
pub fn append_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    const HEX: [[u8; 2]; 256] = {
        let digits = b"0123456789abcdef";
        let mut table = [[0; 2]; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = [digits[byte >> 4], digits[byte & 15]];
            byte += 1;
        }
        table
    };
    /// Where the two digits of each byte stand among the dashes.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; 36];
    for (byte, place) in bytes.iter().zip(PLACES) {
        text[place..place + 2].copy_from_slice(&HEX[usize::from(*byte)]);
    }
    out.extend_from_slice(&text);
}

/// The values of a dictionary as the format writes them, quotes included.
struct Rendered {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Rendered {
    fn new(values: &StringArray, kind: Kind, format: TextFormat) -> Self {
        let mut rendered =
            Self { bytes: Vec::with_capacity(values.value_data().len() + 2 * values.len()), ends: Vec::with_capacity(values.len() + 1) };
        rendered.ends.push(0);
        for index in 0..values.len() {
            let value = values.value(index);
            match format {
                TextFormat::Csv => append_csv(value, &mut rendered.bytes),
                TextFormat::Jsonl if kind == Kind::Json => rendered.bytes.extend_from_slice(value.as_bytes()),
                TextFormat::Jsonl => {
                    serde_json::to_writer(&mut rendered.bytes, value).expect("text is written to memory");
                }
            }
            rendered.ends.push(rendered.bytes.len() as u32);
        }
        rendered
    }

    #[inline]
    fn get(&self, key: i32) -> &[u8] {
        let key = key as usize;
        &self.bytes[self.ends[key] as usize..self.ends[key + 1] as usize]
    }
}

/// A CSV field, quoted where RFC 4180 asks for it. An empty text is quoted, to tell it from null.
fn append_csv(value: &str, out: &mut Vec<u8>) {
    if value.is_empty() || value.contains([',', '"', '\n', '\r']) {
        out.push(b'"');
        out.extend_from_slice(value.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(value.as_bytes());
    }
}
