//! ClickHouse: all tables, in large inserts of `ArrowStream` over HTTP.

mod server;

pub use server::{Server, columns_of, quoted};

use super::{Context, Sink, SinkError, Target};
use crate::digest::Digest;
use crate::table::{InstantText, Kind, Table};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array as _, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// The database of a URL that names none.
pub const DATABASE: &str = "sendflowr";
/// Rows of an insert, about.
const INSERT_ROWS: usize = 128 << 10;

/// What a table is called in ClickHouse: by the name that its consumers know it under, truth tables with a prefix.
fn name_of(table: &Table) -> String {
    table.stored.map_or_else(|| table.path().replace('/', "_"), |(name, _)| name.to_owned())
}

/// The type of a column.
fn type_of(kind: Kind, nullable: bool) -> String {
    let of = match kind {
        Kind::Bool => "Bool",
        Kind::Int16 => "Int16",
        Kind::Int32 => "Int32",
        Kind::Int64 => "Int64",
        Kind::Float | Kind::Fixed(_) => "Float64",
        Kind::Instant(InstantText::Micros) => "DateTime64(6, 'UTC')",
        Kind::Instant(_) => "DateTime64(3, 'UTC')",
        Kind::Date => "Date32",
        Kind::Uuid => "UUID",
        Kind::Json => "String",
        Kind::Text if nullable => return "LowCardinality(Nullable(String))".to_owned(),
        Kind::Text => return "LowCardinality(String)".to_owned(),
    };
    if nullable { format!("Nullable({of})") } else { of.to_owned() }
}

/// The definition of a table.
fn definition(table: &Table) -> String {
    if let Some((_, definition)) = table.stored {
        return definition.to_owned();
    }
    let never_null = || table.columns.iter().filter(|column| !column.nullable).map(|column| column.name).collect();
    let key = if table.key.is_empty() { never_null() } else { table.key.to_vec() };
    let name = name_of(table);
    let mut sql = format!("CREATE TABLE IF NOT EXISTS `{name}` (");
    for (index, column) in table.columns.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let _ = write!(sql, "{comma}`{}` {}", column.name, type_of(column.kind, column.nullable));
    }
    let key: Vec<String> = key.iter().map(|name| format!("`{name}`")).collect();
    let _ = write!(sql, ") ENGINE = ReplacingMergeTree ORDER BY ({}) SETTINGS non_replicated_deduplication_window = 10000", key.join(", "));
    sql
}

/// Names and types of the columns of a table.
fn columns(table: &Table) -> Vec<(String, String)> {
    table.columns.iter().map(|column| (column.name.to_owned(), type_of(column.kind, column.nullable))).collect()
}

/// A batch whose dictionaries have the values that its rows use, each once: ClickHouse takes no others, and those of rows in the order of
/// time were put together of several.
fn distinct(batch: &RecordBatch) -> Result<RecordBatch, SinkError> {
    let columns = batch.columns().iter().map(|column| match column.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => Arc::new(distinct_values(dictionary)) as ArrayRef,
        None => Arc::clone(column),
    });
    RecordBatch::try_new(batch.schema(), columns.collect()).map_err(|error| SinkError::Refused(format!("rows as Arrow: {error}")))
}

fn distinct_values(dictionary: &DictionaryArray<Int32Type>) -> DictionaryArray<Int32Type> {
    let texts: &StringArray = dictionary.values().as_string();
    let (mut codes, mut kept) = (HashMap::new(), Vec::new());
    let mut known: Vec<Option<i32>> = vec![None; texts.len()];
    let keys: Int32Array = dictionary
        .keys()
        .iter()
        .map(|key| {
            let key = key? as usize;
            Some(*known[key].get_or_insert_with(|| {
                let text = texts.value(key);
                *codes.entry(text).or_insert_with(|| {
                    kept.push(text);
                    kept.len() as i32 - 1
                })
            }))
        })
        .collect();
    DictionaryArray::new(keys, Arc::new(StringArray::from(kept)))
}

/// All tables of a scenario as tables of ClickHouse.
pub(super) struct ClickHouseSink {
    server: Server,
    tables: Vec<Pending>,
    hashes: Vec<u64>,
}

/// Rows of a table that wait for an insert.
struct Pending {
    table: Table,
    name: String,
    batches: Vec<RecordBatch>,
    rows: usize,
    digest: Digest,
}

impl ClickHouseSink {
    pub(super) fn open(target: &Target, context: Context<'_>) -> Result<Self, SinkError> {
        let server = Server::open(target, context.timeout)?;
        server.create_database()?;
        let tables = context.generator.tables().iter().map(|table| Pending {
            table: table.clone(),
            name: name_of(table),
            batches: Vec::new(),
            rows: 0,
            digest: Digest::default(),
        });
        let sink = Self { server, tables: tables.collect(), hashes: Vec::new() };
        // All that are there are looked at before one is made: a table of another shape leaves everything as it is.
        for Pending { name, table, .. } in &sink.tables {
            sink.server.check_table(name, &columns(table))?;
        }
        for Pending { name, table, .. } in &sink.tables {
            sink.server.ensure_table(name, &definition(table), &columns(table))?;
        }
        Ok(sink)
    }

    /// Inserts what waits, under a token of its content.
    fn insert(&mut self, index: usize) -> Result<(), SinkError> {
        let pending = &mut self.tables[index];
        if pending.batches.is_empty() {
            return Ok(());
        }
        let token = format!("{}/{}/{}", pending.name, pending.digest.rows, pending.digest);
        self.server.insert(&pending.name, &token, &pending.batches)?;
        pending.batches.clear();
        (pending.rows, pending.digest) = (0, Digest::default());
        Ok(())
    }
}

impl Sink for ClickHouseSink {
    fn shown(&self) -> &str {
        self.server.shown()
    }

    fn takes(&self, _: usize) -> bool {
        true
    }

    fn write(&mut self, table: usize, batch: &RecordBatch) -> Result<(), SinkError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let pending = &mut self.tables[table];
        pending.digest.add(&Digest::of(&pending.table, batch, &mut self.hashes));
        pending.rows += batch.num_rows();
        pending.batches.push(distinct(batch)?);
        if pending.rows >= INSERT_ROWS { self.insert(table) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        (0..self.tables.len()).try_for_each(|table| self.insert(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_that_was_put_together_has_each_value_once_and_none_that_no_row_uses() {
        let values = StringArray::from(vec!["a", "b", "a", "c", "b", "unused"]);
        let keys = Int32Array::from(vec![Some(4), None, Some(0), Some(2), Some(1), Some(3)]);
        let before = DictionaryArray::new(keys, Arc::new(values));
        let after = distinct_values(&before);
        let texts = |of: &DictionaryArray<Int32Type>| {
            of.downcast_dict::<StringArray>().unwrap().into_iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(texts(&after), texts(&before));
        assert_eq!(after.values().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["b", "a", "c"]);
    }
}
