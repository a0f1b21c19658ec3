//! Simulation of populations whose every probability is known.
//!
//! One direction: a scenario document becomes a [`Config`](scenario::Scenario::Config), the checked configuration becomes a model
//! ([`Scenario`](scenario::Scenario)), and the model simulates one actor at a time into an [`Observer`](scenario::Observer). There
//! is not an output, no clock and no shared state here: the bytes of every data set depend on this crate alone.

pub mod churn;
pub mod dist;
pub mod email;
pub mod markov;
pub mod math;
pub mod philox;
pub mod plan;
pub mod scenario;
mod section;
pub mod stream;
pub mod time;
pub mod traces;

/// Raised with every change of any sampled value; part of the manifest.
pub const VALUES_VERSION: u32 = 2;

#[cfg(test)]
mod tests {
    /// The bytes of every data set depend on this crate alone, so what it depends on is a short list that nobody lengthens by accident.
    #[test]
    fn dependencies_are_these_and_no_others() {
        let manifest = include_str!("../Cargo.toml");
        let section = manifest.split("\n[dependencies]\n").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap_or_default();
        let lines = section.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let names: Vec<&str> = lines.filter_map(|line| line.split(['.', ' ', '=']).next()).collect();
        assert_eq!(names, ["serde", "thiserror", "libm", "schemars"]);
        assert!(section.contains("libm = \"=0.2.16\""), "libm is pinned");
        assert!(section.contains("schemars = { workspace = true, optional = true }"), "schemars is optional");
    }
}
