//! The columns of features.

use super::computer::{COUNT_DAYS, WINDOWS};
use super::{Computed, FILE};
use crate::features::Curve;
use arrow_array::builder::{
    BooleanBuilder, FixedSizeListBuilder, Float64Builder, Int16Builder, Int32Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use populace_core::email::INTEREST_FEATURES;
use populace_core::time::{Instant, MINUTES_PER_WEEK};
use std::sync::Arc;

fn moment(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)
}

/// Minutes of one value of a curve; none where curves are not written.
pub(super) const fn step(curve: Curve) -> Option<usize> {
    match curve {
        Curve::Minute => Some(1),
        Curve::Hour => Some(60),
        Curve::None => None,
    }
}

/// What is told only where there may be something to tell.
#[derive(Clone, Copy)]
pub(super) struct More {
    pub(super) zones: bool,
    pub(super) bounces: bool,
    pub(super) leaving: bool,
}

pub(super) fn schema(curve: Curve, more: More) -> SchemaRef {
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
    if more.zones {
        fields.push(Field::new("timezone", DataType::Utf8, true));
    }
    if more.bounces {
        fields.extend(COUNT_DAYS.map(|days| Field::new(format!("bounced_{days}d"), DataType::Int32, false)));
    }
    if more.leaving {
        fields.extend([Field::new("opted_out", DataType::Boolean, false), moment("opted_out_at")]);
    }
    Arc::new(Schema::new(fields))
}

/// Rows of the file.
pub(super) struct Rows {
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
    more: More,
    /// On whose clock minutes of the week are, null of UTC.
    timezones: StringBuilder,
    /// Bounces.
    bounced: [Int32Builder; 3],
    left: BooleanBuilder,
    left_at: TimestampMicrosecondBuilder,
}

impl Rows {
    pub(super) fn new(curve: Curve, more: More) -> Self {
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
            more,
            timezones: StringBuilder::new(),
            bounced: Default::default(),
            left: BooleanBuilder::new(),
            left_at: moments(),
        }
    }

    pub(super) fn len(&self) -> usize {
        arrow_array::builder::ArrayBuilder::len(&self.recipient)
    }

    pub(super) fn push(&mut self, computed: &Computed, now: Instant) {
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
        self.timezones.append_option(computed.timezone);
        for (count, value) in self.bounced.iter_mut().zip(features.bounced) {
            count.append_value(value as i32);
        }
        self.left.append_value(features.left.is_some());
        self.left_at.append_option(features.left);
    }

    pub(super) fn take(&mut self) -> RecordBatch {
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
        let bounced = self.bounced.each_mut().map(|count| Arc::new(count.finish()) as ArrayRef);
        let left: [ArrayRef; 2] = [Arc::new(self.left.finish()), Arc::new(self.left_at.finish())];
        let timezones: ArrayRef = Arc::new(self.timezones.finish());
        if self.more.zones {
            columns.push(timezones);
        }
        if self.more.bounces {
            columns.extend(bounced);
        }
        if self.more.leaving {
            columns.extend(left);
        }
        RecordBatch::try_new(schema(self.curve, self.more), columns).unwrap_or_else(|error| panic!("columns of {FILE}: {error}"))
    }
}
