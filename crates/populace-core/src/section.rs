//! The sections of a document, each number with its range: what the schema states, what is checked and what a message says come from
//! one line.

use crate::scenario::Checker;
use crate::time::{Date, UtcOffset};
use core::fmt::Debug;
use std::collections::{BTreeMap, BTreeSet};

/// A value of a document.
pub(crate) trait Value {
    /// Checks the ranges of everything in it; `path` is where it is.
    fn check(&self, _path: &str, _checker: &mut Checker) {}

    /// Checks that its numbers lie from `low` to `high`.
    fn within(&self, _path: &str, _low: f64, _high: f64, _checker: &mut Checker) {}

    /// How many items it has.
    fn items(&self) -> usize {
        0
    }
}

/// Values without parts.
macro_rules! leaves {
    ($($type:ty),*) => { $(impl Value for $type {})* };
}

leaves!(bool, String, Date, UtcOffset, BTreeSet<String>);

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Value for $type {
            #[expect(clippy::allow_attributes, reason = "some of the conversions lose nothing")]
            #[allow(clippy::cast_lossless, clippy::cast_precision_loss, trivial_numeric_casts, reason = "ranges end at 10¹²")]
            fn within(&self, path: &str, low: f64, high: f64, checker: &mut Checker) {
                checker.range(path, *self as f64, low, high);
            }
        }
    )* };
}

numbers!(u8, i32, u32, u64, f64);

impl<T: Value> Value for Option<T> {
    fn check(&self, path: &str, checker: &mut Checker) {
        if let Some(value) = self {
            value.check(path, checker);
        }
    }

    fn within(&self, path: &str, low: f64, high: f64, checker: &mut Checker) {
        if let Some(value) = self {
            value.within(path, low, high, checker);
        }
    }

    fn items(&self) -> usize {
        self.as_ref().map_or(0, Value::items)
    }
}

impl<T: Value> Value for Vec<T> {
    fn check(&self, path: &str, checker: &mut Checker) {
        for (index, value) in self.iter().enumerate() {
            value.check(&format!("{path}.{index}"), checker);
        }
    }

    fn within(&self, path: &str, low: f64, high: f64, checker: &mut Checker) {
        for (index, value) in self.iter().enumerate() {
            value.within(&format!("{path}.{index}"), low, high, checker);
        }
    }

    fn items(&self) -> usize {
        self.len()
    }
}

impl<T: Value, const N: usize> Value for [T; N] {}

impl<K: Key, V: Value> Value for BTreeMap<K, V> {
    fn check(&self, path: &str, checker: &mut Checker) {
        for (key, value) in self {
            value.check(&format!("{path}.{}", key.text()), checker);
        }
    }

    fn within(&self, path: &str, low: f64, high: f64, checker: &mut Checker) {
        for (key, value) in self {
            value.within(&format!("{path}.{}", key.text()), low, high, checker);
        }
    }

    fn items(&self) -> usize {
        self.len()
    }
}

/// The key of a map.
pub(crate) trait Key {
    /// As a document writes it.
    fn text(&self) -> String;
}

impl Key for String {
    fn text(&self) -> String {
        self.clone()
    }
}

/// `snake_case` of a variant's name.
pub(crate) fn snake_case(variant: &impl Debug) -> String {
    let mut text = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// `path.key`, or the key alone at the top.
pub(crate) fn join(path: &str, key: &str) -> String {
    let key = key.trim_start_matches("r#");
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Sections of a document: fields with the ranges of their numbers. `[low ..= high]` or `[low ..]` bounds a number, `[len 1 ..= 9]`
/// the items of a list or map, `[each 0 ..= 59]` the numbers in one.
macro_rules! section {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $type:ty
                $([
                    $($low:literal $(..= $high:tt)? $(..)?)?
                    $(len $least:literal ..= $most:literal $(,)?)?
                    $(each $each_low:literal ..= $each_high:literal)?
                ])?
            ),* $(,)?
        }
    )*) => { $(
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub struct $name {
            $(
                $(#[$field_meta])*
                $(
                    $(#[cfg_attr(feature = "schema", schemars(range(min = $low $(, max = $high)?)))])?
                    $(#[cfg_attr(feature = "schema", schemars(length(min = $least, max = $most)))])?
                    $(#[cfg_attr(feature = "schema", schemars(inner(range(min = $each_low, max = $each_high))))])?
                )?
                pub $field: $type,
            )*
        }

        impl $crate::section::Value for $name {
            fn check(&self, path: &str, checker: &mut $crate::scenario::Checker) {
                $({
                    let path = $crate::section::join(path, stringify!($field));
                    $(
                        $(
                            let high = [$($high as f64,)? f64::MAX][0];
                            $crate::section::Value::within(&self.$field, &path, $low as f64, high, checker);
                        )?
                        $(
                            let items = $crate::section::Value::items(&self.$field);
                            checker.require(($least..=$most).contains(&items), path.as_str(), || {
                                format!("must have from {} to {} items, got {items}", $least, $most)
                            });
                        )?
                        $($crate::section::Value::within(&self.$field, &path, $each_low as f64, $each_high as f64, checker);)?
                    )?
                    $crate::section::Value::check(&self.$field, &path, checker);
                })*
            }
        }
    )* };
}
pub(crate) use section;

/// A choice of a document: one word of several.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
        }

        impl $crate::section::Value for $name {}

        impl $crate::section::Key for $name {
            fn text(&self) -> String {
                $crate::section::snake_case(self)
            }
        }
    };
}
pub(crate) use choice;

/// The checks of all ranges of a document.
pub(crate) fn check(document: &impl Value) -> Checker {
    let mut checker = Checker::default();
    document.check("", &mut checker);
    checker.end_of_ranges();
    checker
}
