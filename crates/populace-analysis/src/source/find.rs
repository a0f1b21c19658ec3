//! The files of a table in a directory of a user's own.

use super::layout::{Constants, Content, unpacked_name};
use crate::error::AnalysisError;
use std::fs;
use std::path::{Path, PathBuf};

/// A file, with the columns that its directories name.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) constants: Constants,
}

/// Directories within a table's directory, at most.
const DEEPEST: usize = 16;

/// The files of a table, in order: one file `events.csv`, or those in a directory `events` or `events.parquet`.
///
/// # Errors
/// The table is there more than once, or its directory holds files that are no part of it.
pub(super) fn find(root: &Path, table: &str) -> Result<Vec<Part>, AnalysisError> {
    let (directory, stem) = match table.rsplit_once('/') {
        Some((parent, stem)) => (root.join(parent), stem),
        None => (root.to_owned(), table),
    };
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let (mut whole, mut numbered) = (Vec::new(), Vec::new());
    for path in entries(&directory)? {
        let (name, _) = unpacked_name(&path);
        let Some(rest) = name.strip_prefix(stem) else { continue };
        let known = Content::of_name(&name).is_some();
        if (rest.is_empty() && path.is_dir()) || (rest.starts_with('.') && known && rest[1..].split('.').count() == 1) {
            whole.push(path);
        } else if known && path.is_file() && is_numbered(rest) {
            numbered.push(path);
        }
    }
    let root = root.display();
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() { name + "/" } else { name }
    };
    match whole.as_slice() {
        [one, other, ..] => {
            let (one, other) = (name(one), name(other));
            Err(AnalysisError::input(format!("{root}: {table} is there as {one} and as {other}; keep one of them")))
        }
        [one] if !numbered.is_empty() => {
            let (one, other) = (name(one), name(&numbered[0]));
            Err(AnalysisError::input(format!(
                "{root}: {one} is there and {other} beside it\nhint: put the parts of one table into a directory {table}/, or move away what is none"
            )))
        }
        [one] if one.is_dir() => {
            let mut parts = Vec::new();
            collect(one, &[], DEEPEST, &mut parts)?;
            alike(&parts)?;
            Ok(parts)
        }
        [one] => Ok(vec![Part { path: one.clone(), constants: Vec::new() }]),
        [] => Ok(Vec::new()),
    }
}

/// Whether what follows a table's name makes a part or a copy of it: `-00001`, ` (1)`, ` - Copy`.
fn is_numbered(rest: &str) -> bool {
    let signs: &[char] = &['-', '_', '.', ' ', '('];
    let word = rest.trim_start_matches(signs);
    word.len() < rest.len() && (word.starts_with(|letter: char| letter.is_ascii_digit()) || word.starts_with("copy"))
}

/// What lies in a directory of a user's own that may be meant by a table.
pub(super) fn beside(root: &Path, table: &str) -> Vec<String> {
    let stem = table.rsplit('/').next().unwrap_or(table);
    let near = |name: &str| {
        let start = name.split('.').next().unwrap_or_default();
        name.contains(stem) || name.contains(stem.trim_end_matches('s')) || strsim::damerau_levenshtein(start, stem) <= 2
    };
    let names =
        entries(root).unwrap_or_default().into_iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    names.filter(|name| near(&name.to_lowercase())).take(5).collect()
}

/// The entries of a directory in order, without hidden ones.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, AnalysisError> {
    let failed = |error| AnalysisError::io(directory, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // `_SUCCESS`, `.part-0.crc` and their like are marks of the programs that write parts.
        if !path.file_name().unwrap_or_default().to_string_lossy().starts_with(['.', '_']) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The files below a directory, with what `column=value` in the names of directories says.
fn collect(directory: &Path, constants: &[(String, Option<String>)], depth: usize, parts: &mut Vec<Part>) -> Result<(), AnalysisError> {
    if depth == 0 {
        return Err(AnalysisError::input(format!("{}: lies too deep", directory.display())));
    }
    for path in entries(directory)? {
        if !path.is_dir() {
            parts.push(Part { path, constants: constants.to_vec() });
            continue;
        }
        let mut constants = constants.to_vec();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some((column, value)) = name.split_once('=') {
            let decoded = || percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
            constants.push((column.to_owned(), (value != "__HIVE_DEFAULT_PARTITION__").then(decoded)));
        }
        collect(&path, &constants, depth - 1, parts)?;
    }
    Ok(())
}

/// Checks that parts are written alike: of two ways of writing one may hold the other's rows again.
fn alike(parts: &[Part]) -> Result<(), AnalysisError> {
    let way = |part: &Part| {
        let (name, is_packed) = unpacked_name(&part.path);
        Content::of_name(&name).map(|content| (content, is_packed))
    };
    let mut known = parts.iter().filter_map(|part| Some((part, way(part)?)));
    let Some((first, way_of_first)) = known.next() else { return Ok(()) };
    match known.find(|(_, way)| *way != way_of_first) {
        Some((other, _)) => Err(AnalysisError::input(format!(
            "{} and {} are written in different ways; keep the parts of one",
            first.path.display(),
            other.path.display()
        ))),
        None => Ok(()),
    }
}
