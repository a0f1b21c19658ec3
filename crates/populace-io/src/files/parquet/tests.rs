//! What is encoded here, the `parquet` crate reads back.

use super::{ParquetSpec, RowGroupFactory};
use crate::files::{Compression, FileOptions, Format, Types};
use crate::table::{Column, InstantText, Kind, Shape, Table};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int16Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Encoding, LogicalType};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

const CODECS: [Compression; 5] = [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd(1), Compression::Zstd(9)];

const KINDS: [(Kind, &str, &str); 12] = [
    (Kind::Bool, "bool", "bool?"),
    (Kind::Int16, "int16", "int16?"),
    (Kind::Int32, "int32", "int32?"),
    (Kind::Int64, "int64", "int64?"),
    (Kind::Float, "float", "float?"),
    (Kind::Fixed(3), "fixed", "fixed?"),
    (Kind::Instant(InstantText::Micros), "instant", "instant?"),
    (Kind::Date, "date", "date?"),
    (Kind::Uuid, "uuid", "uuid?"),
    (Kind::Text, "text", "text?"),
    (Kind::Json, "json", "json?"),
    (Kind::Instant(InstantText::Plain), "plain_instant", "plain_instant?"),
];

/// A table with two columns of every kind: one that is never null and one that may be.
fn table() -> Table {
    let columns = KINDS
        .iter()
        .flat_map(|(kind, name, nullable)| [Column::new(name, *kind, "never null"), Column::nullable(nullable, *kind, "sometimes null")]);
    Table::new("all", false, "every kind of column", columns.collect(), 1.0)
}

/// Where the dictionaries of text columns come from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dictionaries {
    /// All batches share one.
    Shared,
    /// Each batch has one of what it holds.
    Own,
    /// Each row has an entry of its own, equal or not.
    Repeating,
}

/// A column of a batch: row by row, the number of its value, or null.
fn array(kind: Kind, rows: &[Option<u64>], dictionaries: Dictionaries, shared: &ArrayRef) -> ArrayRef {
    // Odd, so that distinct numbers stay distinct, and spread over all 64 bits.
    let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let rows = || rows.iter().copied();
    match kind {
        Kind::Bool => Arc::new(rows().map(|row| row.map(|number| number % 2 == 1)).collect::<BooleanArray>()),
        Kind::Int16 => Arc::new(rows().map(|row| row.map(|number| spread(number) as i16)).collect::<Int16Array>()),
        Kind::Int32 => Arc::new(rows().map(|row| row.map(|number| spread(number) as i32)).collect::<Int32Array>()),
        Kind::Int64 => Arc::new(rows().map(|row| row.map(|number| spread(number) as i64)).collect::<Int64Array>()),
        Kind::Float => Arc::new(rows().map(|row| row.map(|number| spread(number) as i64 as f64 * -1e-9)).collect::<Float64Array>()),
        Kind::Fixed(_) => Arc::new(rows().map(|row| row.map(|number| number as f64 / 1e3)).collect::<Float64Array>()),
        Kind::Instant(_) => {
            Arc::new(rows().map(|row| row.map(|number| number as i64 * 1_000)).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Kind::Date => Arc::new(rows().map(|row| row.map(|number| number as i32)).collect::<Date32Array>()),
        Kind::Uuid => {
            let bytes = rows().map(|row| row.map(|number| u128::from(spread(number)).to_be_bytes()));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 16).expect("all have 16 bytes"))
        }
        Kind::Text | Kind::Json => {
            let mut values: Vec<String> = Vec::new();
            let mut known: HashMap<u64, i32> = HashMap::new();
            let keys: Int32Array = rows()
                .map(|row| {
                    row.map(|number| match (dictionaries, known.get(&number)) {
                        (Dictionaries::Shared, _) => number as i32,
                        (Dictionaries::Own, Some(key)) => *key,
                        _ => {
                            values.push(text(number));
                            known.insert(number, values.len() as i32 - 1);
                            values.len() as i32 - 1
                        }
                    })
                })
                .collect();
            let values =
                if dictionaries == Dictionaries::Shared { Arc::clone(shared) } else { Arc::new(StringArray::from(values)) as ArrayRef };
            Arc::new(DictionaryArray::new(keys, values))
        }
    }
}

/// The text of a number; that of 0 is empty.
fn text(number: u64) -> String {
    if number == 0 { String::new() } else { format!("väärtus {number}") }
}

/// Draws rows in runs whose lengths lie around the bounds of groups and headers.
struct Rows {
    seed: u64,
    values: u64,
    null_percent: u64,
}

impl Rows {
    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    fn column(&mut self, rows: usize) -> Vec<Option<u64>> {
        const RUNS: [usize; 16] = [1, 1, 1, 1, 1, 1, 2, 3, 7, 8, 9, 63, 64, 65, 504, 505];
        let mut column = Vec::with_capacity(rows);
        while column.len() < rows {
            let (run, number) = (RUNS[(self.draw() % 16) as usize], self.draw() % self.values);
            let value = (self.draw() % 100 >= self.null_percent).then_some(number);
            column.resize(rows.min(column.len() + run), value);
        }
        column
    }

    fn batch(&mut self, table: &Table, rows: usize, dictionaries: Dictionaries, shared: &ArrayRef) -> RecordBatch {
        let null_percent = self.null_percent;
        let columns = table.columns.iter().map(|column| {
            self.null_percent = if column.nullable { null_percent } else { 0 };
            (column.name, array(column.kind, &self.column(rows), dictionaries, shared))
        });
        let columns: Vec<_> = columns.collect();
        self.null_percent = null_percent;
        table.rows(&columns)
    }
}

/// Writes row groups, each of pages, each of batches.
fn write(table: &Table, types: Types, compression: Compression, groups: &[Vec<Vec<RecordBatch>>]) -> Bytes {
    let options = FileOptions { compression, types, ..FileOptions::new(Format::Parquet) };
    let mut file = ParquetSpec::new(table, &options).unwrap().open(Vec::new()).unwrap();
    let factory = RowGroupFactory::new(table, &options).unwrap();
    for pages in groups {
        let mut group = factory.start();
        for page in pages {
            for batch in page {
                group.push(batch.clone()).unwrap();
            }
            group.page().unwrap();
        }
        group.finish().unwrap().append(&mut file).unwrap();
    }
    file.into_inner().unwrap().into()
}

fn read(bytes: &Bytes) -> (Arc<ParquetMetaData>, RecordBatch) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let (metadata, schema) = (Arc::clone(builder.metadata()), Arc::clone(builder.schema()));
    let batches: Vec<RecordBatch> = builder.build().unwrap().collect::<Result<_, _>>().unwrap();
    (metadata, concat_batches(&schema, &batches).unwrap())
}

/// What the files hold must be what was put in, and the metadata must tell of it.
fn check(table: &Table, compression: Compression, groups: &[Vec<Vec<RecordBatch>>]) {
    check_portable(table, compression, groups);
    let (metadata, read) = read(&write(table, Types::Compact, compression, groups));
    let plain: Vec<RecordBatch> = groups.iter().flatten().flatten().map(|batch| table.in_shape(batch, Shape::READ).unwrap()).collect();
    let expected = concat_batches(&table.schema_in(Shape::READ), &plain).unwrap();
    assert_eq!(read.num_rows(), expected.num_rows());
    for (index, column) in table.columns.iter().enumerate() {
        assert_eq!(read.schema().field(index).data_type(), expected.schema().field(index).data_type(), "{}", column.name);
        assert!(read.column(index) == expected.column(index), "{} differs", column.name);
    }
    let groups = groups.iter().map(|group| group.iter().flatten().collect::<Vec<_>>());
    let groups = groups.filter(|group| group.iter().any(|batch| batch.num_rows() > 0));
    for (group, written) in groups.zip(metadata.row_groups()) {
        let rows: usize = group.iter().map(|batch| batch.num_rows()).sum();
        assert_eq!(written.num_rows() as usize, rows);
        for (index, column) in table.columns.iter().enumerate() {
            let arrays = group.iter().map(|batch| batch.column(index));
            assert_eq!(written.column(index).num_values() as usize, rows);
            if column.kind == Kind::Int64 {
                let values = arrays.clone().flat_map(|array| array.as_any().downcast_ref::<Int64Array>().unwrap().iter());
                let nulls = values.clone().filter(Option::is_none).count();
                let (least, greatest) = (values.clone().flatten().min(), values.flatten().max());
                let told = written.column(index).statistics();
                let bound = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap());
                assert_eq!(told.and_then(|told| told.min_bytes_opt()).map(bound), least);
                assert_eq!(told.and_then(|told| told.max_bytes_opt()).map(bound), greatest);
                assert!(least.is_none() || told.unwrap().null_count_opt() == Some(nulls as u64));
            }
        }
    }
}

/// Portable files hold the same values, ids as text, in encodings that every reader knows.
fn check_portable(table: &Table, compression: Compression, groups: &[Vec<Vec<RecordBatch>>]) {
    let (metadata, read) = read(&write(table, Types::Portable, compression, groups));
    let plain: Vec<RecordBatch> = groups.iter().flatten().flatten().map(|batch| table.in_shape(batch, Shape::READ).unwrap()).collect();
    let expected = concat_batches(&table.schema_in(Shape::READ), &plain).unwrap();
    for (index, column) in table.columns.iter().enumerate() {
        if column.kind == Kind::Uuid {
            let text = |bytes: &[u8]| {
                let mut text = Vec::new();
                crate::text::append_uuid(bytes.try_into().unwrap(), &mut text);
                String::from_utf8(text).unwrap()
            };
            let ids = expected.column(index).as_any().downcast_ref::<FixedSizeBinaryArray>().unwrap();
            let ids: StringArray = ids.iter().map(|id| id.map(text)).collect();
            assert!(read.column(index).as_ref() == &ids as &dyn Array, "{} differs", column.name);
        } else {
            assert!(read.column(index) == expected.column(index), "{} differs", column.name);
        }
    }
    for chunk in metadata.row_groups().iter().flat_map(parquet::file::metadata::RowGroupMetaData::columns) {
        let pages = chunk.page_encoding_stats_mask().expect("encodings are known");
        assert!(pages.is_only(Encoding::PLAIN) || !pages.is_set(Encoding::DELTA_BINARY_PACKED), "{}", chunk.column_path());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_reads_back(
        sizes in prop::collection::vec(prop::collection::vec(prop::collection::vec(
            prop_oneof![Just(0_usize), Just(1), 2_usize..20, 60_usize..70, 500_usize..510, 0_usize..3_000], 0..4), 0..4), 1..3),
        values in prop_oneof![Just(1_u64), Just(2), Just(3), 4_u64..70, 250_u64..260, Just(5_000), Just(1 << 16)],
        null_percent in prop_oneof![Just(0_u64), Just(30), Just(97), Just(100)],
        dictionaries in prop_oneof![Just(Dictionaries::Shared), Just(Dictionaries::Own), Just(Dictionaries::Repeating)],
        codec in prop::sample::select(CODECS.to_vec()),
        seed in any::<u64>(),
    ) {
        let table = table();
        let mut rows = Rows { seed, values, null_percent };
        let shared: ArrayRef = Arc::new(StringArray::from_iter_values((0..values).map(text)));
        let mut batch = |size: &usize| rows.batch(&table, *size, dictionaries, &shared);
        let groups: Vec<Vec<Vec<_>>> =
            sizes.iter().map(|pages| pages.iter().map(|page| page.iter().map(&mut batch).collect()).collect()).collect();
        check(&table, codec, &groups);
    }
}

/// A table of one text column, its batches of these rows, and the chunk that they become.
fn texts(dictionaries: Dictionaries, pages: &[Vec<u64>]) -> (Table, Vec<Vec<RecordBatch>>, ColumnChunkMetaData) {
    let table = Table::new("texts", false, "texts", vec![Column::new("text", Kind::Text, "a text")], 1.0);
    let shared: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(text)));
    let column = |page: &Vec<u64>| array(Kind::Text, &page.iter().copied().map(Some).collect::<Vec<_>>(), dictionaries, &shared);
    let pages: Vec<Vec<RecordBatch>> = pages.iter().map(|page| vec![table.rows(&[("text", column(page))])]).collect();
    check(&table, Compression::None, std::slice::from_ref(&pages));
    let (metadata, _) = read(&write(&table, Types::Compact, Compression::None, std::slice::from_ref(&pages)));
    let chunk = metadata.row_group(0).column(0).clone();
    (table, pages, chunk)
}

fn is_coded(chunk: &ColumnChunkMetaData) -> (bool, bool) {
    let pages = chunk.page_encoding_stats_mask().expect("encodings are known");
    (pages.is_set(Encoding::RLE_DICTIONARY), pages.is_set(Encoding::PLAIN))
}

#[test]
fn an_unused_entry_of_a_dictionary_is_not_written() {
    let (.., few) = texts(Dictionaries::Shared, &[vec![3; 1_000], vec![4; 1_000]]);
    assert_eq!(is_coded(&few), (true, false));
    assert!(few.uncompressed_size() < 200, "{} bytes", few.uncompressed_size());
}

#[test]
fn entries_that_repeat_do_not_swell_the_dictionary() {
    let pages: Vec<Vec<u64>> = (0..8).map(|page| (0..1_000).map(|row| (row * 7 + page) % 90).collect()).collect();
    let [once, own, repeating] =
        [Dictionaries::Shared, Dictionaries::Own, Dictionaries::Repeating].map(|dictionaries| texts(dictionaries, &pages).2);
    assert_eq!(is_coded(&once), (true, false));
    assert_eq!(once.uncompressed_size(), own.uncompressed_size());
    assert_eq!(once.uncompressed_size(), repeating.uncompressed_size());
}

#[test]
fn distinct_texts_are_written_without_a_dictionary() {
    let (.., chunk) = texts(Dictionaries::Own, &[(0..20_000).collect(), (20_000..30_000).collect()]);
    assert_eq!(is_coded(&chunk), (false, true));
    assert_eq!(chunk.dictionary_page_offset(), None);
}

#[test]
fn a_dictionary_is_given_up_in_the_middle_of_a_chunk() {
    let coded: Vec<u64> = (0..5_000).map(|row| row % 50).collect();
    let (.., chunk) = texts(Dictionaries::Own, &[coded.clone(), (100..9_100).collect(), coded]);
    assert_eq!(is_coded(&chunk), (true, true));
}

#[test]
fn pages_fill_up_across_batches() {
    let table = table();
    let shared: ArrayRef = Arc::new(StringArray::from_iter_values((0..3_000).map(text)));
    let mut rows = Rows { seed: 1, values: 3_000, null_percent: 10 };
    let batches: Vec<RecordBatch> = (0..9).map(|_| rows.batch(&table, 5_000, Dictionaries::Shared, &shared).slice(3, 4_990)).collect();
    check(&table, Compression::Zstd(1), &[vec![batches]]);
}

#[test]
fn uuids_are_uuids() {
    let table = table();
    let mut rows = Rows { seed: 2, values: 10, null_percent: 0 };
    let shared: ArrayRef = Arc::new(StringArray::from_iter_values((0..10).map(text)));
    let (metadata, batch) =
        read(&write(&table, Types::Compact, Compression::None, &[vec![vec![rows.batch(&table, 1, Dictionaries::Shared, &shared)]]]));
    for (index, column) in table.columns.iter().enumerate().filter(|(_, column)| column.kind == Kind::Uuid) {
        let logical = metadata.file_metadata().schema_descr().column(index).logical_type_ref().cloned();
        assert_eq!(logical, Some(LogicalType::Uuid), "{}", column.name);
        assert_eq!(batch.schema().field(index).extension_type_name(), Some("arrow.uuid"), "{}", column.name);
    }
}
