//! Schedules in every format say the same.

use crate::support;
use arrow_array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use populace_analysis::families::policy_schedule;
use populace_analysis::watch::Watch;
use populace_core::time::{Date, HOUR, MINUTE, SECOND};
use populace_io::dataset;
use populace_io::files::sha256_of;
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The tables of a run that mails by a file.
fn by_schedule(file: &Path) -> Value {
    let policy = format!("{{base: {{type: schedule, sha256: '{}'}}}}", sha256_of(file).unwrap());
    let document = support::document("email", &[("policy", &policy), ("population.users", "20"), ("window.days", "20")]);
    let generator = policy_schedule(&document, file, &Watch::none(1)).unwrap();
    let run = tempfile::tempdir().unwrap();
    dataset::generate(run.path(), &document, generator.as_ref(), 7, &AtomicBool::new(false)).unwrap();
    let manifest: Value = serde_json::from_slice(&fs::read(run.path().join("manifest.json")).unwrap()).unwrap();
    manifest["tables"].as_object().unwrap().iter().map(|(name, table)| (name.clone(), table["digest"].clone())).collect()
}

#[test]
fn a_schedule_says_the_same_in_every_format() {
    let start = Date::from_ymd(2025, 10, 3).unwrap().midnight();
    let rows: Vec<(String, i64)> = (0..200_i64)
        .map(|row| (format!("synth_user_{:05}", 1_000 + row % 20), start.plus(row / 20 * 24 * HOUR + row * 7 * MINUTE + row * SECOND).0))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let text = |micros: i64| populace_core::time::Instant(micros).to_string();
    let lines: Vec<String> = rows.iter().map(|(id, time)| format!("{id},{}", text(*time))).collect();
    fs::write(path("plan.csv"), format!("recipient_id,send_time\n{}\n", lines.join("\n"))).unwrap();
    let lines: Vec<String> =
        rows.iter().map(|(id, time)| format!("{{\"recipient_id\":\"{id}\",\"send_time\":\"{}\"}}\n", text(*time))).collect();
    fs::write(path("plan.jsonl"), lines.concat()).unwrap();

    let ids: Arc<StringArray> = Arc::new(rows.iter().map(|(id, _)| Some(id.as_str())).collect());
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(_, time)| *time)).with_timezone("UTC");
    let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = vec![Field::new("recipient_id", DataType::Utf8, false), Field::new("send_time", kind, false)];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![ids, Arc::new(times)]).unwrap();
    let parquet = File::create(path("plan.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(parquet, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(File::create(path("plan.arrow")).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();

    let of_csv = by_schedule(&path("plan.csv"));
    for name in ["plan.jsonl", "plan.parquet", "plan.arrow"] {
        assert_eq!(by_schedule(&path(name)), of_csv, "{name}");
    }
}
