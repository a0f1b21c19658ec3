//! One file as batches of the wanted columns.

use super::Want;
use super::cast::Casting;
use super::layout::{Content, Layout};
use super::shared::{Shared, is_fraction, is_text};
use super::text::{Cleaned, Csv, JsonLines};
use super::values::Decimal;
use crate::error::AnalysisError;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{ArrowError, Field, Schema};
use parquet::arrow::ProjectionMask;
use populace_io::untrusted::{self, unreadable};
use std::path::Path;
use std::sync::Arc;

/// Rows of a batch.
pub(super) const BATCH_ROWS: usize = 8 << 10;

pub(super) type RawBatches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// The batches of a file, with the wanted columns as they are wanted.
pub(super) struct FileReader {
    layout: Arc<Layout>,
    shared: Arc<Shared>,
    wants: Vec<Want>,
    /// Their names in the file.
    sources: Vec<Option<String>>,
    /// Whether text may stay codes of a dictionary.
    codes: bool,
    batches: RawBatches,
    rows: u64,
}

impl FileReader {
    pub(super) fn open(path: &Path, wants: &[Want], shared: &Arc<Shared>) -> Result<Self, AnalysisError> {
        let layout = shared.layout(path)?;
        let sources = layout.sources(wants, shared)?;
        let batches = untrusted::guarded(path, || raw(&layout, &sources))??;
        Ok(Self { layout, shared: Arc::clone(shared), wants: wants.to_vec(), sources, codes: false, batches, rows: 0 })
    }

    /// A reader of batches of a file; text may stay codes of a dictionary.
    pub(super) fn of(layout: &Arc<Layout>, wants: &[Want], shared: &Arc<Shared>, batches: RawBatches) -> Result<Self, AnalysisError> {
        let sources = layout.sources(wants, shared)?;
        let (layout, shared) = (Arc::clone(layout), Arc::clone(shared));
        Ok(Self { layout, shared, wants: wants.to_vec(), sources, codes: true, batches, rows: 0 })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, AnalysisError> {
        let layout = Arc::clone(&self.layout);
        untrusted::guarded(&layout.path, || self.read_batch())?
    }

    fn read_batch(&mut self) -> Result<Option<RecordBatch>, AnalysisError> {
        let raw = self.batches.next().transpose().map_err(|error| unreadable(&self.layout.path, error))?;
        let Some(raw) = raw else { return Ok(None) };
        let decimal = self.decimal(&raw)?;
        let column = |(want, source): (&Want, &Option<String>)| -> Result<ArrayRef, AnalysisError> {
            let Some(source) = source else { return Ok(want.nulls(raw.num_rows())) };
            let constant = || {
                let (_, value) = self.layout.constants.iter().find(|(name, _)| name == source)?;
                Some(Arc::new(StringArray::from(vec![value.as_deref(); raw.num_rows()])) as ArrayRef)
            };
            let Some(column) = raw.column_by_name(source).cloned().or_else(constant) else { return Ok(want.nulls(raw.num_rows())) };
            let casting =
                Casting { codes: self.codes, own: self.shared.own, strict: self.shared.strict, options: &self.shared.options, decimal };
            want.cast(&column, &casting).map_err(|(row, what)| {
                let row = self.layout.row_in_file(self.rows + row as u64 + 1);
                AnalysisError::input(format!("{}: row {row}, column {source}: {what}", self.layout.path.display()))
            })
        };
        let columns = self.wants.iter().zip(&self.sources).map(column).collect::<Result<Vec<_>, _>>()?;
        self.rows += raw.num_rows() as u64;
        let field = |(want, column): (&Want, &ArrayRef)| Field::new(want.name, column.data_type().clone(), want.nullable);
        let schema = Arc::new(Schema::new(self.wants.iter().zip(&columns).map(field).collect::<Vec<_>>()));
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(raw.num_rows()));
        Ok(Some(RecordBatch::try_new_with_options(schema, columns, &options).expect("the columns were cast to the schema")))
    }

    /// The sign before the fractions of the columns that hold numbers as text.
    fn decimal(&self, raw: &RecordBatch) -> Result<Decimal, AnalysisError> {
        let fractions = self.wants.iter().zip(&self.sources).filter(|(want, _)| is_fraction(want)).filter_map(|(_, source)| source.clone());
        let as_text = |name: &String| raw.column_by_name(name).is_some_and(|column| is_text(column.data_type()));
        let columns: Vec<String> = fractions.filter(as_text).collect();
        if columns.is_empty() { Ok(Decimal::Point) } else { self.layout.decimal(&columns, &self.shared) }
    }
}

/// The batches of a file with some of its columns, by their names in it.
pub(super) fn raw(layout: &Layout, sources: &[Option<String>]) -> Result<RawBatches, AnalysisError> {
    let (path, wanted) = (layout.path.as_path(), |name: &str| sources.iter().any(|source| source.as_deref() == Some(name)));
    Ok(match layout.content {
        Content::Parquet => {
            let builder = untrusted::parquet(path)?;
            let fields = builder.schema().fields().iter().enumerate();
            let roots: Vec<usize> = fields.filter(|(_, field)| wanted(field.name())).map(|(index, _)| index).collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
            let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
            Box::new(reader.map_err(|error| unreadable(path, error))?)
        }
        Content::Arrow => Box::new(untrusted::arrow(path, wanted)?),
        Content::Csv => {
            let (names, delimiter) = csv_names(layout);
            Box::new(Csv::new(untrusted::lines(csv_text(layout)?), names, delimiter, wanted, true))
        }
        Content::JsonLines | Content::JsonList => {
            Box::new(JsonLines::new(untrusted::lines(layout.text()?), sources.iter().flatten().cloned().collect()))
        }
    })
}

/// The text of CSV for the fast reader: as it stands where it is sound.
pub(super) fn csv_text(layout: &Layout) -> Result<Box<dyn std::io::Read + Send>, AnalysisError> {
    if layout.is_sound {
        return layout.text();
    }
    Ok(Box::new(Cleaned::new(layout.records()?).map_err(|error| unreadable(&layout.path, error))?))
}

/// The columns and the delimiter of that text.
pub(super) fn csv_names(layout: &Layout) -> (&[String], u8) {
    let columns = layout.names.len() - layout.constants.len();
    (&layout.names[..columns], if layout.is_sound { layout.delimiter } else { b',' })
}
