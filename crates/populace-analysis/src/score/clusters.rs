//! Sums over rows that are independent between users and not within one.

/// `N` sums over rows, and what their standard errors need.
#[derive(Clone, Debug)]
pub(crate) struct Clusters<const N: usize> {
    user: [f64; N],
    rows: u64,
    total: [f64; N],
    /// Σ over users of products of their sums.
    products: [[f64; N]; N],
    users: u64,
}

impl<const N: usize> Default for Clusters<N> {
    fn default() -> Self {
        Self { user: [0.0; N], rows: 0, total: [0.0; N], products: [[0.0; N]; N], users: 0 }
    }
}

impl<const N: usize> Clusters<N> {
    /// Adds a row of the user at hand.
    pub(crate) fn add(&mut self, values: &[f64; N]) {
        plus(&mut self.user, values);
        self.rows += 1;
    }

    /// The rows of the user at hand are complete. A user without rows is none.
    pub(crate) fn end_user(&mut self) {
        if self.rows == 0 {
            return;
        }
        self.users += 1;
        plus(&mut self.total, &self.user);
        for (value, products) in self.user.iter().zip(&mut self.products) {
            for (other, product) in self.user.iter().zip(products) {
                *product += value * other;
            }
        }
        self.user = [0.0; N];
        self.rows = 0;
    }

    /// The sums over all users.
    pub(crate) fn total(&self) -> &[f64; N] {
        &self.total
    }

    /// Standard error of the weighted sum: users differ, and their number is what it is.
    pub(crate) fn error(&self, weights: &[f64; N]) -> f64 {
        let mut squares = 0.0;
        for (a, products) in weights.iter().zip(&self.products) {
            squares += a * dot(weights, products);
        }
        let users = self.users as f64;
        let mean = dot(weights, &self.total) / users;
        ((squares - users * mean * mean).max(0.0) * users / (users - 1.0).max(1.0)).sqrt()
    }

    /// By how many standard errors of the difference one sum is less than another.
    pub(crate) fn excess(&self, model: usize, ceiling: usize) -> Option<f64> {
        let mut weights = [0.0; N];
        weights[model] -= 1.0;
        weights[ceiling] += 1.0;
        Some(dot(&weights, &self.total) / self.error(&weights)).filter(|excess| excess.is_finite())
    }
}

/// Adds.
pub(crate) fn plus<const N: usize>(sums: &mut [f64; N], more: &[f64; N]) {
    for (sum, value) in sums.iter_mut().zip(more) {
        *sum += value;
    }
}

/// Σ a b.
pub(crate) fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
