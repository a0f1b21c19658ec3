//! Events of ClickHouse's table, for their features.

use super::EventPages;
use crate::embedded::PageEnd;
use crate::error::FlowError;
use crate::event::{Event, Fields, reasons};
use populace_core::time::Instant;
use populace_io::sinks::Target;
use populace_io::sinks::clickhouse::{Server, quoted};
use populace_io::tables::email::{EVENT_COLUMNS, EVENTS_TABLE as EMAIL_EVENTS};
use std::time::Duration;

/// How long one request may take with its tries.
const REQUEST: Duration = Duration::from_secs(30);

/// The table `email_events` of a server.
pub struct ClickHouseEvents(Server);

impl ClickHouseEvents {
    /// Logs in at `clickhouse://USER:PASSWORD@HOST:PORT/DATABASE`.
    ///
    /// # Errors
    /// It is no such URL, the server is not to be reached, or refuses the login.
    pub fn open(url: &str) -> Result<Self, FlowError> {
        Self::at(&Target::parse(url)?)
    }

    /// As [`open`](Self::open), of a URL that was parsed.
    ///
    /// # Errors
    /// As there.
    pub fn at(target: &Target) -> Result<Self, FlowError> {
        Ok(Self(Server::open(target, REQUEST)?))
    }

    fn ask(&self, sql: &str) -> Result<String, FlowError> {
        Ok(self.0.run(sql)?)
    }

    fn event(&self, line: &str) -> Result<Event<'static>, FlowError> {
        let wrong = |why: String| FlowError::Refused(format!("{}: {EMAIL_EVENTS} holds a row that is not an event: {why}", self.0.shown()));
        let mut row: Fields<'_> = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        row.parse_metadata();
        Event::from_fields(row).map(Event::into_owned).map_err(|problems| wrong(reasons(&problems)))
    }
}

impl EventPages for ClickHouseEvents {
    fn page(&self, after: &PageEnd, most: usize) -> Result<(Vec<Event<'static>>, PageEnd), FlowError> {
        let columns = EVENT_COLUMNS.map(|column| column.name).join(", ");
        let key = "universal_id, timestamp, toString(event_id)";
        let beyond = if *after == PageEnd::default() {
            String::new()
        } else {
            let PageEnd(person, at, id) = after;
            format!("WHERE ({key}) > ({}, parseDateTime64BestEffort({}, 3, 'UTC'), {})", quoted(person), quoted(at), quoted(id))
        };
        let sql = format!(
            "SELECT {columns} FROM {EMAIL_EVENTS} FINAL {beyond} ORDER BY {key} LIMIT {most} \
             SETTINGS date_time_output_format = 'iso', output_format_json_quote_64bit_integers = 0 FORMAT JSONEachRow"
        );
        let events = self.ask(&sql)?.lines().map(|line| self.event(line)).collect::<Result<Vec<_>, _>>()?;
        let end = events.last().map_or_else(PageEnd::default, PageEnd::of);
        Ok((events, end))
    }

    fn recipient_of(&self, universal_id: &str) -> Result<Option<String>, FlowError> {
        let sql = format!(
            "SELECT recipient_id FROM {EMAIL_EVENTS} WHERE universal_id = {} ORDER BY timestamp, toString(event_id) LIMIT 1 FORMAT TabSeparatedRaw",
            quoted(universal_id)
        );
        Ok(self.ask(&sql)?.lines().next().map(str::to_owned))
    }

    fn last(&self) -> Result<Option<Instant>, FlowError> {
        let sql = format!("SELECT toUnixTimestamp64Micro(max(timestamp)), count() FROM {EMAIL_EVENTS} FORMAT TabSeparatedRaw");
        let answer = self.ask(&sql)?;
        let numbers: Vec<i64> = answer.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        Ok(numbers.first().filter(|_| numbers.get(1).is_some_and(|count| *count > 0)).map(|micros| Instant(*micros)))
    }
}
