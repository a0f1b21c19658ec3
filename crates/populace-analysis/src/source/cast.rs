//! From what a file holds to what is wanted.

use super::columns::Texts;
use super::keys::number_of;
use super::options::ReadOptions;
use super::shared::is_text;
use super::values::{self, Decimal, Read};
use super::{As, Want, map};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use populace_io::wording::own;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// A text of more bytes is no word for nothing.
const MOST_BLANKS: usize = 16;
/// Days since 1900 of the years 1990 to 2100, as spreadsheets count them.
const EXCEL: std::ops::Range<f64> = 32_874.0..73_051.0;
/// Hexadecimal digits of a UUID.
const UUID_DIGITS: usize = 32;

/// How values are taken.
#[derive(Clone, Copy)]
pub(super) struct Casting<'a> {
    /// Whether text may stay codes of a dictionary.
    pub(super) codes: bool,
    /// Whether the file is a run's: it has no words for nothing.
    pub(super) own: bool,
    /// Whether numbers that are none, such as `nan`, are left to who reads them.
    pub(super) strict: bool,
    pub(super) options: &'a ReadOptions,
    pub(super) decimal: Decimal,
}

fn value_of<T>(read: Read<T>) -> T {
    read.value
}

/// A value in a message: an address or a long text by its form alone.
pub(crate) fn shown(value: &str) -> String {
    /// Letters of a value that is shown.
    const MOST: usize = 40;
    let letters = value.chars().count();
    if value.contains('@') {
        return format!("a text of {letters} letters with an @");
    }
    if letters > MOST { format!("a text of {letters} letters") } else { format!("`{}`", populace_io::terminal::printable(value)) }
}

/// A word of a file as it may be repeated: what it is, where it may be an address.
pub(crate) fn repeated(word: &str) -> Cow<'_, str> {
    if word.contains('@') { Cow::Owned(shown(word)) } else { Cow::Borrowed(word) }
}

impl As {
    /// The type that a column of this kind is read as.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Text | Self::Zoned => DataType::Utf8,
            Self::Int | Self::Id => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::Uuid | Self::Key => DataType::FixedSizeBinary(16),
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Bool => "true or false",
            Self::Instant | Self::Zoned => "a timestamp",
            Self::Date => "a date",
            Self::Uuid => "a UUID",
            Self::Key | Self::Id => "an id",
        }
    }

    /// What else could be said, for messages.
    fn accepts(self, value: &str) -> Cow<'static, str> {
        own(match self {
            Self::Instant | Self::Date => {
                if value.trim_matches('`').parse().is_ok_and(|days: f64| EXCEL.contains(&days)) {
                    return "\nhint: a spreadsheet's number of days is read as no time; give the column the format of a date before it is exported".into();
                }
                "\nhint: taken are 2025-01-31T08:30:00Z, 2025-01-31 08:30:00, 31/Jan/2025:08:30:00 +0000; numbers with --time-unit s, ms, us or ns; 31/01/2025 with --dates day-first, 01/31/2025 with month-first"
            }
            Self::Float if value.contains(',') => "\nhint: say --decimal comma where 1,5 is one and a half",
            Self::Float => "\nhint: taken are 1234.5, 1e3 and, for nothing, a blank, NA, NULL or -",
            Self::Uuid => "\nhint: taken are the ids of a run, UUIDs such as 01999d99-782c-74df-bfc2-25a75fca8f65",
            Self::Bool => "\nhint: taken are true and false",
            Self::Int => "\nhint: taken are 1234 and 1234.0 and, for nothing, a blank, NA, NULL or -",
            _ => "",
        })
    }
}

impl Want {
    /// A column that is missing.
    pub(super) fn nulls(&self, rows: usize) -> ArrayRef {
        new_null_array(&self.kind.data_type(), rows)
    }

    /// The column as wanted; text stays codes of a dictionary if it is and they may be kept.
    ///
    /// # Errors
    /// The row, from 0, and what is wrong with it.
    pub(super) fn cast(&self, column: &ArrayRef, casting: &Casting<'_>) -> Result<ArrayRef, (usize, String)> {
        // Old programs write text as bytes.
        let text =
            (!casting.own && is_bytes(column.data_type()) && !matches!(self.kind, As::Uuid | As::Key)).then(|| text_of(column)).flatten();
        let column = text.as_ref().unwrap_or(column);
        let keeps_words = casting.own || (casting.strict && self.kind == As::Float);
        let is_name = matches!(self.kind, As::Text | As::Id | As::Key);
        let cleaned = if !casting.own && is_name && column.data_type().is_floating() {
            Some(numbers_alone(column))
        } else if keeps_words || !is_text(column.data_type()) {
            None
        } else {
            self.without_words(column, casting)?
        };
        let column = cleaned.as_ref().unwrap_or(column);
        let keeps = casting.codes && self.kind == As::Text && is_coded(column);
        let cast = match self.kind {
            _ if keeps => Arc::clone(column),
            As::Zoned => self.zoned(column, casting)?,
            _ => self.convert(column, casting)?,
        };
        let cast = if !casting.own && self.kind == As::Text && self.name.ends_with("_id") { ids_of(cast) } else { cast };
        let is_id = !casting.own && self.name.ends_with("_id");
        if let Some((row, text)) =
            [&cast, column].into_iter().find(|of| is_id && (is_coded(of) || *of.data_type() == DataType::Utf8)).and_then(rounded)
        {
            let hint = own("write the column as text, or as whole numbers, before it is exported");
            return Err((row, format!("{} is a number that a program has rounded, and no id\nhint: {hint}", shown(&text))));
        }
        if cast.null_count() > column.logical_null_count() {
            let row = (0..column.len()).find(|&row| cast.is_null(row) && !is_null(column.as_ref(), row)).unwrap_or(0);
            let shown = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())
                .map_or_else(|_| "the value".to_owned(), |formatter| shown(&formatter.value(row).to_string()));
            return Err((row, format!("{shown} is not {}{}", self.kind.describe(), self.kind.accepts(&shown))));
        }
        if !self.nullable && cast.null_count() > 0 {
            let row = (0..cast.len()).find(|&row| cast.is_null(row)).unwrap_or(0);
            let hint = own("take such rows out, or name another column with --map");
            return Err((row, format!("is empty, and must be {}\nhint: {hint}", self.kind.describe())));
        }
        Ok(cast)
    }

    /// The text without blanks and words for nothing, with the user's words for events; `None` where it has none of these.
    fn without_words(&self, column: &ArrayRef, casting: &Casting<'_>) -> Result<Option<ArrayRef>, (usize, String)> {
        let is_nothing = if self.name == "country" { values::is_no_country } else { values::is_nothing };
        let events = &casting.options.map.events;
        let events = Some(events).filter(|events| self.name == "event_type" && !events.is_empty());
        let types = if self.name == "event_type" { map::events() } else { Vec::new() };
        // `Site Visit` is `site_visit`.
        let folded = |word: &str| {
            let folded = word.to_lowercase().replace([' ', '-'], "_");
            types.iter().find(|known| **known == folded).map(|known| (*known).to_owned())
        };
        let is_odd = |value: &str| !types.is_empty() && !types.contains(&value) && folded(value).is_some();
        let is_other = |value: &str| {
            if is_odd(value) {
                return true;
            }
            // Most begin and end in a letter or digit.
            let bytes = value.as_bytes();
            if events.is_none() && bytes.first().zip(bytes.last()).is_some_and(|(a, z)| a.is_ascii_graphic() && z.is_ascii_graphic()) {
                return bytes.len() <= MOST_BLANKS && is_nothing(bytes);
            }
            let trimmed = values::trim(value.as_bytes());
            events.is_some() || trimmed.len() < value.len() || (trimmed.len() <= MOST_BLANKS && is_nothing(trimmed))
        };
        if let Some(coded) = column.as_dictionary_opt::<Int32Type>().filter(|coded| *coded.values().data_type() == DataType::Utf8)
            && !coded.values().as_string::<i32>().iter().flatten().any(is_other)
        {
            return Ok(None);
        }
        let text = arrow_cast::cast(column, &DataType::Utf8).map_err(|error| (0, error.to_string()))?;
        let text = text.as_string::<i32>();
        if !text.iter().flatten().any(is_other) {
            return Ok(None);
        }
        let word = |value: &'_ str| {
            let trimmed = values::trim(value.as_bytes());
            if is_nothing(trimmed) {
                return None;
            }
            let text = String::from_utf8_lossy(trimmed);
            Some(
                events
                    .and_then(|events| events.get(&text.to_lowercase()).cloned())
                    .or_else(|| folded(&text))
                    .unwrap_or_else(|| text.into_owned()),
            )
        };
        Ok(Some(Arc::new(text.iter().map(|value| value.and_then(word)).collect::<StringArray>())))
    }

    /// The text of moments, in UTC with a `Z` where the column has a zone.
    fn zoned(&self, column: &ArrayRef, casting: &Casting<'_>) -> Result<ArrayRef, (usize, String)> {
        let text = Self { kind: As::Text, ..*self }.convert(column, casting)?;
        if !matches!(column.data_type(), DataType::Timestamp(_, Some(_))) {
            return Ok(text);
        }
        let zoned = |moment: Option<&str>| moment.map(|moment| format!("{moment}Z"));
        Ok(Arc::new(text.as_string::<i32>().iter().map(zoned).collect::<StringArray>()))
    }

    /// The column in the wanted type; null where a value does not fit.
    fn convert(&self, column: &ArrayRef, casting: &Casting<'_>) -> Result<ArrayRef, (usize, String)> {
        if self.kind == As::Id && !casting.own {
            return Want { kind: As::Text, ..*self }.convert(column, casting).map(ids_of);
        }
        let to = self.kind.data_type();
        if *column.data_type() == to {
            return Ok(Arc::clone(column));
        }
        let plain = match column.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::Int32 => {
                let dictionary = column.as_dictionary::<Int32Type>();
                arrow_select::take::take(dictionary.values(), dictionary.keys(), None).map_err(|error| (0, error.to_string()))?
            }
            _ => Arc::clone(column),
        };
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let cast = |array: &ArrayRef, to: &DataType| {
            cast_with_options(array, to, &options)
                .map_err(|_| (0, format!("is {}, and must be {}{}", array.data_type(), self.kind.describe(), self.kind.accepts(""))))
        };
        match (plain.data_type(), self.kind) {
            (from, _) if *from == to => Ok(plain),
            // The text of a zoned moment needs a table of zones; that of UTC does not.
            (DataType::Timestamp(_, Some(_)), As::Text) => {
                let moments = cast(&plain, &As::Instant.data_type())?;
                let unzoned = moments.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>);
                cast(&(Arc::new(unzoned) as ArrayRef), &to)
            }
            (from, As::Text) if from.is_nested() => {
                let json = |row| plain.is_valid(row).then(|| json_of(plain.as_ref(), row).to_string());
                Ok(Arc::new((0..plain.len()).map(json).collect::<StringArray>()))
            }
            (DataType::FixedSizeBinary(16), As::Text) => Ok(hyphenated(plain.as_fixed_size_binary())),
            // Libraries without a type for UUIDs hand their 16 bytes on as bytes of any length.
            (DataType::Binary | DataType::LargeBinary | DataType::BinaryView, As::Text) if !casting.own => {
                Ok(texts_of_bytes(cast(&plain, &DataType::Binary)?.as_binary()))
            }
            (DataType::Binary | DataType::LargeBinary | DataType::BinaryView, As::Text | As::Uuid | As::Key) => {
                let bytes = uuids_of_bytes(cast(&plain, &DataType::Binary)?.as_binary());
                Ok(if self.kind == As::Text { hyphenated(bytes.as_fixed_size_binary()) } else { bytes })
            }
            (DataType::FixedSizeBinary(_), As::Uuid | As::Key) => cast(&plain, &to),
            (_, As::Uuid | As::Key) => Ok(uuids(cast(&plain, &DataType::Utf8)?.as_string(), self.kind == As::Key)),
            // Numbers with blanks around them, and `1` or `0` as a truth value, are what spreadsheets write.
            (
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View,
                As::Int | As::Id | As::Float | As::Bool | As::Date | As::Instant,
            ) => {
                let text = cast(&plain, &DataType::Utf8)?;
                let text = text.as_string::<i32>();
                let times = casting.options.times;
                let instant = |value: &str| values::instant(values::trim(value.as_bytes()), times).map(value_of);
                let date = |value: &str| values::date(values::trim(value.as_bytes()), times).map(|date| date.value.0);
                let number = |value: &str| {
                    let read = values::number(values::trim(value.as_bytes()), casting.decimal).map(value_of);
                    read.or_else(|| value.trim().parse().ok().filter(|_| casting.strict))
                };
                let trimmed = || -> ArrayRef { Arc::new(text.iter().map(|value| value.map(str::trim)).collect::<StringArray>()) };
                match self.kind {
                    As::Int if self.name.starts_with("is_") && !casting.own => {
                        let flag = |value: &str| values::flag(values::trim(value.as_bytes())).map(i64::from);
                        Ok(Arc::new(text.iter().map(|value| value.and_then(flag)).collect::<Int64Array>()))
                    }
                    As::Instant => {
                        let moments = text.iter().map(|value| value.and_then(instant)).collect::<TimestampMicrosecondArray>();
                        Ok(Arc::new(moments.with_timezone("UTC")))
                    }
                    As::Date => Ok(Arc::new(text.iter().map(|value| value.and_then(date)).collect::<Date32Array>())),
                    As::Float if !casting.own => Ok(Arc::new(text.iter().map(|value| value.and_then(number)).collect::<Float64Array>())),
                    As::Int | As::Id => Ok(whole(&cast(&trimmed(), &to)?, &cast(&trimmed(), &DataType::Float64)?)),
                    _ => cast(&trimmed(), &to),
                }
            }
            // Whole numbers with blanks between them are doubles where only those can be blank.
            (DataType::Float32 | DataType::Float64, As::Text) => {
                let numbers = cast(&plain, &DataType::Float64)?;
                let integers = whole(&new_null_array(&DataType::Int64, plain.len()), &numbers);
                if integers.null_count() == plain.null_count() { cast(&integers, &to) } else { cast(&plain, &to) }
            }
            (from, As::Instant | As::Date) if from.is_numeric() => {
                let Some(unit) = casting.options.times.unit else {
                    let told = own("is a number without a unit, and must be a timestamp: say --time-unit s, ms, us or ns");
                    return Err(((0..plain.len()).find(|&row| plain.is_valid(row)).unwrap_or(0), told.into_owned()));
                };
                let moments: TimestampMicrosecondArray = if from.is_integer() {
                    let numbers = cast(&plain, &DataType::Int64)?;
                    numbers.as_primitive::<Int64Type>().iter().map(|number| number.and_then(|number| unit.whole(number))).collect()
                } else {
                    let numbers = cast(&plain, &DataType::Float64)?;
                    numbers.as_primitive::<Float64Type>().iter().map(|number| number.and_then(|number| unit.micros(number))).collect()
                };
                let moments: ArrayRef = Arc::new(moments.with_timezone("UTC"));
                if self.kind == As::Date { cast(&moments, &to) } else { Ok(moments) }
            }
            (DataType::Float32 | DataType::Float64, As::Int | As::Id) => {
                let none = new_null_array(&to, plain.len());
                Ok(whole(&none, &cast(&plain, &DataType::Float64)?))
            }
            (DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64, As::Instant) => {
                Ok(in_utc(&cast(&plain, &DataType::Timestamp(TimeUnit::Microsecond, None))?))
            }
            _ => cast(&plain, &to),
        }
    }
}

/// A value in JSON. What a structure lacks is left out: libraries write dictionaries with the keys of all rows.
fn json_of(values: &dyn Array, row: usize) -> Value {
    if is_null(values, row) {
        return Value::Null;
    }
    let list = |items: ArrayRef| Value::Array((0..items.len()).map(|at| json_of(items.as_ref(), at)).collect());
    let text = || {
        let formatter = ArrayFormatter::try_new(values, &FormatOptions::default());
        formatter.map_or(String::new(), |formatter| formatter.value(row).to_string())
    };
    match values.data_type() {
        DataType::Struct(fields) => {
            let columns = values.as_struct().columns();
            let pairs = fields.iter().zip(columns).filter(|(_, column)| !is_null(column.as_ref(), row));
            Value::Object(pairs.map(|(field, column)| (field.name().clone(), json_of(column.as_ref(), row))).collect())
        }
        DataType::Map(..) => {
            let entries = values.as_map().value(row);
            let key = |at| match json_of(entries.column(0).as_ref(), at) {
                Value::String(key) => key,
                other => other.to_string(),
            };
            Value::Object((0..entries.len()).map(|at| (key(at), json_of(entries.column(1).as_ref(), at))).collect())
        }
        DataType::List(_) => list(values.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(values.as_list::<i64>().value(row)),
        DataType::Boolean => Value::Bool(values.as_boolean().value(row)),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => {
            let coded = values.as_dictionary::<Int32Type>();
            json_of(coded.values().as_ref(), coded.keys().value(row) as usize)
        }
        number if number.is_numeric() => serde_json::from_str(&text()).unwrap_or(Value::Null),
        _ => Value::String(text()),
    }
}

/// Moments that are in UTC already, under its name.
fn in_utc(moments: &ArrayRef) -> ArrayRef {
    Arc::new(moments.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC"))
}

/// Whether a column is codes of a dictionary of text, each code of a text.
fn is_coded(column: &ArrayRef) -> bool {
    column
        .as_dictionary_opt::<Int32Type>()
        .is_some_and(|coded| *coded.values().data_type() == DataType::Utf8 && coded.values().null_count() == 0)
}

fn is_null(column: &dyn Array, row: usize) -> bool {
    column.logical_nulls().is_some_and(|nulls| nulls.is_null(row))
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = data_encoding::HEXLOWER.encode(bytes);
    for place in [8, 13, 18, 23] {
        text.insert(place, '-');
    }
    text
}

fn hyphenated(values: &FixedSizeBinaryArray) -> ArrayRef {
    Arc::new(values.iter().map(|value| value.map(uuid_text)).collect::<StringArray>())
}

/// The integers, and where there is none the number if it is whole: a column of integers with blanks comes as `16.0` from where only
/// doubles can be blank.
fn whole(integers: &ArrayRef, numbers: &ArrayRef) -> ArrayRef {
    /// Up to here a double holds every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let (integers, numbers) = (integers.as_primitive::<Int64Type>(), numbers.as_primitive::<Float64Type>());
    let either = |(integer, number): (Option<i64>, Option<f64>)| {
        integer.or_else(|| number.filter(|number| number.fract() == 0.0 && number.abs() <= EXACT).map(|number| number as i64))
    };
    Arc::new(integers.iter().zip(numbers.iter()).map(either).collect::<Int64Array>())
}

fn uuids_of_bytes(values: &BinaryArray) -> ArrayRef {
    let sixteen = values.iter().map(|value| value.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()));
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(sixteen, 16).expect("every UUID has 16 bytes"))
}

/// Ids of a user's own: text, in which a fraction of zeros is what programs make of a number that may be missing.
fn ids_of(column: ArrayRef) -> ArrayRef {
    let texts = Texts::of(&column);
    let whole = |text: &str| {
        let whole = text.split_once('.').filter(|(_, zeros)| !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0'))?.0;
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let is_plain = digits == "0" || !digits.is_empty() && !digits.starts_with('0');
        (is_plain && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| whole.to_owned())
    };
    let is_one = |text: Option<&str>| text.is_some_and(|text| text.ends_with('0') && whole(text).is_some());
    let (Texts::Plain(different) | Texts::Coded(_, different)) = texts;
    if !different.iter().any(is_one) {
        return column;
    }
    Arc::new(texts.iter().map(|text| text.map(|text| whole(text).unwrap_or_else(|| text.to_owned()))).collect::<StringArray>())
}

/// The first id that is a number in the form that spreadsheets and libraries give to a long one, `1.23457E+15`: two ids may have become one.
fn rounded(column: &ArrayRef) -> Option<(usize, String)> {
    let is_rounded = |text: &str| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let Some((number, power)) = text.split_once(['e', 'E']) else { return false };
        let (first, rest) = number.split_once('.').unwrap_or((number, "0"));
        first.len() == 1
            && digits(first)
            && digits(rest)
            && (number.contains('.') || power.starts_with('+'))
            && digits(power.trim_start_matches('+'))
    };
    let texts = Texts::of(column);
    let (Texts::Plain(different) | Texts::Coded(_, different)) = texts;
    if !different.iter().flatten().any(is_rounded) {
        return None;
    }
    texts.iter().enumerate().find_map(|(row, text)| text.filter(|text| is_rounded(text)).map(|text| (row, text.to_owned())))
}

/// Numbers, without those that are none.
fn numbers_alone(column: &ArrayRef) -> ArrayRef {
    let Ok(numbers) = arrow_cast::cast(column, &DataType::Float64) else { return Arc::clone(column) };
    let numbers = numbers.as_primitive::<Float64Type>();
    Arc::new(numbers.iter().map(|number| number.filter(|number| !number.is_nan())).collect::<Float64Array>())
}

fn is_bytes(of: &DataType) -> bool {
    matches!(of, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// A column of bytes as text; `None` unless all of it is.
fn text_of(column: &ArrayRef) -> Option<ArrayRef> {
    let bytes = arrow_cast::cast(column, &DataType::Binary).ok()?;
    let text = texts_of_bytes(bytes.as_binary());
    (text.null_count() == column.logical_null_count()).then_some(text)
}

/// Text that old programs write as bytes; 16 bytes of which not all are letters or signs are a UUID. Null where it is neither.
fn texts_of_bytes(values: &BinaryArray) -> ArrayRef {
    let text = |bytes: &[u8]| match <[u8; 16]>::try_from(bytes) {
        Ok(uuid) if !bytes.iter().all(u8::is_ascii_graphic) => Some(uuid_text(&uuid)),
        _ => std::str::from_utf8(bytes).ok().map(str::to_owned),
    };
    Arc::new(values.iter().map(|value| value.and_then(text)).collect::<StringArray>())
}

/// The UUIDs of texts; null where a text is none, unless `any` text is an id.
fn uuids(values: &StringArray, any: bool) -> ArrayRef {
    let mut bytes = Vec::with_capacity(16 * values.len());
    let mut valid = BooleanBufferBuilder::new(values.len());
    for value in values {
        let id = value.and_then(|text| uuid(text).or_else(|| any.then(|| number_of(text).to_be_bytes())));
        bytes.extend_from_slice(&id.unwrap_or_default());
        valid.append(id.is_some());
    }
    Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), Some(NullBuffer::new(valid.finish()))))
}

/// A UUID of 32 digits, with hyphens wherever.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let (mut id, mut digits) = (0_u128, 0);
    for byte in text.trim().bytes().filter(|byte| *byte != b'-') {
        id = id << 4 | u128::from(char::from(byte).to_digit(16)?);
        digits += 1;
    }
    (digits == UUID_DIGITS).then(|| id.to_be_bytes())
}
