//! The guides are followed: every `sh` block of `docs/guide/*.md` runs, in one directory a guide, and a `text` block right after it is
//! what it printed on standard output. `UPDATE_DOCS=1` writes those blocks.
//!
//! So is the README, but for the lines that build the program. A line `# exit code N` says how the block ends if not with 0. A `python pandas`
//! block runs after those before it, in a Python with pandas. A block of another language, or of `console`, is not run.

use super::support::{Scratch, text};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A guide as its lines, of which `update` may replace some.
struct Guide {
    path: PathBuf,
    lines: Vec<String>,
}

/// A fenced block: the numbers of the lines between the fences.
struct Block {
    language: String,
    first: usize,
    end: usize,
}

impl Guide {
    fn new(path: PathBuf) -> Self {
        let lines = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        Self { path, lines }
    }

    /// The first block that begins at or after a line.
    fn block(&self, from: usize) -> Option<Block> {
        let opens = (from..self.lines.len()).find(|&line| self.lines[line].starts_with("```"))?;
        let closes = (opens + 1..self.lines.len()).find(|&line| self.lines[line] == "```");
        let end = closes.unwrap_or_else(|| panic!("{}: line {}: a block without an end", self.path.display(), opens + 1));
        Some(Block { language: self.lines[opens][3..].to_owned(), first: opens + 1, end })
    }

    /// The block of output that belongs to the one before it: nothing but blank lines lies between.
    fn output_after(&self, block: &Block) -> Option<Block> {
        let next = self.block(block.end + 1).filter(|next| next.language == "text")?;
        self.lines[block.end + 1..next.first - 1].iter().all(|line| line.trim().is_empty()).then_some(next)
    }

    fn follow(mut self, update: bool) {
        let name = self.path.file_stem().unwrap().to_str().unwrap().to_owned();
        let scratch = Scratch::new(&format!("guide-{name}"));
        let mut changed = false;
        let mut scripts: Vec<String> = Vec::new();
        let mut line = 0;
        while let Some(block) = self.block(line) {
            line = block.end + 1;
            if block.language == "python pandas" {
                scripts.extend(self.lines[block.first..block.end].iter().cloned().chain([String::new()]));
                let script = scratch.path("script.py");
                fs::write(&script, scripts.join("\n")).unwrap();
                let output = Command::new(python()).arg(&script).current_dir(scratch.path(".")).output().unwrap();
                assert!(output.status.success(), "{name}.md, line {}: {}", block.first, text(&output.stderr));
                fs::remove_file(script).unwrap();
            }
            if block.language != "sh" {
                continue;
            }
            let is_build = |line: &&String| line.starts_with("cargo ") || line.starts_with("export PATH=");
            let lines: Vec<String> = self.lines[block.first..block.end].iter().filter(|line| !is_build(line)).cloned().collect();
            let printed = run(&lines, &scratch.path("."), &format!("{name}.md, line {}", block.first));
            let Some(output) = self.output_after(&block) else { continue };
            let printed: Vec<String> = printed.lines().map(|line| line.trim_end().to_owned()).collect();
            line = output.end + 1;
            if printed == self.lines[output.first..output.end] {
                continue;
            }
            assert!(
                update,
                "{name}.md, line {}: run the tests once with UPDATE_DOCS=1; the output is\n{}",
                output.first,
                printed.join("\n")
            );
            changed = true;
            line = output.first + printed.len() + 1;
            self.lines.splice(output.first..output.end, printed);
        }
        if changed {
            fs::write(&self.path, self.lines.join("\n") + "\n").unwrap();
        }
    }
}

/// A Python with pandas: that of the path, or one made for the guides.
fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
        let succeeds = |program: &Path, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output.unwrap_or_else(|error| panic!("{}: {error}; the guides need Python 3", program.display())).status.success()
        };
        let known = PathBuf::from("python3");
        if succeeds(&known, &["-c", "import pandas"]) {
            return known;
        }
        let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guides");
        let own = environment.join("bin/python");
        if !own.is_file() || !succeeds(&own, &["-c", "import pandas"]) {
            assert!(succeeds(&known, &["-m", "venv", environment.to_str().unwrap()]), "the guides need Python's module venv, or pandas");
            let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pandas>=2.2,<4"];
            assert!(succeeds(&own, &install), "pandas, which the guides need, cannot be installed");
        }
        own
    });
    &PYTHON
}

/// Runs the lines in a shell that finds `populace`, and returns what they print.
fn run(lines: &[String], directory: &Path, place: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_populace")).parent().unwrap();
    let mut path = program.as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let expected: i32 =
        lines.iter().find_map(|line| line.strip_prefix("# exit code ")).map_or(0, |code| code.trim().parse().expect("a number"));
    let mut shell = Command::new("sh");
    let output = shell.args(["-euc", &lines.join("\n")]).current_dir(directory).env("PATH", path).stdin(Stdio::null()).output().unwrap();
    let (printed, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(expected), "{place}:\n{}\nprinted\n{printed}\n{errors}", lines.join("\n"));
    printed
}

#[test]
fn every_guide_can_be_followed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let update = env::var_os("UPDATE_DOCS").is_some();
    let guides = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let guides: Vec<PathBuf> = guides.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    assert!(!guides.is_empty(), "there are guides in {}", folder.display());
    for guide in guides.into_iter().chain([folder.join("../../README.md")]) {
        Guide::new(guide).follow(update);
    }
}
