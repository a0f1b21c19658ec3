//! Runs in directories, read back.

use crate::errors;
use crate::stream::{Item, Meter};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};
use populace_analysis::AnalysisError;
use populace_analysis::source::{Source, Want};
use populace_io::table::Table;
use pyo3::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

fn told(error: AnalysisError) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

/// The exception of an error that came through a stream.
pub(crate) fn arrow_error(error: &ArrowError) -> PyErr {
    match error {
        ArrowError::ExternalError(source) => match source.downcast_ref::<AnalysisError>() {
            Some(error) => errors::analysis(error),
            None => errors::internal(source),
        },
        error => errors::internal(error),
    }
}

/// Sends the rows of a table of the run in `root`, under the table's plain schema.
pub(crate) fn read(root: &Path, table: &Table, sender: &SyncSender<Item>, meter: &Meter) -> Result<(), ArrowError> {
    let source = Source::open(root).map_err(told)?.table(&table.path()).map_err(told)?;
    let schema = table.plain_schema();
    for batch in source.read(&table.columns.iter().map(Want::of).collect::<Vec<_>>()).map_err(told)? {
        let batch = batch.map_err(told)?;
        let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        let batch = RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?;
        // That nobody takes the batches any longer is how a stream ends early.
        if sender.send(Ok(batch)).is_err() || meter.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// A batch under the table's own schema: text as dictionaries.
pub(crate) fn coded(table: &Table, plain: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = table.schema();
    let columns = plain.columns().iter().zip(schema.fields()).map(|(column, field)| match field.data_type() {
        DataType::Dictionary(..) => {
            let texts = column.as_any().downcast_ref::<arrow_array::StringArray>();
            let texts = texts.ok_or_else(|| ArrowError::CastError(format!("{} is not text", field.name())))?;
            Ok::<ArrayRef, ArrowError>(Arc::new(texts.iter().collect::<DictionaryArray<Int32Type>>()))
        }
        _ => Ok(column.clone()),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}
