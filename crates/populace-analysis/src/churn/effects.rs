//! What a study of churn can be planned for.

use crate::plan::Effect;

pub(super) const EFFECTS: &[Effect] = &[
    Effect::new("paid_factor", "paying users churn less", |path| path == "churn.paid_factor"),
    Effect::new("churn_base_rate", "the base of the churn probability", |path| path == "churn_base_rate"),
    Effect::new("churn", "the share of users who churn", |path| path.starts_with("churn (")),
    Effect::new("activity", "the engaged are active more often", |path| path == "activity.probability.slope"),
    Effect::new("video", "the engaged watch more often, and longer", |path| path.starts_with("video.") && path.contains(".slope")),
    Effect::new("quiz", "the engaged try quizzes more often, and score higher", |path| {
        path.starts_with("quiz.") && path.contains(".slope")
    }),
    Effect::new("paid_ratio", "the share of users who pay", |path| path == "paid_ratio"),
    Effect::new("billing", "charges that succeed", |path| path == "billing.success_probability"),
    Effect::new("tickets", "tickets a user and day", |path| path == "tickets.probability"),
];
