//! Gauss's rules: the few places whose weighted sum is the mean of every polynomial of a degree below twice their number. Places and
//! weights by Golub and Welsch, "Calculation of Gauss quadrature rules" (1969).

/// The rule of `count` places for Beta(`a`, `b`), shapes above 0: places in [0, 1] in order, each with its weight; the weights sum to 1.
pub fn beta_nodes(a: f64, b: f64, count: usize) -> Vec<(f64, f64)> {
    // The recurrence of Jacobi's polynomials with exponents b − 1 and a − 1, moved from [−1, 1] to [0, 1].
    let (alpha, beta) = (b - 1.0, a - 1.0);
    let sum = alpha + beta;
    let diagonal = |n: usize| {
        let at = 2.0 * n as f64 + sum;
        let centre = if n == 0 { (beta - alpha) / (sum + 2.0) } else { (beta * beta - alpha * alpha) / (at * (at + 2.0)) };
        0.5 * (1.0 + centre)
    };
    let beside = |n: usize| {
        let (m, at) = (n as f64, 2.0 * n as f64 + sum);
        let squared = if n == 1 {
            4.0 * (1.0 + alpha) * (1.0 + beta) / (at * at * (at + 1.0))
        } else {
            4.0 * m * (m + alpha) * (m + beta) * (m + sum) / (at * at * (at * at - 1.0))
        };
        0.5 * squared.sqrt()
    };
    nodes((0..count).map(diagonal).collect(), (1..count).map(beside).collect())
}

/// The rule of `count` places for a law of many more places, given with their weights (Stieltjes); its weights sum to theirs.
pub fn fewer_nodes(points: &[(f64, f64)], count: usize) -> Vec<(f64, f64)> {
    let mass: f64 = points.iter().map(|(_, weight)| weight).sum();
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    // Orthonormal polynomials at the points: the one at hand, and the one before.
    let mut here: Vec<f64> = vec![1.0 / mass.sqrt(); points.len()];
    let mut before = vec![0.0; points.len()];
    let mut last = 0.0;
    for _ in 0..count {
        let centre: f64 = points.iter().zip(&here).map(|((x, weight), p)| weight * x * p * p).sum();
        diagonal.push(centre);
        let next: Vec<f64> = points.iter().zip(here.iter().zip(&before)).map(|((x, _), (p, q))| (x - centre) * p - last * q).collect();
        last = points.iter().zip(&next).map(|((_, weight), p)| weight * p * p).sum::<f64>().sqrt();
        beside.push(last);
        before = std::mem::replace(&mut here, next.into_iter().map(|p| p / last).collect());
    }
    beside.pop();
    nodes(diagonal, beside).into_iter().map(|(place, weight)| (place, mass * weight)).collect()
}

/// The eigenvalues of a symmetric tridiagonal matrix, in order, each with the square of the first component of its vector: by QL steps with
/// implicit shifts.
fn nodes(mut d: Vec<f64>, mut e: Vec<f64>) -> Vec<(f64, f64)> {
    let n = d.len();
    e.push(0.0);
    let mut first = vec![0.0; n];
    first[0] = 1.0;
    for l in 0..n {
        loop {
            let is_small = |m: usize| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs());
            let m = (l..n - 1).find(|m| is_small(*m)).unwrap_or(n - 1);
            if m == l {
                break;
            }
            let half = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let root = (half * half + 1.0).sqrt();
            let mut g = d[m] - d[l] + e[l] / (half + root.copysign(half));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut is_done = true;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = (f * f + g * g).sqrt();
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    is_done = false;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = d[i + 1] - p;
                let r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                (first[i], first[i + 1]) = (c * first[i] - s * first[i + 1], s * first[i] + c * first[i + 1]);
            }
            if is_done {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    let mut found: Vec<(f64, f64)> = d.into_iter().zip(first).map(|(place, first)| (place, first * first)).collect();
    found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(nodes: &[(f64, f64)], power: i32) -> f64 {
        nodes.iter().map(|(place, weight)| weight * place.powi(power)).sum()
    }

    #[test]
    fn moments_are_those_of_the_law_up_to_twice_the_places() {
        for (a, b, count) in [(0.8, 7.2, 5), (2.8, 5.2, 33), (1.0, 1.0, 8), (0.5, 0.5, 12), (400.0, 600.0, 16), (0.11, 0.89, 33)] {
            let nodes = beta_nodes(a, b, count);
            assert!(nodes.iter().all(|(place, weight)| (0.0..=1.0).contains(place) && *weight > 0.0));
            let mut expected = 1.0;
            for power in 0..2 * count {
                let found = moment(&nodes, power as i32);
                assert!((found / expected - 1.0).abs() < 1e-10, "Beta({a}, {b}), {count} places, power {power}: {found}, not {expected}");
                expected *= (a + power as f64) / (a + b + power as f64);
            }
        }
    }

    #[test]
    fn fewer_places_keep_the_moments_of_many() {
        let many: Vec<(f64, f64)> = beta_nodes(2.8, 5.2, 64).into_iter().map(|(place, weight)| (place, 3.0 * weight)).collect();
        let few = fewer_nodes(&many, 9);
        for power in 0..18 {
            let (found, expected) = (moment(&few, power), moment(&many, power));
            assert!((found / expected - 1.0).abs() < 1e-10, "power {power}: {found}, not {expected}");
        }
    }
}
