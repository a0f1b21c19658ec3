//! `populace consume`.

use super::{progress, sinks};
use crate::args::ConsumeArgs;
use crate::failure::Failure;
use crate::show;
use populace_flow::FlowError;
use populace_flow::clickhouse::ClickHouseTable;
use populace_flow::consume::{Consume, Counts, Limits, Progress, Witness, listed};
use populace_flow::http::{Access, WatchedAt};
use populace_flow::kafka::{KafkaConsumer, KafkaDeadLetters};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) fn run(arguments: &ConsumeArgs) -> Result<(), Failure> {
    let (from, to) = (sinks::target("--from", &arguments.from, "kafka")?, sinks::target("--to", &arguments.to, "clickhouse")?);
    let limits = Limits {
        messages: arguments.batch_events as usize,
        bytes: arguments.batch_bytes as usize,
        wait: Duration::from_millis(arguments.batch_ms.into()),
        timeout: Duration::from_secs(arguments.timeout),
    };
    let progress = Progress::default();
    let shown = Shown { latest: None, quiet: arguments.quiet, progress: progress.clone(), stuck: BTreeMap::new() };
    let (at, mut witness): (_, Box<dyn Witness>) = match arguments.listen {
        None => (None, Box::new(shown)),
        Some(address) => {
            let access = super::serve::with_token_of_environment(Access::open())?;
            let (at, watched) = WatchedAt::start(access, address, progress.clone(), shown)?;
            note!("status at http://{} (/health, /ready, /metrics)", at.address);
            (Some(at), Box::new(watched))
        }
    };
    let table = ClickHouseTable::open(&to)?;
    let letters = KafkaDeadLetters::open(&from, limits.timeout)?;
    let mut consumer = KafkaConsumer::open(&from, limits.timeout, progress.clone())?;
    let stop = progress::stop_flag()?;
    let mut consume = Consume::new(&mut consumer, &table, &letters, limits, &stop).with_progress(progress);
    let counts = consume.run(arguments.once, witness.as_mut());
    if let Some(at) = at {
        at.stop();
    }
    let counts = counts?;
    note!("{}", line(&counts));
    progress::ended(&stop, "what was read is stored or comes again; the next consumer of the group goes on")
}

/// What became of all messages.
fn line(counts: &Counts) -> String {
    let Counts { read, stored, known, erased, dead, suspected, batches } = counts;
    let left_out = if *erased > 0 { format!(" + {} of erased people", show::thousands(*erased)) } else { String::new() };
    let [read, stored, known, dead, suspected, batches] =
        [read, stored, known, dead, suspected, batches].map(|count| show::thousands(*count));
    let sign = if counts.balanced() { "=" } else { "≠" };
    format!(
        "{read} read {sign} {stored} stored + {known} known{left_out} + {dead} dead letters; {suspected} suspected of no human; {batches} batches"
    )
}

/// Counts and lag, at most every second.
struct Shown {
    latest: Option<Instant>,
    quiet: bool,
    progress: Progress,
    /// What was last known not to go on.
    stuck: BTreeMap<i32, String>,
}

impl Shown {
    /// How much is to come, if that can be asked.
    fn to_come(&self) -> String {
        self.progress.lag().map_or_else(String::new, |lag| format!("; {} to come", show::thousands(lag)))
    }
}

impl Witness for Shown {
    fn stored(&mut self, counts: &Counts) {
        if !self.quiet && self.latest.is_none_or(|latest| latest.elapsed() >= Duration::from_secs(1)) {
            self.latest = Some(Instant::now());
            note!("{}{}", line(counts), self.to_come());
        }
    }

    fn waiting(&mut self, why: &FlowError) {
        note!("waiting: {why}{}", self.to_come());
    }

    fn held(&mut self, partitions: &[i32]) {
        note!("waiting: {} of the topic: another member of the group has them", listed(partitions));
    }

    fn stuck(&mut self, topic: &str, partitions: &BTreeMap<i32, String>) {
        for (partition, why) in partitions.iter().filter(|(partition, why)| self.stuck.get(partition) != Some(why)) {
            note!("{topic}, partition {partition} does not go on: {why}");
        }
        for partition in self.stuck.keys().filter(|partition| !partitions.contains_key(partition)) {
            note!("{topic}, partition {partition} goes on");
        }
        self.stuck.clone_from(partitions);
    }
}
