//! What the tables of a directory share: what the user says, and what was found of each file.

use super::find::Part;
use super::layout::{Constants, Content, Layout, Loss};
use super::options::ReadOptions;
use super::reader::{self, RawBatches};
use super::values::{self, Decimal, Says, Times};
use super::{As, Want};
use crate::error::AnalysisError;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use populace_io::terminal::printable;
use populace_io::untrusted::unreadable;
use populace_io::wording::{self, own};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What the tables of a directory share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) options: ReadOptions,
    /// Whether the files are those of a run, which a manifest describes.
    pub(super) own: bool,
    /// Whether rows that are none are an error.
    pub(super) strict: bool,
    layouts: Mutex<BTreeMap<PathBuf, Arc<Layout>>>,
    constants: Mutex<BTreeMap<PathBuf, Constants>>,
    /// Columns that no row of a file of JSON has, and that are null then.
    pub(super) absent: Mutex<BTreeSet<(PathBuf, &'static str)>>,
    /// Moments that were read, and those of them that no clock can have shown.
    pub(super) clocks: Mutex<(u64, u64)>,
}

impl Shared {
    pub(super) fn new(options: &ReadOptions, own: bool, strict: bool) -> Self {
        Self {
            options: options.clone(),
            own,
            strict,
            layouts: Mutex::default(),
            constants: Mutex::default(),
            clocks: Mutex::default(),
            absent: Mutex::default(),
        }
    }

    /// Remembers what the directories of a part say.
    pub(super) fn part(&self, part: Part) -> PathBuf {
        if !part.constants.is_empty() {
            self.constants.lock().unwrap_or_else(PoisonError::into_inner).insert(part.path.clone(), part.constants);
        }
        part.path
    }

    /// What the losses come to, a sentence each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let told = |loss: Loss| {
            let Loss { path, why, rows, first } = loss;
            let rows = if rows == 1 { "1 row was".to_owned() } else { format!("{rows} rows were") };
            format!("{}: {rows} left out: {why} (the first at line {first})", path.display())
        };
        self.losses().into_iter().map(told).chain(self.recoded()).collect()
    }

    /// Which files are not UTF-8, though nobody said so, a sentence each.
    pub(super) fn recoded(&self) -> Vec<String> {
        let layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        layouts.values().filter_map(|layout| layout.recoded()).collect()
    }

    /// What a file is; it is looked at once.
    pub(super) fn layout(&self, path: &Path) -> Result<Arc<Layout>, AnalysisError> {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = layouts.get(path) {
            return Ok(Arc::clone(layout));
        }
        let mut layout = if self.own { Layout::own(path)? } else { Layout::found(path, &self.options)? };
        if let Some(loss) = layout.losses.first().filter(|_| self.strict) {
            let hint = "mend such lines or take them out; a field that holds the delimiter is written in quotes";
            return Err(AnalysisError::input(format!("{}: line {}: {}\nhint: {hint}", path.display(), loss.first, loss.why)));
        }
        let constants = self.constants.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in
            constants.get(path).into_iter().flatten().filter(|(name, _)| !layout.names.contains(name)).cloned().collect::<Vec<_>>()
        {
            layout.names.push(name.clone());
            layout.constants.push((name, value));
        }
        let layout = Arc::new(layout);
        layouts.insert(path.to_owned(), Arc::clone(&layout));
        Ok(layout)
    }

    pub(super) fn losses(&self) -> Vec<Loss> {
        let layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        layouts.values().flat_map(|layout| layout.losses.clone()).collect()
    }
}

/// A column's name without what people add to it: `User ID`, `userId` and `user.id` are `user_id`.
fn fold(name: &str) -> String {
    let parts = |letter: &char| !matches!(letter, '_' | ' ' | '-' | '.');
    name.trim().chars().filter(parts).flat_map(char::to_lowercase).collect()
}

impl Layout {
    /// The name in the file of a wanted column; `None` if it is not there.
    pub(crate) fn find(&self, wanted: &str, shared: &Shared) -> Result<Option<String>, AnalysisError> {
        let Some(mapped) = shared.options.map.columns.get(wanted) else { return self.named(wanted, shared.own) };
        for source in mapped {
            if let Some(found) = self.named(source, shared.own)? {
                return Ok(Some(found));
            }
            // A path into JSON, whose first step is a column.
            let first = source.split('.').next().unwrap_or_default();
            if source.len() > first.len() && self.content.is_json() && self.names.iter().any(|name| name == first) {
                return Ok(Some(source.clone()));
            }
        }
        match mapped.as_slice() {
            // What the user names must be there.
            [one] if shared.options.map.needed.contains(wanted) && self.named(wanted, shared.own)?.is_none() => {
                Err(self.no_columns(&[one]))
            }
            _ => self.named(wanted, shared.own),
        }
    }

    /// The column of a name, or of one that is spelled alike.
    fn named(&self, source: &str, own: bool) -> Result<Option<String>, AnalysisError> {
        let folded = fold(source);
        let mut alike = self.names.iter().filter(|name| fold(name) == folded);
        let several = || {
            AnalysisError::input(format!(
                "{}: has several columns {source}; {}",
                self.path.display(),
                wording::own("keep one, or name it with --map")
            ))
        };
        let mut exact = self.names.iter().filter(|name| *name == source);
        match (exact.next(), exact.next()) {
            // People name columns twice, programs mean what they write.
            (Some(_), None) if !own && self.content == Content::Csv && alike.clone().count() > 1 => return Err(several()),
            (Some(name), None) => return Ok(Some(name.clone())),
            (Some(_), Some(_)) => return Err(several()),
            _ if own => return Ok(None),
            _ => {}
        }
        match (alike.next(), alike.next()) {
            (Some(name), None) => Ok(Some(name.clone())),
            (Some(_), Some(_)) => Err(several()),
            _ => Ok(None),
        }
    }

    /// The names in the file of wanted columns.
    ///
    /// # Errors
    /// One that must be there is not.
    pub(super) fn sources(&self, wants: &[Want], shared: &Shared) -> Result<Vec<Option<String>>, AnalysisError> {
        let sources = wants.iter().map(|want| self.find(want.name, shared)).collect::<Result<Vec<_>, _>>()?;
        // Programs that leave nulls out write no key that is null in every row.
        let is_left_out = |want: &Want| {
            let is_near = |name: &String| strsim::damerau_levenshtein(&fold(name), &fold(want.name)) <= 2;
            want.nullable && self.content.is_json() && !shared.own && !shared.strict && !self.names.iter().any(is_near)
        };
        let missing = wants.iter().zip(&sources).filter(|(want, source)| !want.optional && source.is_none());
        let (absent, missing): (Vec<_>, Vec<_>) = missing.partition(|(want, _)| is_left_out(want));
        if missing.is_empty() {
            let mut all = shared.absent.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(absent.iter().map(|(want, _)| (self.path.clone(), want.name)));
        }
        let missing: Vec<&str> = missing.iter().map(|(want, _)| want.name).collect();
        if missing.is_empty() { Ok(sources) } else { Err(self.no_columns(&missing)) }
    }

    /// The error of a file that lacks columns, though it may have one of another name.
    pub(crate) fn no_columns(&self, missing: &[&str]) -> AnalysisError {
        let in_line = |text: &str| printable(text).replace('\n', "\\n").replace('\t', "\\t");
        let near = |missing: &&str| self.names.iter().find(|name| strsim::damerau_levenshtein(&fold(name), &fold(missing)) <= 2);
        let plural = if missing.len() == 1 { "column" } else { "columns" };
        let hint = match missing.iter().find_map(near) {
            Some(near) => format!("rename `{}`, or {}", in_line(near), own("say with --map what your columns are called")),
            None if self.content == Content::Csv && self.names.iter().any(|name| is_value(name)) => {
                "the first line holds values and no names: begin the file with the names of the columns".to_owned()
            }
            None if self.content == Content::Csv && self.names.len() == 1 => {
                "the first line must be the names of the columns, with commas, semicolons, tabs or pipes between them; take lines before it out".to_owned()
            }
            None if missing == ["session_id"] => {
                own("say with --map which column it is; where there are no sessions, that of the user, with --session-gap 30m").into_owned()
            }
            None if self.content == Content::JsonLines && self.names.len() <= 3 => {
                own("say with --map what your columns are called; of rows in a list within an object, give the list alone").into_owned()
            }
            None => own("say with --map what your columns are called; `populace inspect` names the presets that fit").into_owned(),
        };
        let names = in_line(&self.names.join(", "));
        AnalysisError::input(format!("{}: has no {plural} {}; it has {names}\nhint: {hint}", self.path.display(), missing.join(", ")))
    }

    /// The sign before the fractions in some columns of numbers: what the user says, or else all their values, or else the delimiter.
    ///
    /// # Errors
    /// It stays open, and there are values that mean one number or another.
    pub(crate) fn decimal(&self, columns: &[String], shared: &Shared) -> Result<Decimal, AnalysisError> {
        if let Some(decimal) = shared.options.decimal {
            return Ok(decimal);
        }
        if shared.own || !self.commas && self.content == Content::Csv {
            return Ok(Decimal::Point);
        }
        let decided = self.decimal.get_or_init(|| self.decide(columns).map_err(|error| error.to_string()));
        decided.clone().map_err(AnalysisError::input)
    }

    fn decide(&self, columns: &[String]) -> Result<Decimal, AnalysisError> {
        let sources: Vec<Option<String>> = columns.iter().cloned().map(Some).collect();
        let (mut comma, mut point, mut ambiguous) = (false, false, None);
        let mut raw: RawBatches = reader::raw(self, &sources)?;
        while let Some(batch) = raw.next().transpose().map_err(|error| unreadable(&self.path, error))? {
            for name in columns {
                let Some(column) = batch.column_by_name(name).filter(|column| is_text(column.data_type())) else { continue };
                let text = arrow_cast::cast(column, &DataType::Utf8).map_err(|error| unreadable(&self.path, error))?;
                for value in text.as_string::<i32>().iter().flatten().filter(|value| !value.bytes().all(|byte| byte.is_ascii_digit())) {
                    match values::says(values::trim(value.as_bytes())) {
                        Says::Is(Decimal::Comma) => comma = true,
                        Says::Is(_) => point = true,
                        Says::Ambiguous if ambiguous.is_none() => ambiguous = Some((name.clone(), value.to_owned())),
                        Says::Nothing | Says::Ambiguous => {}
                    }
                }
            }
        }
        match (comma, point, ambiguous) {
            (true, false, _) => Ok(Decimal::Comma),
            (false, true, _) | (false, false, None) => Ok(Decimal::Point),
            (true, true, None) => Ok(Decimal::Either),
            // A file with semicolons comes from where the comma is the decimal sign.
            (false, false, Some((_, value))) if self.delimiter == b';' && value.contains(',') => Ok(Decimal::Comma),
            // Points are no thousands where commas part the fields.
            (false, false, Some((_, value))) if self.delimiter != b';' && value.contains('.') => Ok(Decimal::Point),
            (_, _, Some((name, value))) => {
                let (path, value) = (self.path.display(), printable(&value));
                Err(AnalysisError::input(format!(
                    "{path}: column {name}: `{value}` may be a fraction or thousands, and no other value says which\n{}",
                    own("hint: --decimal point or --decimal comma")
                )))
            }
        }
    }
}

/// Whether a name of a column is a value: a number, or a time.
fn is_value(name: &str) -> bool {
    let name = values::trim(name.as_bytes());
    values::number(name, Decimal::Point).is_some() || values::instant(name, Times::default()).is_some()
}

/// Whether a column holds text, perhaps as codes of a dictionary.
pub(super) fn is_text(of: &DataType) -> bool {
    match of {
        DataType::Dictionary(_, value) => is_text(value),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// Whether a wanted column is one of fractions.
pub(super) fn is_fraction(want: &Want) -> bool {
    want.kind == As::Float
}
