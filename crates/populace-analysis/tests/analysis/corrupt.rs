//! Files that are corrupt, cut off, or unpack without end.

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use populace_analysis::source::{As, Source, TableSource, Want};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Set: the long form, with so many values for each byte.
const LONG: &str = "POPULACE_FAULT_ROUNDS";
/// Set in the process whose memory is measured: where its files are.
const MEASURED: &str = "POPULACE_CORRUPT_MEASURED";
/// The most memory of a process that reads, bytes.
const MOST_MEMORY: u64 = 256 << 20;

const WANTS: [Want; 6] = [
    Want::new("id", As::Int),
    Want::optional("name", As::Text),
    Want::optional("kind", As::Text),
    Want::optional("at", As::Instant),
    Want::optional("score", As::Float),
    Want::optional("flag", As::Bool),
];

fn batch(rows: i64) -> RecordBatch {
    let mut kinds = StringDictionaryBuilder::<Int32Type>::new();
    (0..rows).for_each(|row| kinds.append_value(["sent", "opened"][row as usize % 2]));
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("name", Arc::new((0..rows).map(|row| (row % 3 > 0).then(|| format!("name {row}"))).collect::<StringArray>())),
        ("kind", Arc::new(kinds.finish())),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(0..rows).with_timezone("UTC"))),
        ("score", Arc::new((0..rows).map(|row| (row % 4 > 0).then_some(row as f64)).collect::<Float64Array>())),
        ("flag", Arc::new((0..rows).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter(columns.map(|(name, column)| (name, column))).unwrap()
}

fn arrow(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), batch.schema_ref(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn parquet(batch: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// Small sound files of every format, each with its ending.
fn sound() -> Vec<(&'static str, Vec<u8>)> {
    let rows = batch(7);
    let properties = |compression| WriterProperties::builder().set_compression(compression).build();
    let csv = "id,name,kind,at,score,flag\n1,\"a \"\"b\"\"\",sent,2026-01-31T09:15:00Z,1.5,true\n2,,opened,,,false\n";
    let lines = "{\"id\":1,\"name\":\"a\",\"kind\":\"sent\",\"score\":1.5}\n{\"id\":2,\"flag\":true,\"name\":null}\n";
    vec![
        ("arrow", arrow(&rows, None)),
        ("arrow", arrow(&rows, Some(CompressionType::ZSTD))),
        ("feather", arrow(&rows, Some(CompressionType::LZ4_FRAME))),
        ("parquet", parquet(&rows, properties(Compression::UNCOMPRESSED))),
        ("parquet", parquet(&rows, properties(Compression::ZSTD(ZstdLevel::default())))),
        ("parquet", parquet(&rows, WriterProperties::builder().set_dictionary_enabled(false).set_compression(Compression::SNAPPY).build())),
        ("csv", csv.into()),
        ("csv.gz", packed("gz", |file| file.write_all(csv.as_bytes()))),
        ("csv.zst", packed("zst", |file| file.write_all(csv.as_bytes()))),
        ("jsonl", lines.into()),
        ("jsonl.zst", packed("zst", |file| file.write_all(lines.as_bytes()))),
        ("json", format!("[{}]", lines.trim().replace('\n', ",\n ")).into()),
    ]
}

fn packed(ending: &str, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Vec<u8> {
    if ending == "gz" {
        let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        write(&mut BufWriter::new(&mut file)).unwrap();
        return file.finish().unwrap();
    }
    let mut file = zstd::Encoder::new(Vec::new(), 1).unwrap();
    write(&mut BufWriter::new(&mut file)).unwrap();
    file.finish().unwrap()
}

/// Reads a file as every command does; an error names the file.
fn read(path: &Path) -> Result<usize, String> {
    let batches =
        TableSource::file(path).and_then(|table| table.read(&WANTS).map(|batches| batches.map(|batch| batch.map(|rows| rows.num_rows()))));
    let rows = batches.and_then(|mut batches| batches.try_fold(0, |sum, rows| Ok(sum + rows?)));
    let names_it = |told: &String| {
        assert!(told.contains(path.file_name().unwrap().to_str().unwrap()), "names no file: {told}");
        assert!(!told.contains('\n') || told.contains("hint: "), "{told}");
    };
    // `inspect` shows the first rows of what a run has written, and says that it cannot where it cannot.
    let _ = populace_io::text::first_rows(path, 3).map_err(|error| error.to_string()).inspect_err(names_it);
    rows.map_err(|error| error.to_string()).inspect_err(names_it)
}

/// Runs a test of this file in a process of its own, which finds files in `place`, and gives what it has printed.
fn measured(test: &str, place: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("corrupt::{test}"), "--nocapture", "--test-threads", "1"])
        .env(MEASURED, place)
        .output()
        .unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !told.contains("panicked"), "{told}");
    told
}

/// Holds the most memory that this process ever had against the bound.
fn check_memory() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let most =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
    assert!(most <= MOST_MEMORY, "took {} MiB", most >> 20);
    println!("most memory: {} MiB", most >> 20);
}

#[test]
fn no_changed_byte_and_no_cut_panics_or_takes_memory() {
    let directory = tempfile::tempdir().unwrap();
    if std::env::var_os(MEASURED).is_none() {
        return print!("{}", measured("no_changed_byte_and_no_cut_panics_or_takes_memory", directory.path()));
    }
    let rounds: Option<usize> = std::env::var(LONG).ok().map(|rounds| rounds.parse().unwrap());
    for (number, (ending, bytes)) in sound().into_iter().enumerate() {
        let path = directory.path().join(format!("file-{number}.{ending}"));
        fs::write(&path, &bytes).unwrap();
        assert!(read(&path).is_ok(), "{ending}: {:?}", read(&path));
        let (mut tried, mut refused) = (0, 0);
        let mut attempt = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            tried += 1;
            refused += usize::from(read(&path).is_err());
        };
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            let values: Vec<u8> = match rounds {
                Some(rounds) => (1..=rounds.min(255)).map(|round| bytes[at].wrapping_add(round as u8)).collect(),
                None => vec![if at % 2 == 0 { 0xff } else { bytes[at] ^ 0x41 }],
            };
            for value in values.into_iter().filter(|value| *value != bytes[at]) {
                changed[at] = value;
                attempt(&changed);
            }
            if rounds.is_some() || at % 16 == 0 {
                attempt(&bytes[..at]);
            }
        }
        println!("{ending}: {tried} files, {refused} refused, 0 failed");
        assert!(refused > tried / 100, "{ending}: {refused} of {tried}");
    }
    check_memory();
}

/// Files that are much larger than they look.
fn bombs(directory: &Path) -> Vec<std::path::PathBuf> {
    const MIB: usize = 1 << 20;
    let repeated = |piece: &'static [u8], mib: usize| {
        move |file: &mut dyn Write| {
            let block = piece.repeat(MIB / piece.len());
            (0..mib).try_for_each(|_| file.write_all(&block))
        }
    };
    let after = |head: &'static str, piece: &'static [u8]| {
        move |file: &mut dyn Write| file.write_all(head.as_bytes()).and_then(|()| repeated(piece, 300)(file))
    };
    let zeros = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![0; 12 * MIB])) as ArrayRef)]).unwrap();
    let one_page = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(1 << 30)
        .set_data_page_row_count_limit(1 << 30)
        .set_write_batch_size(1 << 30)
        .set_max_row_group_row_count(Some(1 << 30));
    let head = "id,name,kind,at,score,flag\n";
    let files = [
        ("line.csv.gz", packed("gz", repeated(b"x", 300))),
        ("cell.csv.zst", packed("zst", after(head, b"x"))),
        ("quote.csv.zst", packed("zst", after("id,name,kind,at,score,flag\n1,\"", b"a\n"))),
        ("commas.csv.zst", packed("zst", repeated(b",", 300))),
        ("names.csv.zst", packed("zst", after("id,\"", b"a\n"))),
        ("list.jsonl.zst", packed("zst", after("{\"id\":", b"["))),
        ("items.jsonl.gz", packed("gz", after("{\"id\":[", b"[],"))),
        ("text.json", b"[".repeat(64 * MIB)),
        ("object.json", [&b"[{\"id\":\""[..], &b"x".repeat(64 * MIB)].concat()),
        ("zeros.arrow", arrow(&zeros, Some(CompressionType::ZSTD))),
        ("zeros.parquet", parquet(&zeros, one_page.build())),
    ];
    files
        .into_iter()
        .map(|(name, bytes)| (directory.join(name), bytes))
        .map(|(path, bytes)| fs::write(&path, bytes).map(|()| path).unwrap())
        .collect()
}

#[test]
fn what_unpacks_without_end_is_refused() {
    let Some(place) = std::env::var_os(MEASURED) else {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(bombs(directory.path()).len(), 11);
        return print!("{}", measured("what_unpacks_without_end_is_refused", directory.path()));
    };
    let mut files: Vec<_> = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let told = read(&path).unwrap_err();
        println!("{told}");
        check_memory();
    }
}

#[test]
fn large_batches_are_cut_where_records_end() {
    // Rows of 60 KB with line breaks in them: no batch holds them all. Blanks around a text are no part of it, those within are.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.csv");
    let cell = format!("\" {}z \"", "a, \"\"b\"\"\r\n".repeat(6_000));
    let text: String = std::iter::once("id,name\n".to_owned()).chain((0..600).map(|row| format!("{row},{cell}\n"))).collect();
    fs::write(&path, text).unwrap();
    let wants = [Want::new("id", As::Int), Want::new("name", As::Text)];
    let mut ids = Vec::new();
    let mut batches = 0;
    for batch in TableSource::file(&path).unwrap().read(&wants).unwrap() {
        use populace_analysis::source::Columns;
        let batch = batch.unwrap();
        batches += 1;
        ids.extend(batch.int("id").values().iter().copied());
        assert!(batch.text("name").iter().all(|name| name.is_some_and(|name| name.len() == 6_000 * 8 + 1)));
    }
    assert_eq!(ids, (0..600).collect::<Vec<_>>());
    assert!(batches > 3, "{batches}");
    assert!(Source::open(directory.path()).is_ok());
}
