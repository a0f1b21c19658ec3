//! What estimators share: running moments, quantiles, small symmetric systems.

use crate::stats::Merge;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal, StudentsT};

/// Above so many degrees of freedom the quantile is the normal one, by Wilson and Hilferty where it is of chi-squared, to 1e-8.
const MANY: f64 = 100_000.0;

/// The p-quantile of the standard normal.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// The p-quantile of Student's law.
pub(crate) fn student_quantile(freedom: f64, p: f64) -> f64 {
    if freedom > MANY {
        return normal_quantile(p);
    }
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are positive").inverse_cdf(p)
}

/// The p-quantile of chi-squared.
pub(crate) fn chi_squared_quantile(freedom: f64, p: f64) -> f64 {
    if freedom > MANY {
        let spread = 2.0 / (9.0 * freedom);
        return freedom * (1.0 - spread + normal_quantile(p) * spread.sqrt()).powi(3);
    }
    ChiSquared::new(freedom).expect("degrees of freedom are positive").inverse_cdf(p)
}

/// Mean and central moments, in one pass (Welford, "Note on a method for calculating corrected sums of squares and products", 1962;
/// Pébay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments", 2008).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    /// How many.
    pub(crate) n: u64,
    /// Their mean.
    pub(crate) mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

impl Merge for Moments {
    fn combine(&mut self, later: Self) {
        let (a, b) = (self.n as f64, later.n as f64);
        if later.n == 0 {
            return;
        }
        let (n, delta) = (a + b, later.mean - self.mean);
        let d = delta / n;
        self.m4 += later.m4
            + delta * d * d * d * a * b * (a * a - a * b + b * b)
            + 6.0 * d * d * (a * a * later.m2 + b * b * self.m2)
            + 4.0 * d * (a * later.m3 - b * self.m3);
        self.m3 += later.m3 + delta * d * d * a * b * (a - b) + 3.0 * d * (a * later.m2 - b * self.m2);
        self.m2 += later.m2 + delta * d * a * b;
        self.mean += d * b;
        self.n += later.n;
    }
}

impl Moments {
    /// Adds a value.
    pub(crate) fn add(&mut self, value: f64) {
        let before = self.n as f64;
        self.n += 1;
        let n = self.n as f64;
        let delta = value - self.mean;
        let step = delta / n;
        let term = delta * step * before;
        self.mean += step;
        self.m4 += term * step * step * (n * n - 3.0 * n + 3.0) + 6.0 * step * step * self.m2 - 4.0 * step * self.m3;
        self.m3 += term * step * (n - 2.0) - 3.0 * step * self.m2;
        self.m2 += term;
    }

    /// The unbiased variance, of two values or more.
    pub(crate) fn variance(&self) -> f64 {
        self.m2 / (self.n as f64 - 1.0)
    }

    /// The standard error of the standard deviation, whatever the law: √((m₄ − m₂²) / n) / (2 s).
    pub(crate) fn deviation_error(&self) -> f64 {
        let n = self.n as f64;
        let (m2, m4) = (self.m2 / n, self.m4 / n);
        ((m4 - m2 * m2).max(0.0) / n).sqrt() / (2.0 * m2.sqrt())
    }
}

/// A symmetric matrix, whole.
#[derive(Clone, Debug)]
pub(crate) struct Symmetric {
    size: usize,
    values: Vec<f64>,
}

impl Symmetric {
    pub(crate) fn zero(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    /// Adds to an entry, and to the one across the diagonal.
    pub(crate) fn add(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.size + column] += value;
        if row != column {
            self.values[column * self.size + row] += value;
        }
    }

    /// Adds `weight` · v vᵀ of a sparse vector.
    pub(crate) fn add_outer(&mut self, vector: &[(usize, f64)], weight: f64) {
        for &(row, a) in vector {
            for &(column, b) in vector {
                self.values[row * self.size + column] += weight * a * b;
            }
        }
    }

    /// The inverse by Cholesky's decomposition; `None` where the matrix is not safely positive definite: what it stands for is not
    /// identified.
    pub(crate) fn inverse(&self) -> Option<Self> {
        /// A pivot that lost so much of its diagonal lost all its figures.
        const LOST: f64 = 1e-11;
        let n = self.size;
        let mut lower = vec![0.0; n * n];
        for row in 0..n {
            for column in 0..=row {
                let dot: f64 = (0..column).map(|k| lower[row * n + k] * lower[column * n + k]).sum();
                let left = self.at(row, column) - dot;
                lower[row * n + column] = if row == column {
                    if left.is_nan() || left <= LOST * self.at(row, row) {
                        return None;
                    }
                    left.sqrt()
                } else {
                    left / lower[column * n + column]
                };
            }
        }
        let mut inverse = Self::zero(n);
        for unit in 0..n {
            let mut x = vec![0.0; n];
            for row in unit..n {
                let dot: f64 = (unit..row).map(|k| lower[row * n + k] * x[k]).sum();
                x[row] = (f64::from(u8::from(row == unit)) - dot) / lower[row * n + row];
            }
            for row in (0..n).rev() {
                let dot: f64 = (row + 1..n).map(|k| lower[k * n + row] * x[k]).sum();
                x[row] = (x[row] - dot) / lower[row * n + row];
            }
            for (row, value) in x.into_iter().enumerate() {
                inverse.values[row * n + unit] = value;
            }
        }
        Some(inverse)
    }

    /// The product with a vector.
    pub(crate) fn times(&self, vector: &[f64]) -> Vec<f64> {
        (0..self.size).map(|row| vector.iter().enumerate().map(|(column, value)| self.at(row, column) * value).sum()).collect()
    }

    /// This · other · this.
    pub(crate) fn around(&self, other: &Self) -> Self {
        let n = self.size;
        let mut product = Self::zero(n);
        for column in 0..n {
            let unit: Vec<f64> = (0..n).map(|row| self.at(row, column)).collect();
            for (row, value) in self.times(&other.times(&unit)).into_iter().enumerate() {
                product.values[row * n + column] = value;
            }
        }
        product
    }

    /// vᵀ M v of a sparse vector.
    pub(crate) fn quadratic(&self, vector: &[(usize, f64)]) -> f64 {
        vector.iter().flat_map(|&(row, a)| vector.iter().map(move |&(column, b)| a * b * self.at(row, column))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_definition() {
        let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        let mut moments = Moments::default();
        for value in values {
            moments.add(value);
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let central = |power| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / n;
        assert!((moments.mean - mean).abs() < 1e-12);
        assert!((moments.variance() - central(2) * n / (n - 1.0)).abs() < 1e-12);
        let error = ((central(4) - central(2).powi(2)) / n).sqrt() / (2.0 * central(2).sqrt());
        assert!((moments.deviation_error() - error).abs() < 1e-12);
    }

    #[test]
    fn an_inverse_undoes_and_a_singular_matrix_has_none() {
        let mut matrix = Symmetric::zero(3);
        for vector in [[1.0, 2.0, 0.5], [0.0, 1.0, -1.0], [2.0, -1.0, 3.0]] {
            matrix.add_outer(&[(0, vector[0]), (1, vector[1]), (2, vector[2])], 1.0);
        }
        let inverse = matrix.inverse().unwrap();
        for unit in 0..3 {
            let column: Vec<f64> = (0..3).map(|row| inverse.at(row, unit)).collect();
            for (row, value) in matrix.times(&column).into_iter().enumerate() {
                assert!((value - f64::from(u8::from(row == unit))).abs() < 1e-12);
            }
        }
        let mut singular = Symmetric::zero(2);
        singular.add_outer(&[(0, 1.0), (1, 2.0)], 1.0);
        assert!(singular.inverse().is_none());
    }

    #[test]
    fn the_quantiles_of_many_degrees_of_freedom_join_the_exact_ones() {
        for p in [0.025, 0.5, 0.975] {
            let (below, above) = (chi_squared_quantile(MANY - 1.0, p), chi_squared_quantile(MANY + 1.0, p));
            assert!((above - below - 2.0).abs() < 0.02, "{p}: {below} {above}");
            assert!((student_quantile(MANY, p) - student_quantile(2.0 * MANY, p)).abs() < 1e-4);
        }
    }
}
