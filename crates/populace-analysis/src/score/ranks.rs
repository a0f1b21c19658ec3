//! Statistics of the order in which scores put positives and negatives.

use super::card::Estimate;

/// A run of equal scores: how many positives and negatives have it.
struct Tie {
    positives: f64,
    negatives: f64,
}

/// What a threshold takes: all rows of its score and of those above.
struct Threshold {
    /// Positives of its very score.
    tie: f64,
    /// Positives taken.
    hits: f64,
    /// Rows taken.
    taken: f64,
}

/// Labels in the order of scores, which are finite.
pub struct Ranked {
    /// From the greatest score down.
    ties: Vec<Tie>,
    positives: f64,
    negatives: f64,
}

impl Ranked {
    /// Ranks labels by scores.
    pub fn new(scores: &[f64], labels: &[bool]) -> Self {
        let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut ties: Vec<Tie> = Vec::new();
        // 0 and −0 are the same score.
        for tie in order.chunk_by(|a, b| a.0 == b.0) {
            let positives = tie.iter().filter(|(_, label)| *label).count() as f64;
            ties.push(Tie { positives, negatives: tie.len() as f64 - positives });
        }
        let sum = |count: fn(&Tie) -> f64| ties.iter().map(count).sum();
        Self { positives: sum(|tie| tie.positives), negatives: sum(|tie| tie.negatives), ties }
    }

    /// The area under the receiver operating characteristic: P(a positive's score is above a negative's) + P(equal)/2, exactly; with the
    /// standard error of `DeLong`, `DeLong` and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    /// characteristic curves" (1988). `None` where the labels are all alike.
    pub fn auc(&self) -> Option<Estimate> {
        if self.positives == 0.0 || self.negatives == 0.0 {
            return None;
        }
        let (mut above_positives, mut above_negatives) = (0.0, 0.0);
        let (mut sums, mut squares) = ([0.0; 2], [0.0; 2]);
        for tie in &self.ties {
            // Of a positive here: the share of negatives below it. Of a negative: the share of positives above it.
            let below = (self.negatives - above_negatives - tie.negatives / 2.0) / self.negatives;
            let above = (above_positives + tie.positives / 2.0) / self.positives;
            for (side, (count, share)) in [(tie.positives, below), (tie.negatives, above)].into_iter().enumerate() {
                sums[side] += count * share;
                squares[side] += count * share * share;
            }
            above_positives += tie.positives;
            above_negatives += tie.negatives;
        }
        let auc = sums[0] / self.positives;
        let variance =
            |side: usize, n: f64| if n > 1.0 { ((squares[side] - sums[side] * sums[side] / n) / (n - 1.0)).max(0.0) / n } else { 0.0 };
        Some(Estimate::new(auc, (variance(0, self.positives) + variance(1, self.negatives)).sqrt()))
    }

    /// Average precision: Σ (recall − recall before) × precision over thresholds downwards. `None` without positives.
    pub fn average_precision(&self) -> Option<f64> {
        Some(self.thresholds()?.map(|threshold| threshold.tie / self.positives * threshold.hits / threshold.taken).sum())
    }

    /// The greatest recall of a threshold whose precision is at least `precision`; 0 if there is none. `None` without positives.
    pub fn recall_at(&self, precision: f64) -> Option<f64> {
        let sound = self.thresholds()?.filter(|threshold| threshold.hits >= precision * threshold.taken);
        Some(sound.map(|threshold| threshold.hits / self.positives).fold(0.0, f64::max))
    }

    /// The greatest precision of a threshold whose recall is at least `recall`. `None` without positives.
    pub fn precision_at(&self, recall: f64) -> Option<f64> {
        let wide = self.thresholds()?.filter(|threshold| threshold.hits >= recall * self.positives);
        Some(wide.map(|threshold| threshold.hits / threshold.taken).fold(0.0, f64::max))
    }

    /// The greatest F1 of a threshold: 2 × precision × recall / (precision + recall). `None` without positives.
    pub fn best_f1(&self) -> Option<f64> {
        let f1 = |threshold: Threshold| 2.0 * threshold.hits / (threshold.taken + self.positives);
        Some(self.thresholds()?.map(f1).fold(0.0, f64::max))
    }

    /// The thresholds downwards, one at each score. `None` without positives.
    fn thresholds(&self) -> Option<impl Iterator<Item = Threshold>> {
        let (mut hits, mut taken) = (0.0, 0.0);
        let taken_down_to = move |tie: &Tie| {
            hits += tie.positives;
            taken += tie.positives + tie.negatives;
            Threshold { tie: tie.positives, hits, taken }
        };
        (self.positives > 0.0).then(|| self.ties.iter().map(taken_down_to))
    }
}
