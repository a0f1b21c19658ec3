//! What is to be said of the rows of a user's own files that are used as they stand.

use super::{Source, values};
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use populace_io::wording::own;
use std::path::PathBuf;
use std::sync::PoisonError;

/// What is to be said where some moments of all lie where no clock can have been, and are used all the same.
pub(crate) fn odd_clocks(all: u64, odd: u64) -> Option<String> {
    match odd {
        0 => None,
        _ if 2 * odd > all => Some(format!(
            "{odd} of {all} rows lie before 1990 or in the future, and were used as most do: {}",
            own("is --time-unit right, and the year?")
        )),
        _ => Some(format!("{odd} of {all} rows lie before 1990 or in the future; is their clock right?")),
    }
}

impl Source {
    /// Begins to count clocks that are wrong.
    pub(crate) fn forget_clocks(&self) {
        *self.shared.clocks.lock().unwrap_or_else(PoisonError::into_inner) = (0, 0);
    }

    /// Counts the moments of a column that no clock can have shown.
    pub(crate) fn see_clocks(&self, times: &ArrayRef) {
        let Some(times) = times.as_primitive_opt::<TimestampMicrosecondType>().filter(|_| !self.shared.own) else { return };
        let odd = times.iter().flatten().filter(|time| !values::is_plausible(*time)).count() as u64;
        let mut clocks = self.shared.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        *clocks = (clocks.0 + times.len() as u64, clocks.1 + odd);
    }

    /// What is to be said of clocks that are wrong, of the rows of the latest pass, and of columns that were taken as null.
    pub(crate) fn oddities(&self) -> Vec<String> {
        let (all, odd) = *self.shared.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let absent = self.shared.absent.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |(path, name): &(PathBuf, &str)| format!("{}: no row has a {name}: it is taken as null in all", path.display());
        odd_clocks(all, odd).into_iter().chain(absent.iter().map(told)).collect()
    }
}
