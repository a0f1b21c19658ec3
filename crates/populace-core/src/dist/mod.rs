//! Samplers whose values never change: each is written here, on the pinned mathematics of [`crate::math`], and its literal draws
//! are in its tests. `new` checks the parameters; after that nothing fails.

mod bernoulli;
mod beta;
mod categorical;
mod exponential;
mod lognormal;
mod normal;
mod quadrature;
mod tabulated;
mod uniform;

pub use bernoulli::Bernoulli;
pub use beta::Beta;
pub use categorical::Categorical;
pub use exponential::TruncatedExponential;
pub use lognormal::LogNormal;
pub use normal::{Normal, StandardNormal, TruncatedNormal};
pub use quadrature::{beta_nodes, fewer_nodes};
pub use tabulated::Tabulated;
pub use uniform::{UniformF64, UniformI64};

/// A parameter that names no distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParameterError(pub String);

fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), ParameterError> {
    if holds { Ok(()) } else { Err(ParameterError(message())) }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::stream::{ActorId, Draws, Purpose, StreamKey};

    /// A fixed stream for the tests of a sampler.
    pub(crate) fn draws(ordinal: u64) -> Draws {
        StreamKey::root(1, "dist").actor(ActorId(0)).purpose(Purpose::new(0)).ordinal(ordinal).draws()
    }

    /// Kolmogorov–Smirnov: the greatest distance between the sample's and the given distribution function must stay below
    /// 2.2 / √n, which a true sample exceeds with probability 2 exp(−2 · 2.2²) ≈ 1.3e-4; the seeds are fixed.
    pub(crate) fn assert_follows(mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64) {
        sample.sort_by(f64::total_cmp);
        let n = sample.len() as f64;
        let distance = sample.iter().enumerate().fold(0.0_f64, |worst, (index, &x)| {
            let expected = cdf(x);
            worst.max((expected - index as f64 / n).abs()).max(((index + 1) as f64 / n - expected).abs())
        });
        assert!(distance < 2.2 / n.sqrt(), "distance {distance} for n = {n}");
    }
}
