//! Sums and products of some numbers of many, from which the errors of ratios and of what is linear in them follow.

/// Σx and Σxxᵀ.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub(super) n: f64,
    sums: Vec<f64>,
    products: Vec<f64>,
}

impl Moments {
    pub(super) fn of(numbers: usize) -> Self {
        Self { n: 0.0, sums: vec![0.0; numbers], products: vec![0.0; numbers * numbers] }
    }

    pub(super) fn add(&mut self, numbers: &[f64]) {
        self.n += 1.0;
        let width = self.sums.len();
        for (row, own) in numbers.iter().enumerate() {
            self.sums[row] += own;
            for (column, other) in numbers.iter().enumerate() {
                self.products[row * width + column] += own * other;
            }
        }
    }

    pub(super) fn merge(&mut self, later: &Self) {
        self.n += later.n;
        self.sums.iter_mut().zip(&later.sums).for_each(|(sum, more)| *sum += more);
        self.products.iter_mut().zip(&later.products).for_each(|(sum, more)| *sum += more);
    }

    pub(super) fn sum(&self, number: usize) -> f64 {
        self.sums[number]
    }

    pub(super) fn mean(&self, number: usize) -> f64 {
        self.sums[number] / self.n
    }

    /// Σx².
    pub(super) fn squares(&self, number: usize) -> f64 {
        self.products[number * self.sums.len() + number]
    }

    /// The sample variance of a combination of the numbers.
    pub(super) fn variance(&self, of: &[(usize, f64)]) -> f64 {
        let width = self.sums.len();
        let square: f64 = of
            .iter()
            .flat_map(|(a, x)| of.iter().map(move |(b, y)| (a, x, b, y)))
            .map(|(a, x, b, y)| x * y * self.products[a * width + b])
            .sum();
        let sum: f64 = of.iter().map(|(a, x)| x * self.sums[*a]).sum();
        ((square - sum * sum / self.n) / (self.n - 1.0).max(1.0)).max(0.0)
    }

    /// The ratio of two sums, and the numbers whose combination's mean is its error: (x − r y) / ȳ.
    pub(super) fn ratio(&self, above: usize, below: usize) -> (f64, [(usize, f64); 2]) {
        let ratio = self.sums[above] / self.sums[below];
        let mean = self.mean(below);
        (ratio, [(above, 1.0 / mean), (below, -ratio / mean)])
    }
}
