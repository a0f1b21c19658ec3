//! What was counted apart, put together.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Tallies that can be put together.
pub(crate) trait Merge {
    /// Takes what another has counted after this one.
    fn combine(&mut self, later: Self);
}

/// Merges each of the fields of a struct; those named after `same` are what both have in common. A field that is forgotten does not compile.
macro_rules! merge_fields {
    ($type:ty { $($field:ident),* $(,)? } $(same { $($same:ident),* $(,)? })?) => {
        impl $crate::stats::Merge for $type {
            fn combine(&mut self, later: Self) {
                let Self { $($field,)* $($($same: _,)*)? } = later;
                $($crate::stats::Merge::combine(&mut self.$field, $field);)*
            }
        }
    };
}
pub(crate) use merge_fields;

macro_rules! merge_by_sum {
    ($($type:ty),*) => {
        $(impl Merge for $type {
            fn combine(&mut self, later: Self) {
                *self += later;
            }
        })*
    };
}
merge_by_sum!(u32, u64, i128, f64);

impl Merge for bool {
    fn combine(&mut self, later: Self) {
        *self |= later;
    }
}

/// Place by place.
impl<T: Merge> Merge for Vec<T> {
    fn combine(&mut self, later: Self) {
        let mut later = later.into_iter();
        for (here, there) in self.iter_mut().zip(&mut later) {
            here.combine(there);
        }
        self.extend(later);
    }
}

impl<T: Merge, const N: usize> Merge for [T; N] {
    fn combine(&mut self, later: Self) {
        for (here, there) in self.iter_mut().zip(later) {
            here.combine(there);
        }
    }
}

impl<A: Merge, B: Merge> Merge for (A, B) {
    fn combine(&mut self, later: Self) {
        self.0.combine(later.0);
        self.1.combine(later.1);
    }
}

impl<T: Merge> Merge for Option<T> {
    fn combine(&mut self, later: Self) {
        match (self.as_mut(), later) {
            (Some(here), Some(there)) => here.combine(there),
            (None, Some(there)) => *self = Some(there),
            (_, None) => {}
        }
    }
}

impl<K: Ord, V: Merge> Merge for BTreeMap<K, V> {
    fn combine(&mut self, later: Self) {
        for (key, there) in later {
            match self.get_mut(&key) {
                Some(here) => here.combine(there),
                None => drop(self.insert(key, there)),
            }
        }
    }
}

impl<K: Eq + Hash, V: Merge> Merge for HashMap<K, V> {
    fn combine(&mut self, later: Self) {
        for (key, there) in later {
            match self.get_mut(&key) {
                Some(here) => here.combine(there),
                None => drop(self.insert(key, there)),
            }
        }
    }
}

/// The value of a key, which it gets if it has none: a key that is known costs no allocation.
pub(crate) fn entry<'m, V: Default>(map: &'m mut BTreeMap<String, V>, key: &str) -> &'m mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("it was put there")
}
