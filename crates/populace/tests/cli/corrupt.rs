//! Corrupt files through the program: one message and exit code 2, or what is wrong is found. `POPULACE_FAULT_ROUNDS=N` is the long form.

use super::support::{self, Scratch, generate, populace, text};
use std::fs;

/// Files of each format and command in the short form.
const FILES: usize = 6;

#[test]
fn a_corrupt_file_ends_in_one_message_whatever_reads_it() {
    let rounds = std::env::var("POPULACE_FAULT_ROUNDS").map_or(1, |rounds| rounds.parse().expect("POPULACE_FAULT_ROUNDS: a number"));
    let scratch = Scratch::new("corrupt");
    let (out, predictions, verdicts) = (scratch.path("out"), scratch.path("predictions.csv"), scratch.path("verdicts.json"));
    let whole = scratch.path("csv");
    let run = ["-n", "4", "-d", "4", "-s", "3"];
    generate("email", &whole, &[&run[..], &["-f", "csv"]].concat());
    fs::write(&predictions, support::predictions(&whole.join("events.csv"))).unwrap();
    let (mut tried, mut refused) = (0, 0);
    for format in ["csv", "arrow", "parquet"] {
        let data = scratch.path(format);
        generate("email", &data, &[&run[..], &["-f", format, "--overwrite"]].concat());
        let path = data.join(format!("events.{format}"));
        let sound = fs::read(&path).unwrap();
        let [directory, out, predictions, verdicts] = [&data, &out, &predictions, &verdicts].map(|path| path.to_str().unwrap());
        let commands = [
            &["inspect", directory][..],
            &["verify", directory, "-o", verdicts, "--no-progress"],
            &["features", directory, "-q", "--overwrite", "-o", out],
            &["score", "open", directory, predictions],
        ];
        for number in 0..FILES * rounds {
            let mut bytes = sound.clone();
            // Spread over the file, and its last bytes, where footers are; every sixth file is cut.
            let at = (number * 7_919 + number / 2 * 104_729) % sound.len();
            let at = if number % 3 == 2 { sound.len() - 1 - at % 64 } else { at };
            if number % 6 == 5 {
                bytes.truncate(at);
            } else {
                bytes[at] = bytes[at].wrapping_add(1 + (number * 37 % 255) as u8);
            }
            fs::write(&path, &bytes).unwrap();
            for command in commands {
                let output = populace(command);
                let told = text(&output.stderr);
                let what = format!("{format}, file {number}, byte {at}, {command:?}: {:?}: {told}", output.status);
                tried += 1;
                assert!(output.status.code().is_some_and(|code| code <= 2) && !told.contains("panicked"), "{what}");
                if output.status.code() == Some(2) {
                    refused += 1;
                    assert!(told.starts_with("error: ") && told.lines().filter(|line| !line.starts_with("hint: ")).count() == 1, "{what}");
                    let left = fs::read_dir(out).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
                    assert_eq!(left.filter(|name| name.contains("partial") || name.starts_with('.')).count(), 0, "{what}");
                }
            }
        }
        fs::write(&path, &sound).unwrap();
        for command in commands {
            assert_ne!(populace(command).status.code(), Some(2), "{command:?}");
        }
    }
    println!("{tried} commands on corrupt files, {refused} of them refused, 0 failed");
    assert!(refused > tried / 10, "{refused} of {tried}");
}
