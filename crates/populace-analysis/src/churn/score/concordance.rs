//! Whether those who are said to leave first leave first.

/// Harrell's C: of the pairs of whom one is known to have left before the other, the share in which that one had the greater risk; equal
/// risks count half. `None` where there is no such pair. (Harrell and others, "Evaluating the yield of medical tests", 1982.)
///
/// Each row is a risk and when that one left; `None` if later than anything that is known.
pub fn concordance(rows: &[(f64, Option<i32>)]) -> Option<f64> {
    let mut risks: Vec<f64> = rows.iter().map(|(risk, _)| *risk).collect();
    risks.sort_unstable_by(f64::total_cmp);
    risks.dedup();
    let place = |risk: f64| risks.partition_point(|known| *known < risk);
    // From the last to leave to the first, so that all who are counted already stayed longer.
    let mut order: Vec<(i64, usize)> = rows.iter().map(|(risk, left)| (left.map_or(i64::MAX, i64::from), place(*risk))).collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    let mut stayed = Counts::new(risks.len());
    let (mut agree, mut pairs) = (0.0, 0.0);
    for same_day in order.chunk_by(|a, b| a.0 == b.0) {
        if same_day[0].0 != i64::MAX {
            for &(_, risk) in same_day {
                let (below, equal) = (stayed.below(risk), stayed.below(risk + 1) - stayed.below(risk));
                agree += below as f64 + 0.5 * equal as f64;
                pairs += stayed.total as f64;
            }
        }
        for &(_, risk) in same_day {
            stayed.add(risk);
        }
    }
    (pairs > 0.0).then(|| agree / pairs)
}

/// Counts by place that can be summed up to a place: Fenwick, "A new data structure for cumulative frequency tables" (1994).
struct Counts {
    tree: Vec<u64>,
    total: u64,
}

impl Counts {
    fn new(places: usize) -> Self {
        Self { tree: vec![0; places + 1], total: 0 }
    }

    fn add(&mut self, place: usize) {
        self.total += 1;
        let mut node = place + 1;
        while node < self.tree.len() {
            self.tree[node] += 1;
            node += node & node.wrapping_neg();
        }
    }

    /// How many are at places before `place`.
    fn below(&self, place: usize) -> u64 {
        let mut node = place;
        let mut sum = 0;
        while node > 0 {
            sum += self.tree[node];
            node &= node - 1;
        }
        sum
    }
}
