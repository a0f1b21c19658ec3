//! What a place holds before a run begins: nothing, a run to go on with, a run to replace, or something of somebody else.

use super::{Dataset, Identity, LOCK, LOCK_WAIT, LOG, MANIFEST, Manifest, REPLACED, RUN, SCENARIO};
use super::{check_files, journal, json, lock, read_json, receipt, write_json};
use crate::error::RunError;
use crate::files::place::STATE;
use crate::run::{Part, PartState};
use crate::wording::own;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// What to do about a run that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail.
    Refuse,
    /// Go on where it stopped.
    Resume,
    /// Replace it.
    Overwrite,
}

impl Identity {
    /// The ending of its files' names.
    fn extension(&self) -> String {
        match self.compression.split(':').next() {
            Some("gzip") => format!("{}.gz", self.format),
            Some("zstd") if self.format != "parquet" && self.format != "arrow" => format!("{}.zst", self.format),
            _ => self.format.clone(),
        }
    }
}

impl Dataset<'_> {
    /// Makes the place ready: nothing of this run's in it, or what can be gone on from. `true` if the run is complete already.
    ///
    /// # Errors
    /// There is something that `existing` does not allow to touch, or the place cannot be written.
    pub fn prepare(&self, existing: Existing, one_part: bool) -> Result<bool, RunError> {
        if existing != Existing::Overwrite
            && let Some(manifest) = self.complete()?
        {
            return self.found(existing, &manifest);
        }
        let prepared = self.alone(true, || {
            let complete: Option<Manifest> = read_json(self.place, MANIFEST)?;
            let unfinished: Option<Identity> = read_json(self.place, RUN)?;
            let replaced: Option<Manifest> = read_json(self.place, REPLACED)?;
            let shown = self.place.shown();
            if existing == Existing::Overwrite {
                self.refuse_running(unfinished.as_ref())?;
                self.remove(complete.as_ref(), unfinished.as_ref(), replaced.as_ref())?;
                self.refuse_strangers()?;
            } else if let Some(manifest) = complete {
                // Its process was killed before it could tidy up.
                self.forget(unfinished.map_or(0, |identity| identity.parts))?;
                return self.found(existing, &manifest);
            } else if let Some(identity) = unfinished {
                if identity != self.identity {
                    let difference = self.difference(&identity);
                    return Err(RunError::Refused(format!(
                        "{shown} holds an unfinished run{difference}; {}",
                        own("use --overwrite to replace it, or another directory with -o")
                    )));
                }
                if existing == Existing::Refuse && !one_part {
                    return Err(RunError::Refused(format!(
                        "{shown} holds an unfinished run; {}",
                        own("use --resume to go on with it, or --overwrite to start again")
                    )));
                }
            } else {
                if replaced.is_some() && existing == Existing::Refuse && !one_part {
                    return Err(RunError::Refused(format!(
                        "{shown} holds what is left of a run that was being replaced; {}",
                        own("use --overwrite or --resume to replace it")
                    )));
                }
                self.remove(None, None, replaced.as_ref())?;
                self.refuse_strangers()?;
            }
            self.place.write(RUN, &json(RUN, &self.identity)?)?;
            self.place.write(SCENARIO, self.document.yaml.as_bytes())?;
            Ok(false)
        })?;
        prepared.ok_or_else(|| self.gone())
    }

    /// The manifest of this run, where it is complete and nothing is to be tidied up.
    pub(super) fn complete(&self) -> Result<Option<Manifest>, RunError> {
        if self.place.exists(STATE)? || self.place.exists(RUN)? { Ok(None) } else { read_json(self.place, MANIFEST) }
    }

    /// A complete run was found in the place.
    fn found(&self, existing: Existing, manifest: &Manifest) -> Result<bool, RunError> {
        let resume = existing == Existing::Resume;
        if resume && manifest.identity == self.identity {
            check_files(self.place, manifest)?;
            return Ok(true);
        }
        let difference = if resume { self.difference(&manifest.identity) } else { String::new() };
        Err(RunError::Refused(format!(
            "{} holds a complete run{difference}; {}",
            self.place.shown(),
            own("use --overwrite to replace it, or another directory with -o")
        )))
    }

    /// Does something with the state of the place while no other process does; `None` if there is no state and none is to `begin`.
    pub(super) fn alone<T>(&self, begin: bool, act: impl FnOnce() -> Result<T, RunError>) -> Result<Option<T>, RunError> {
        let until = Instant::now() + LOCK_WAIT;
        let lock = loop {
            if begin {
                self.place.create_directory(STATE)?;
            }
            match self.place.lock(LOCK) {
                Ok(Some(lock)) => break lock,
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) => {
                    let shown = self.place.shown();
                    return Err(RunError::Refused(format!("another process is at work in {shown}; wait for it, or choose another -o")));
                }
                Err(RunError::Io { source, .. }) if source.kind() == ErrorKind::NotFound && !begin => return Ok(None),
                // Whoever completed a run removed the directory a moment ago.
                Err(RunError::Io { source, .. }) if source.kind() == ErrorKind::NotFound && Instant::now() < until => {}
                Err(error) => return Err(error),
            }
        };
        let done = act();
        let tidied = if self.place.exists(RUN)? || self.place.exists(REPLACED)? { Ok(()) } else { self.forget(0) };
        drop(lock);
        done.and_then(|done| tidied.map(|()| Some(done)))
    }

    /// In what another run differs from this one, for a message.
    fn difference(&self, other: &Identity) -> String {
        let [Ok(Value::Object(here)), Ok(Value::Object(there))] = [&self.identity, other].map(serde_json::to_value) else {
            return String::new();
        };
        let differing: Vec<String> = here
            .iter()
            .filter(|(key, value)| there.get(*key) != Some(value))
            .map(|(key, value)| format!("{key} {} instead of {value}", there.get(key).unwrap_or(&Value::Null)))
            .collect();
        if differing.is_empty() { String::new() } else { format!(" with other settings ({})", differing.join(", ")) }
    }

    /// A run that another process is writing.
    fn refuse_running(&self, unfinished: Option<&Identity>) -> Result<(), RunError> {
        for part in 0..unfinished.map_or(0, |identity| identity.parts) {
            if self.place.exists(&lock(part))? && self.place.lock(&lock(part))?.is_none() {
                return Err(RunError::Refused(format!("another process writes part {part} of {}", self.place.shown())));
            }
        }
        Ok(())
    }

    /// Files under our names that no run of ours has left.
    fn refuse_strangers(&self) -> Result<(), RunError> {
        let ending = self.options.extension();
        let ours = self.identity.tables.iter().flat_map(|table| [format!("{table}.{ending}"), table.clone()]);
        for path in ours.chain([SCENARIO.to_owned()]) {
            if self.place.exists(&path)? {
                return Err(RunError::Refused(format!(
                    "{}/{path} exists and is not part of a known run; {}",
                    self.place.shown(),
                    own("move it away, or choose another directory with -o")
                )));
            }
        }
        Ok(())
    }

    /// Removes an earlier run, complete, unfinished or partly removed: the files that its manifest, journals and receipts name, and
    /// nothing else. A process that is killed here leaves what is needed to go on with the removal.
    fn remove(&self, complete: Option<&Manifest>, unfinished: Option<&Identity>, replaced: Option<&Manifest>) -> Result<(), RunError> {
        if let Some(manifest) = complete {
            write_json(self.place, REPLACED, manifest)?;
            self.place.remove(MANIFEST)?;
            self.place.sync_names(&[MANIFEST])?;
        }
        let manifests = complete.into_iter().chain(replaced);
        let named = manifests.flat_map(|manifest| manifest.tables.values().flat_map(|table| &table.files));
        let mut files: Vec<String> = named.map(|file| file.path.clone()).collect();
        if let Some(identity) = unfinished {
            self.find_pieces(identity, &mut files)?;
            // Gone before the files that they vouch for: whoever resumes after a kill here makes those again.
            let state: Vec<String> = (0..identity.parts).flat_map(|part| [receipt(part), journal(part)]).collect();
            for name in &state {
                self.place.remove(name)?;
            }
            self.place.sync_names(&state.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        if unfinished.is_some() || !files.is_empty() {
            files.extend([SCENARIO, LOG].map(str::to_owned));
        }
        files.retain(|file| !file.split('/').any(|step| step == "..") && !file.starts_with('/'));
        let mut directories = BTreeSet::new();
        // The last piece of a table first, so that those that are left still follow on one another.
        for file in files.iter().rev() {
            self.place.remove(file)?;
            directories.extend(Path::new(file).ancestors().skip(1).filter_map(Path::to_str).filter(|above| !above.is_empty()));
        }
        // Those that are deeper come first.
        for directory in directories.iter().rev() {
            self.place.remove_directory(directory)?;
        }
        let gone: Vec<&str> = files.iter().map(String::as_str).chain(directories).collect();
        self.place.sync_names(&gone)?;
        self.forget_but_lock(unfinished.map_or(0, |identity| identity.parts))
    }

    /// The files of an unfinished run: those that its journals and receipts know, and those that follow on them.
    fn find_pieces(&self, identity: &Identity, files: &mut Vec<String>) -> Result<(), RunError> {
        for part in 0..identity.parts {
            let mut known = 0;
            for name in [receipt(part), journal(part)] {
                // One that cannot be read is of another version; its files are found one after another.
                if let Ok(Some(state)) = read_json::<PartState>(self.place, &name) {
                    known = state.tables.iter().map(|table| table.files.complete.len()).chain([known]).max().unwrap_or(0);
                }
            }
            for table in &identity.tables {
                let names = |rolls| Part { part, parts: identity.parts }.names(table, rolls);
                files.push(names(false).path(0, &identity.extension()));
                for index in 0.. {
                    let path = names(true).path(index, &identity.extension());
                    if index > known && !self.place.exists(&path)? && self.place.unfinished_size(&path)?.is_none() {
                        break;
                    }
                    files.push(path);
                }
            }
        }
        Ok(())
    }

    pub(super) fn forget_but_lock(&self, parts: u64) -> Result<(), RunError> {
        if !self.place.can_continue() {
            // A place without directories has what is named.
            for name in (0..parts).flat_map(|part| [receipt(part), journal(part)]).chain([RUN, REPLACED].map(str::to_owned)) {
                self.place.remove(&name)?;
            }
        }
        self.place.clear(STATE, LOCK)
    }

    /// Removes the state of a run of so many parts.
    pub(super) fn forget(&self, parts: u64) -> Result<(), RunError> {
        self.forget_but_lock(parts)?;
        if self.place.can_continue() {
            self.place.remove(LOCK)?;
        }
        self.place.remove_directory(STATE)
    }
}
