//! Files that may be corrupt or hostile: every file that is read back is opened here.
//!
//! Lengths that a file states are held against its size before anything is allocated, what decompresses without end is refused, and a
//! panic of a reader becomes the error that names the file.

mod arrow;
mod parquet;
mod text;

pub use arrow::{arrow, arrow_schema};
pub use parquet::{Checked, parquet};
pub use text::{MAX_RECORD, bytes, lines, text};

use crate::error::RunError;
use std::cell::Cell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

/// The most bytes that one page or batch may decompress to where its file is smaller than that.
const MOST_UNPACKED: u64 = 64 << 20;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Reads from the file at `path` by `act`: a panic is an error that names the file, and is not printed.
///
/// # Errors
/// `act` panicked.
pub fn guarded<T>(path: &Path, act: impl FnOnce() -> T) -> Result<T, RunError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(act));
    GUARDED.set(outer);
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        unreadable(path, text.unwrap_or("its reader broke off"))
    })
}

/// The error of a file that is not what its ending says.
pub fn unreadable(path: &Path, error: impl Display) -> RunError {
    let error = error.to_string().replace('\n', " ");
    RunError::Refused(format!("{}: cannot be read: {error}; is it cut off, or not what its ending says?", path.display()))
}
