//! The features of every recipient, to `features.parquet`.

mod computer;

use crate::error::AnalysisError;
use crate::features::{Curve, Options, Report};
use crate::pass::{self, Inputs};
use crate::source::{As, Columns, Side, Source, TableSource, Want};
use crate::stage::Stage;
use crate::watch::Watch;
use arrow_array::builder::{
    BooleanBuilder, FixedSizeListBuilder, Float64Builder, Int16Builder, Int32Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use computer::{COUNT_DAYS, Computer, Event, Features, Rules, WINDOWS};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use populace_core::email::{EmailModel, EventType, INTEREST_FEATURES};
use populace_core::scenario::Scenario;
use populace_core::time::{Instant, MINUTES_PER_WEEK};
use populace_io::dataset::read_manifest;
use populace_io::error::RunError;
use populace_io::files::Format;
use serde::Serialize;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// The file that is written.
const FILE: &str = "features.parquet";
/// Rows of a piece: some hundred recipients.
const PIECE: usize = 8 << 10;
/// Recipients of a row group: about 20 MiB of curves.
const GROUP: usize = 256;

const WANTS: [Want; 4] = [
    Want::new("recipient_id", As::Text),
    Want::new("timestamp", As::Instant),
    Want::new("event_type", As::Text),
    Want::optional("universal_id", As::Text),
];

/// What was computed of the recipients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecipientsReport {
    /// The moment at which the features stand.
    pub computed_at: String,
    /// Recipients.
    pub recipients: u64,
    /// Events that were read.
    pub events: u64,
    /// Events of a type that is not known: they count for nothing.
    pub unknown_types: u64,
    /// Events after the moment: they count for nothing.
    pub later: u64,
    /// Recipients without a click.
    pub without_clicks: u64,
    /// Mean of the recipients' confidence.
    pub mean_confidence: f64,
    /// Least, quartiles and greatest of the recipients' confidence.
    pub confidence_quartiles: [f64; 5],
    /// Recipients in a circuit breaker.
    pub suppressed: u64,
    /// Recipients with an active hot path.
    pub hot: u64,
    /// What was written.
    pub files: Vec<String>,
}

/// Confidences are counted in so many classes for their quartiles, so that memory does not grow with the recipients.
const CLASSES: usize = 10_000;

pub(crate) fn compute(options: &Options, source: &Source, watch: &Watch<'_>) -> Result<Report, AnalysisError> {
    if options.format != Format::Parquet {
        return Err(AnalysisError::input("a curve of 10,080 values fits no row of CSV: the features of recipients are Parquet"));
    }
    let rules = match source.manifest() {
        Some(_) => Rules::of(&source.model::<EmailModel>()?),
        None => Rules::default(),
    };
    let events = source.table("events")?;
    let now = match options.now {
        Some(now) => now,
        None => {
            last_instant(&events, watch)?.ok_or_else(|| AnalysisError::input(format!("{}: there are no events", options.data.display())))?
        }
    };
    let stage = Stage::new(&options.output, vec![FILE.to_owned()], options.overwrite)?;
    let path = stage.path().join(FILE);
    let file = File::create(&path).map_err(|error| AnalysisError::io(&path, error))?;
    let codec = Compression::ZSTD(ZstdLevel::try_new(1).map_err(RunError::from)?);
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_created_by(format!("populace {}", env!("CARGO_PKG_VERSION")))
        .set_dictionary_enabled(false)
        .build();
    let mut writer = ArrowWriter::try_new(file, schema(options.curve), Some(properties)).map_err(RunError::from)?;

    let computer = Computer::new(rules);
    let mut rows = Rows::new(options.curve);
    let mut report = Tally::new(now);
    let side = Side { table: "events", wants: &WANTS, time: Some("timestamp") };
    // A row of features is a hundred times as long as its recipient's events.
    let inputs = Inputs { piece: PIECE, ..Inputs::joined("recipient_id", [side]) };
    let work = |actor: &[Option<RecordBatch>]| Ok(actor[0].as_ref().map(|group| Computed::new(group, &computer, now)));
    pass::each(source, &inputs, watch, "computing", work, |computed: Option<Computed>| {
        let Some(computed) = computed else { return Ok(()) };
        report.add(&computed);
        rows.push(&computed, now);
        if rows.len() >= GROUP {
            writer.write(&rows.take()).map_err(RunError::from)?;
            writer.flush().map_err(RunError::from)?;
        }
        Ok(())
    })?;
    if rows.len() > 0 {
        writer.write(&rows.take()).map_err(RunError::from)?;
    }
    writer.close().map_err(RunError::from)?;
    stage.complete(&[FILE])?;
    Ok(Report::Email(report.finish()))
}

/// The recipients of a run, and the bytes that their curves by the minute take, about; none where the directory holds no run of email.
pub fn curves_by_the_minute(directory: &Path) -> Option<(u64, u64)> {
    /// As measured.
    const BYTES: u64 = 36_500;
    // What is wrong with a manifest is reported when the data is opened.
    let run = read_manifest(directory).ok().flatten()?.identity;
    (run.family == EmailModel::NAME).then_some((run.users, run.users.saturating_mul(BYTES)))
}

/// The moment of the last event.
fn last_instant(events: &TableSource, watch: &Watch<'_>) -> Result<Option<Instant>, AnalysisError> {
    watch.progress.begins("looking for the last event", None);
    let mut last = None;
    for batch in events.read(&[Want::new("timestamp", As::Instant)])? {
        let batch = batch?;
        watch.seen(batch.num_rows() as u64)?;
        last = last.max(batch.instant("timestamp").values().iter().copied().max());
    }
    Ok(last.map(Instant))
}

/// What was computed of a recipient.
struct Computed {
    id: String,
    universal_id: Option<String>,
    events: u64,
    unknown_types: u64,
    later: u64,
    features: Features,
}

impl Computed {
    fn new(group: &RecordBatch, computer: &Computer, now: Instant) -> Self {
        let (times, types) = (group.instant("timestamp"), group.text("event_type"));
        let mut events = Vec::with_capacity(group.num_rows());
        for row in 0..group.num_rows() {
            if let Some(kind) = EventType::ALL.into_iter().find(|kind| kind.name() == types.value(row)) {
                events.push(Event { time: Instant(times.value(row)), kind });
            }
        }
        Self {
            id: group.text("recipient_id").value(0).to_owned(),
            universal_id: group.text("universal_id").iter().flatten().next().map(str::to_owned),
            events: group.num_rows() as u64,
            unknown_types: (group.num_rows() - events.len()) as u64,
            later: events.iter().filter(|event| event.time > now).count() as u64,
            features: computer.compute(&events, now),
        }
    }
}

struct Tally {
    report: RecipientsReport,
    total: f64,
    classes: Vec<u64>,
}

impl Tally {
    fn new(now: Instant) -> Self {
        let report = RecipientsReport {
            computed_at: now.to_string(),
            recipients: 0,
            events: 0,
            unknown_types: 0,
            later: 0,
            without_clicks: 0,
            mean_confidence: 0.0,
            confidence_quartiles: [0.0; 5],
            suppressed: 0,
            hot: 0,
            files: vec![FILE.to_owned()],
        };
        Self { report, total: 0.0, classes: vec![0; CLASSES + 1] }
    }

    fn add(&mut self, computed: &Computed) {
        let features = &computed.features;
        self.report.events += computed.events;
        self.report.unknown_types += computed.unknown_types;
        self.report.later += computed.later;
        self.report.recipients += 1;
        self.report.without_clicks += u64::from(features.last_click.is_none());
        self.report.suppressed += u64::from(features.suppressed_until.is_some());
        self.report.hot += u64::from(features.interested);
        self.total += features.confidence;
        self.classes[(features.confidence * CLASSES as f64).round() as usize] += 1;
    }

    fn finish(mut self) -> RecipientsReport {
        let recipients = self.report.recipients;
        if recipients > 0 {
            self.report.mean_confidence = self.total / recipients as f64;
            for (index, quartile) in self.report.confidence_quartiles.iter_mut().enumerate() {
                let rank = (recipients - 1) * index as u64 / 4;
                let mut below = 0;
                let class = self.classes.iter().position(|count| {
                    below += count;
                    below > rank
                });
                *quartile = class.unwrap_or(CLASSES) as f64 / CLASSES as f64;
            }
        }
        self.report
    }
}

fn moment(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)
}

/// Minutes of one value of a curve; none where curves are not written.
const fn step(curve: Curve) -> Option<usize> {
    match curve {
        Curve::Minute => Some(1),
        Curve::Hour => Some(60),
        Curve::None => None,
    }
}

fn schema(curve: Curve) -> SchemaRef {
    let [active, latest, factor] = INTEREST_FEATURES;
    let mut fields = vec![
        Field::new("recipient_id", DataType::Utf8, false),
        Field::new("universal_id", DataType::Utf8, true),
        moment("computed_at").with_nullable(false),
        Field::new("confidence", DataType::Float64, false),
        Field::new("click_weight", DataType::Float64, false),
    ];
    for window in 1..=WINDOWS {
        fields.push(Field::new(format!("window_{window}_start_minute"), DataType::Int16, true));
        fields.push(Field::new(format!("window_{window}_probability"), DataType::Float64, true));
    }
    fields.extend(["last_click_at", "last_open_at", "last_delivered_at"].map(moment));
    for what in ["clicks", "opens", "delivered"] {
        fields.extend(COUNT_DAYS.map(|days| Field::new(format!("{what}_{days}d"), DataType::Int32, false)));
    }
    fields.extend([
        Field::new("suppressed", DataType::Boolean, false),
        moment("suppressed_until"),
        Field::new(active, DataType::Boolean, false),
        moment(latest),
        Field::new(factor, DataType::Float64, false),
    ]);
    fields.extend(step(curve).map(|step| {
        let value = Arc::new(Field::new_list_field(DataType::Float64, true));
        Field::new("curve", DataType::FixedSizeList(value, (MINUTES_PER_WEEK / step) as i32), false)
    }));
    Arc::new(Schema::new(fields))
}

/// Rows of the file.
struct Rows {
    recipient: StringBuilder,
    universal: StringBuilder,
    now: TimestampMicrosecondBuilder,
    confidence: Float64Builder,
    weight: Float64Builder,
    windows: [(Int16Builder, Float64Builder); WINDOWS],
    last: [TimestampMicrosecondBuilder; 3],
    counts: [[Int32Builder; 3]; 3],
    suppressed: BooleanBuilder,
    suppressed_until: TimestampMicrosecondBuilder,
    hot: BooleanBuilder,
    last_hot: TimestampMicrosecondBuilder,
    hot_factor: Float64Builder,
    curve: Curve,
    curves: FixedSizeListBuilder<Float64Builder>,
}

impl Rows {
    fn new(curve: Curve) -> Self {
        let moments = || TimestampMicrosecondBuilder::new().with_timezone("UTC");
        Self {
            recipient: StringBuilder::new(),
            universal: StringBuilder::new(),
            now: moments(),
            confidence: Float64Builder::new(),
            weight: Float64Builder::new(),
            windows: Default::default(),
            last: [(); 3].map(|()| moments()),
            counts: Default::default(),
            suppressed: BooleanBuilder::new(),
            suppressed_until: moments(),
            hot: BooleanBuilder::new(),
            last_hot: moments(),
            hot_factor: Float64Builder::new(),
            curve,
            curves: FixedSizeListBuilder::new(Float64Builder::new(), (MINUTES_PER_WEEK / step(curve).unwrap_or(1)) as i32),
        }
    }

    fn len(&self) -> usize {
        arrow_array::builder::ArrayBuilder::len(&self.recipient)
    }

    fn push(&mut self, computed: &Computed, now: Instant) {
        let features = &computed.features;
        self.recipient.append_value(&computed.id);
        self.universal.append_option(computed.universal_id.as_ref());
        self.now.append_value(now.0);
        self.confidence.append_value(features.confidence);
        self.weight.append_value(features.click_weight);
        for (index, (start, probability)) in self.windows.iter_mut().enumerate() {
            let window = features.windows.get(index);
            start.append_option(window.map(|window| window.start as i16));
            probability.append_option(window.map(|window| window.probability));
        }
        for (last, moment) in self.last.iter_mut().zip([features.last_click, features.last_open, features.last_delivered]) {
            last.append_option(moment);
        }
        for (counts, values) in self.counts.iter_mut().zip([features.clicks, features.opens, features.delivered]) {
            for (count, value) in counts.iter_mut().zip(values) {
                count.append_value(value as i32);
            }
        }
        self.suppressed.append_value(features.suppressed_until.is_some());
        self.suppressed_until.append_option(features.suppressed_until);
        self.hot.append_value(features.interested);
        self.last_hot.append_option(features.last_interest);
        self.hot_factor.append_value(features.interest_factor);
        if let Some(step) = step(self.curve) {
            features.curve.chunks(step).for_each(|minutes| self.curves.values().append_value(minutes.iter().sum()));
            self.curves.append(true);
        }
    }

    fn take(&mut self) -> RecordBatch {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.recipient.finish()),
            Arc::new(self.universal.finish()),
            Arc::new(self.now.finish()),
            Arc::new(self.confidence.finish()),
            Arc::new(self.weight.finish()),
        ];
        for (start, probability) in &mut self.windows {
            columns.push(Arc::new(start.finish()));
            columns.push(Arc::new(probability.finish()));
        }
        columns.extend(self.last.iter_mut().map(|last| Arc::new(last.finish()) as ArrayRef));
        columns.extend(self.counts.iter_mut().flatten().map(|count| Arc::new(count.finish()) as ArrayRef));
        columns.push(Arc::new(self.suppressed.finish()));
        columns.push(Arc::new(self.suppressed_until.finish()));
        columns.push(Arc::new(self.hot.finish()));
        columns.push(Arc::new(self.last_hot.finish()));
        columns.push(Arc::new(self.hot_factor.finish()));
        if self.curve != Curve::None {
            columns.push(Arc::new(self.curves.finish()));
        }
        RecordBatch::try_new(schema(self.curve), columns).unwrap_or_else(|error| panic!("columns of {FILE}: {error}"))
    }
}
