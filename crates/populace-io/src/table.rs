//! What tables and columns there are: the one place that files, schemas, digests and documentation are made from.

use crate::text::append_uuid;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int16Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::extension::Uuid;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use std::str::FromStr;
use std::sync::Arc;

/// How ids, which are UUIDs, are handed to readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// Text of 36 characters, which every reader knows.
    #[default]
    Text,
    /// 16 bytes that are marked as a UUID.
    Uuid,
    /// 16 bytes.
    Binary,
}

impl Ids {
    /// As they are named on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Binary => "binary",
        }
    }
}

impl FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Text, Self::Uuid, Self::Binary].into_iter().find(|ids| ids.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is none of text, uuid, binary"))
    }
}

/// The types in which a table is handed to readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Those of ids.
    pub ids: Ids,
    /// Whether text is a dictionary.
    pub dictionaries: bool,
}

impl Shape {
    /// The types that tables are made in.
    pub const OWN: Self = Self { ids: Ids::Uuid, dictionaries: true };
    /// The types that tables are read in.
    pub const READ: Self = Self { ids: Ids::Uuid, dictionaries: false };
}

/// What a column holds, and how text files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A 16-bit integer.
    Int16,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A double, written in the fewest digits that read back to it.
    Float,
    /// A double that is a whole multiple of 10^−places, written with exactly so many places.
    Fixed(u8),
    /// A moment in UTC, in microseconds.
    Instant(InstantText),
    /// A calendar date.
    Date,
    /// A 16-byte UUID.
    Uuid,
    /// Text, as a dictionary.
    Text,
    /// A JSON object as text, as a dictionary.
    Json,
}

impl Kind {
    /// For people who read the files.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "double",
            Self::Fixed(2) => "double, 2 places",
            Self::Fixed(3) => "double, 3 places",
            Self::Fixed(_) => "double, fixed places",
            Self::Instant(InstantText::Millis) => "timestamp UTC, to the millisecond",
            Self::Instant(InstantText::Micros) => "timestamp UTC, to the microsecond",
            Self::Instant(InstantText::Plain) => "timestamp UTC, to the second",
            Self::Instant(InstantText::Exact) => "timestamp UTC",
            Self::Date => "date",
            Self::Uuid => "UUID",
            Self::Text => "text",
            Self::Json => "JSON object",
        }
    }
}

/// How text files write a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstantText {
    /// `2026-01-31T09:15:00.123Z`.
    Millis,
    /// `2026-01-31T09:15:00.123456Z`.
    Micros,
    /// `2026-01-31 09:15:00`.
    Plain,
    /// `2026-01-31 09:15:00`, and `.123456` after it where the second is not whole.
    Exact,
}

/// A column: its name, what it holds and what that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it means, with its unit.
    pub meaning: &'static str,
    /// The most characters that a service takes of its text; of an object, bytes of JSON.
    pub longest: Option<usize>,
}

impl Column {
    /// A column that is never null.
    pub const fn new(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, nullable: false, meaning, longest: None }
    }

    /// A column that may be null.
    pub const fn nullable(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, nullable: true, meaning, longest: None }
    }

    /// The column, of whose text a service takes at most this length.
    #[must_use]
    pub const fn at_most(self, longest: usize) -> Self {
        Self { longest: Some(longest), ..self }
    }

    fn field(&self) -> Field {
        let data_type = match self.kind {
            Kind::Bool => DataType::Boolean,
            Kind::Int16 => DataType::Int16,
            Kind::Int32 => DataType::Int32,
            Kind::Int64 => DataType::Int64,
            Kind::Float | Kind::Fixed(_) => DataType::Float64,
            Kind::Instant(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Date => DataType::Date32,
            Kind::Uuid => DataType::FixedSizeBinary(16),
            Kind::Text | Kind::Json => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        };
        let field = Field::new(self.name, data_type, self.nullable);
        if self.kind == Kind::Uuid { field.with_extension_type(Uuid) } else { field }
    }
}

/// A table of a scenario.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name: files are called `NAME.EXT`, or `truth/NAME.EXT`.
    pub name: &'static str,
    /// Whether it holds what only the simulator knows.
    pub truth: bool,
    /// What one row is.
    pub meaning: &'static str,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The column that `--order time` sorts by.
    pub time: Option<&'static str>,
    /// Expected rows for one actor; 0 for a table that does not grow with the population.
    pub rows_per_actor: f64,
    /// The columns that tell its rows apart, most selective last; none if all that are never null do.
    pub key: &'static [&'static str],
    /// The column that says whose a row is.
    pub actor: Option<&'static str>,
    /// The column that a log keeps rows in order by: the actor's, unless the table says otherwise.
    pub partition: Option<&'static str>,
    /// The column that numbers the rows of the whole table, which one actor alone does not know.
    pub number: Option<&'static str>,
    /// The name and the definition of a table of its own that a database keeps the rows in.
    pub stored: Option<(&'static str, &'static str)>,
    schema: SchemaRef,
}

impl Table {
    /// A table; `rows_per_actor` is what buffers and row groups are sized by.
    pub fn new(name: &'static str, truth: bool, meaning: &'static str, columns: Vec<Column>, rows_per_actor: f64) -> Self {
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        Self {
            name,
            truth,
            meaning,
            columns,
            time: None,
            rows_per_actor,
            key: &[],
            actor: None,
            partition: None,
            number: None,
            stored: None,
            schema,
        }
    }

    /// Names the column that `--order time` sorts by.
    ///
    /// # Panics
    /// There is no such column, here and below.
    #[must_use]
    pub fn ordered_by(mut self, column: &'static str) -> Self {
        self.time = Some(self.known(column));
        self
    }

    /// Names the columns that tell its rows apart.
    #[must_use]
    pub fn keyed_by(mut self, columns: &'static [&'static str]) -> Self {
        for column in columns {
            self.known(column);
        }
        self.key = columns;
        self
    }

    /// Names the column that says whose a row is.
    #[must_use]
    pub fn of_actor(mut self, column: &'static str) -> Self {
        self.actor = Some(self.known(column));
        self.partition = self.partition.or(self.actor);
        self
    }

    /// Names the column that a log keeps rows in order by, where it is not that of the actor.
    #[must_use]
    pub fn partitioned_by(mut self, column: &'static str) -> Self {
        self.partition = Some(self.known(column));
        self
    }

    /// Names the column that numbers the rows of the whole table, if there is one.
    #[must_use]
    pub fn numbered_by(mut self, column: Option<&'static str>) -> Self {
        self.number = column.map(|column| self.known(column));
        self
    }

    /// Names the table of its own that a database keeps the rows in, and its definition.
    #[must_use]
    pub fn stored_as(mut self, name: &'static str, definition: &'static str) -> Self {
        self.stored = Some((name, definition));
        self
    }

    fn known(&self, column: &'static str) -> &'static str {
        assert!(self.position(column).is_some(), "{column} is a column of {}", self.name);
        column
    }

    /// The position of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }

    /// The table without the column that numbers its rows, for an actor alone.
    #[must_use]
    pub fn without_numbers(&self) -> Self {
        self.with_columns((0..self.columns.len()).filter(|place| Some(self.columns[*place].name) != self.number))
    }

    /// The table with some of its columns alone, by their positions.
    ///
    /// # Panics
    /// There is no such column.
    #[must_use]
    pub fn with_columns(&self, positions: impl IntoIterator<Item = usize>) -> Self {
        let columns: Vec<Column> = positions.into_iter().map(|position| self.columns[position]).collect();
        let kept = |name: &&str| columns.iter().any(|column| column.name == *name);
        Self {
            time: self.time.filter(kept),
            actor: self.actor.filter(kept),
            partition: self.partition.filter(kept),
            number: self.number.filter(kept),
            key: if self.key.iter().all(kept) { self.key } else { &[] },
            ..Self::new(self.name, self.truth, self.meaning, columns, self.rows_per_actor)
        }
    }

    /// How many rows to make room for, for so many actors.
    pub fn room(&self, actors: u64) -> usize {
        (self.rows_per_actor * actors as f64 * 1.1) as usize + 64
    }

    /// Its Arrow schema.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Its schema in other types.
    pub fn schema_in(&self, shape: Shape) -> SchemaRef {
        let fields = self.schema.fields().iter().map(|field| {
            let of_type = |data_type: &DataType| Field::new(field.name(), data_type.clone(), field.is_nullable());
            match (field.data_type(), shape.ids) {
                (DataType::Dictionary(_, value), _) if !shape.dictionaries => of_type(value),
                (DataType::FixedSizeBinary(_), Ids::Text) => of_type(&DataType::Utf8),
                (binary @ DataType::FixedSizeBinary(_), Ids::Binary) => of_type(binary),
                _ => field.as_ref().clone(),
            }
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// A batch in other types.
    ///
    /// # Errors
    /// A dictionary cannot be spread out: its text would pass 2 GiB.
    pub fn in_shape(&self, batch: &RecordBatch, shape: Shape) -> Result<RecordBatch, ArrowError> {
        let schema = self.schema_in(shape);
        let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| match (column.data_type(), field.data_type()) {
            (DataType::Dictionary(..), DataType::Utf8) => {
                let dictionary = column.as_dictionary::<Int32Type>();
                arrow_select::take::take(dictionary.values(), dictionary.keys(), None)
            }
            (DataType::Utf8, DataType::Dictionary(..)) => {
                Ok(Arc::new(column.as_string::<i32>().iter().collect::<DictionaryArray<Int32Type>>()) as ArrayRef)
            }
            (DataType::FixedSizeBinary(_), DataType::Utf8) => Ok(texts_of_uuids(column.as_fixed_size_binary())),
            _ => Ok(Arc::clone(column)),
        });
        let columns = columns.collect::<Result<_, _>>()?;
        RecordBatch::try_new(schema, columns)
    }

    /// Its name with the folder that truth tables lie in.
    pub fn path(&self) -> String {
        if self.truth { format!("truth/{}", self.name) } else { self.name.to_owned() }
    }

    /// Its documentation.
    pub fn markdown(&self) -> String {
        let head = format!("\n### `{}`\n\n{}.\n\n| column | type | null | meaning |\n|---|---|---|---|\n", self.path(), self.meaning);
        let row = |column: &Column| {
            let null = if column.nullable { "yes" } else { "" };
            format!("| `{}` | {} | {null} | {} |\n", column.name, column.kind.describe(), column.meaning.replace('|', "\\|"))
        };
        head + &self.columns.iter().map(row).collect::<String>()
    }

    /// A batch of its columns, by their names in any order. Columns that the table does not have are left out.
    ///
    /// # Panics
    /// A column is missing or does not fit the schema: a bug of the builder.
    pub fn rows(&self, columns: &[(&str, ArrayRef)]) -> RecordBatch {
        let column = |wanted: &Column| {
            let found = columns.iter().find(|(name, _)| *name == wanted.name);
            Arc::clone(&found.unwrap_or_else(|| panic!("{} of {} was not built", wanted.name, self.name)).1)
        };
        self.batch(self.columns.iter().map(column).collect())
    }

    /// A batch of its columns, in their order.
    ///
    /// # Panics
    /// The columns do not fit the schema: a bug of the builder.
    pub fn batch(&self, columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_new(self.schema(), columns).unwrap_or_else(|error| panic!("columns of {}: {error}", self.name))
    }
}

/// The values of a dictionary column.
pub fn dictionary<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// A dictionary column from its codes. A negative code is null.
///
/// # Panics
/// A code lies beyond the dictionary: a bug of the builder.
pub fn codes(codes: Vec<i32>, values: &ArrayRef) -> ArrayRef {
    let nulls = codes.iter().any(|code| *code < 0).then(|| codes.iter().map(|code| *code >= 0).collect::<NullBuffer>());
    shared_codes(&codes.into(), nulls.as_ref(), values)
}

/// A dictionary column from codes that other columns have as well, null where `valid` is false.
///
/// # Panics
/// A code that is not null lies beyond the dictionary: a bug of the builder.
pub fn shared_codes(codes: &ScalarBuffer<i32>, valid: Option<&NullBuffer>, values: &ArrayRef) -> ArrayRef {
    let keys = Int32Array::new(codes.clone(), valid.cloned());
    Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(values)).expect("codes lie within the dictionary"))
}

/// UUIDs from their bytes.
pub fn uuids(bytes: Vec<u8>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), None))
}

/// UUIDs from their bytes, null where `valid` is false.
pub fn uuids_or_null(bytes: Vec<u8>, valid: impl IntoIterator<Item = bool>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), Some(NullBuffer::from_iter(valid))))
}

/// UUIDs as text.
fn texts_of_uuids(ids: &FixedSizeBinaryArray) -> ArrayRef {
    const CHARACTERS: usize = 36;
    let mut text = Vec::with_capacity((ids.len() - ids.null_count()) * CHARACTERS);
    let rows = ids.value_data().as_chunks::<16>().0.iter().enumerate();
    let is_valid = |row: usize| ids.nulls().is_none_or(|nulls| nulls.is_valid(row));
    rows.filter(|(row, _)| is_valid(*row)).for_each(|(_, id)| append_uuid(id, &mut text));
    let offsets = OffsetBuffer::from_lengths((0..ids.len()).map(|row| if is_valid(row) { CHARACTERS } else { 0 }));
    Arc::new(StringArray::new(offsets, text.into(), ids.nulls().cloned()))
}

/// Moments from microseconds.
pub fn instants(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

/// Moments, null where `valid` is false.
pub fn instants_or_null(values: Vec<i64>, valid: &NullBuffer) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::new(values.into(), Some(valid.clone())).with_timezone("UTC"))
}

/// Truth values.
pub fn booleans(values: Vec<bool>) -> ArrayRef {
    Arc::new(BooleanArray::from(values))
}

/// Truth values, or null.
pub fn booleans_or_null(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(values.collect::<BooleanArray>())
}

macro_rules! numbers {
    ($name:ident, $or_null:ident, $native:ty, $array:ident, $what:literal) => {
        #[doc = $what]
        pub fn $name(values: Vec<$native>) -> ArrayRef {
            Arc::new($array::from(values))
        }

        #[doc = concat!($what, " Null where `valid` is false.")]
        pub fn $or_null(values: Vec<$native>, valid: &NullBuffer) -> ArrayRef {
            Arc::new($array::new(ScalarBuffer::from(values), Some(valid.clone())))
        }
    };
}

numbers!(shorts, shorts_or_null, i16, Int16Array, "16-bit integers.");
numbers!(ints, ints_or_null, i32, Int32Array, "32-bit integers.");
numbers!(longs, longs_or_null, i64, Int64Array, "64-bit integers.");
numbers!(dates, dates_or_null, i32, Date32Array, "Dates, in days since 1970.");
numbers!(floats, floats_or_null, f64, Float64Array, "Doubles.");

/// The dictionary of a column and its codes.
///
/// # Panics
/// The column is not a dictionary.
pub fn as_codes(column: &dyn Array) -> (&[i32], &StringArray) {
    let array = column.as_any().downcast_ref::<DictionaryArray<Int32Type>>().expect("a text column is a dictionary");
    (array.keys().values(), array.values().as_any().downcast_ref().expect("a dictionary of text"))
}
