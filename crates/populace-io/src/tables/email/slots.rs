//! The file of a policy of `type: table`: which recipient is mailed in which slot.

use super::actor_of;
use populace_core::email::{BaseKind, EmailModel, NO_SLOT};
use populace_core::scenario::{ConfigError, Problem};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

/// Where a policy names its file.
const PATH: &str = "policy.base.file";
/// Bytes of a header that are looked at.
const LONGEST_HEADER: u64 = 64 << 10;
/// The most problems of a file that are told one by one.
const TOLD: usize = 20;

/// The sign between the fields of a file's header: a comma, unless it has another and none.
fn delimiter(file: &str) -> u8 {
    let mut header = String::new();
    // What cannot be read is told by who reads on.
    let _ = File::open(file).and_then(|file| BufReader::new(file.take(LONGEST_HEADER)).read_line(&mut header));
    if header.contains(',') { b',' } else { *[b';', b'\t', b'|'].iter().find(|sign| header.as_bytes().contains(sign)).unwrap_or(&b',') }
}

/// The model with the slots of its file, if its policy has one: a CSV file with the columns `recipient_id` and `slot`.
///
/// # Errors
/// The file cannot be read, or says something that is not a slot of a recipient: each problem with its row.
pub fn with_slots(model: EmailModel) -> Result<EmailModel, ConfigError> {
    let config = model.config();
    let Some(policy) = config.policy.as_ref().filter(|policy| policy.base.r#type == BaseKind::Table) else { return Ok(model) };
    let file = policy.base.file.as_deref().unwrap_or_default();
    let (users, slots) = (config.population.users, policy.slots());
    let mut problems: Vec<Problem> = Vec::new();
    let problem = |message: String, hint: &str| Problem { path: PATH.to_owned(), message, hint: hint.to_owned() };
    let mut reader = match csv::ReaderBuilder::new().delimiter(delimiter(file)).trim(csv::Trim::All).from_path(file) {
        Ok(reader) => reader,
        Err(error) => {
            return Err(ConfigError { problems: vec![problem(format!("{file}: {error}"), "give a CSV file of recipient_id and slot")] });
        }
    };
    let place = |headers: &csv::StringRecord, name: &str| headers.iter().position(|header| header == name);
    let headers = reader.headers().map_err(|error| ConfigError { problems: vec![problem(format!("{file}: {error}"), "")] })?.clone();
    let (Some(recipient), Some(slot)) = (place(&headers, "recipient_id"), place(&headers, "slot")) else {
        let found = headers.iter().collect::<Vec<_>>().join(", ");
        return Err(ConfigError {
            problems: vec![problem(format!("{file}: has the columns {found}"), "it needs the columns recipient_id and slot")],
        });
    };
    let mut table: Vec<u16> = Vec::new();
    let mut more = 0;
    let mut tell = |row: u64, message: String, hint: String| {
        if problems.len() < TOLD {
            problems.push(problem(format!("{file}, row {row}: {message}"), &hint));
        } else {
            more += 1;
        }
    };
    for (row, record) in (1..).zip(reader.records()) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                tell(row, error.to_string(), String::new());
                continue;
            }
        };
        let (id, text) = (record.get(recipient).unwrap_or(""), record.get(slot).unwrap_or(""));
        let Some(actor) = actor_of(id).filter(|actor| *actor < users) else {
            tell(row, format!("`{id}` is not a recipient of the scenario"), format!("there are {users}, from synth_user_01000 on"));
            continue;
        };
        // Where only doubles can be blank, whole numbers have a fraction of zeros.
        let whole = text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|byte| byte == b'0')).map_or(text, |(whole, _)| whole);
        let Some(slot) = whole.parse::<usize>().ok().filter(|slot| *slot < slots) else {
            tell(row, format!("`{text}` is not a slot"), format!("must be from 0 to {}", slots - 1));
            continue;
        };
        let actor = actor as usize;
        if table.len() <= actor {
            table.resize(actor + 1, NO_SLOT);
        }
        if table[actor] == NO_SLOT {
            table[actor] = slot as u16;
        } else {
            tell(row, format!("`{id}` has a slot already"), "leave one of the rows out".to_owned());
        }
    }
    if more > 0 {
        problems.push(problem(format!("{file}: {more} further problems"), ""));
    }
    if problems.is_empty() { Ok(model.with_slots(Arc::from(table))) } else { Err(ConfigError { problems }) }
}
