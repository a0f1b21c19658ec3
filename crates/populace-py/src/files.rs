//! Runs in directories, read back.

use crate::errors;
use crate::stream::{Item, Meter, Stream};
use arrow_array::{RecordBatch, RecordBatchReader as _};
use arrow_cast::cast;
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use populace_analysis::AnalysisError;
use populace_analysis::source::{Source, Want};
use populace_io::table::{Shape, Table};
use populace_io::text::TextFormat;
use pyo3::prelude::*;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
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

/// Sends the rows of a table of the run in `root`.
pub(crate) fn read(root: &Path, table: &Table, shape: Shape, sender: &SyncSender<Item>, meter: &Meter) -> Result<(), ArrowError> {
    let source = Source::open(root).map_err(told)?.table(&table.path()).map_err(told)?;
    let schema = table.schema_in(Shape::READ);
    for batch in source.read(&table.columns.iter().map(Want::of).collect::<Vec<_>>()).map_err(told)? {
        let batch = batch.map_err(told)?;
        let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        let batch = RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?;
        // That nobody takes the batches any longer is how a stream ends early.
        if sender.send(table.in_shape(&batch, shape)).is_err() || meter.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// Writes a stream into a file, which appears when it is whole: as text, or as Parquet.
pub(crate) fn save(stream: &mut Stream, table: &Table, text: Option<TextFormat>, file: &Path) -> Result<(), AnalysisError> {
    let failed = |error: io::Error| AnalysisError::io(file, error);
    let partial = PathBuf::from(format!("{}.partial", file.display()));
    let write = |out: File| {
        if let Some(format) = text {
            let mut out = BufWriter::new(out);
            out.write_all(&format.header(table))?;
            let mut lines = Vec::new();
            for batch in stream {
                lines.clear();
                format.append(table, &batch.map_err(io::Error::other)?, &mut lines);
                out.write_all(&lines)?;
            }
            return out.flush();
        }
        let mut writer = ArrowWriter::try_new(out, stream.schema(), None)?;
        for batch in stream {
            writer.write(&batch.map_err(io::Error::other)?)?;
        }
        writer.close().map(drop).map_err(io::Error::from)
    };
    let written = File::create(&partial).and_then(write).and_then(|()| fs::rename(&partial, file));
    written.map_err(|error| {
        // What is left of it is in nobody's way; the error that is reported is the one that came first.
        let _ = fs::remove_file(&partial);
        failed(error)
    })
}
