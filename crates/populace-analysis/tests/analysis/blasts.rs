//! Blasts: what is recovered of them, and what a model of latency can know.

use crate::support::Run;
use populace_analysis::families::recover;
use populace_analysis::watch::Watch;

#[test]
fn shares_and_queues_are_recovered() {
    let own = ("blasts", "[{name: one, campaign: promotion, share: 0.5, date: 2025-10-10, hour: 9}]");
    let mut held = [0; 3];
    for seed in 0..10 {
        let run = Run::new("email", seed, &[own, ("population.users", "350"), ("window.days", "20")]);
        let source = run.source();
        let recovery = recover(&source, &source.scenario().unwrap(), 0.95, &Watch::none(2)).unwrap();
        for (held, name) in held.iter_mut().zip(["blasts.one.share", "blasts.one.drain_seconds", "sends.per_day"]) {
            let estimate = recovery.estimates.iter().find(|estimate| estimate.parameter == name).unwrap_or_else(|| panic!("{name}"));
            *held += u32::from(estimate.covered);
        }
    }
    // Of ten intervals of 95%, fewer than seven hold by chance with probability 1e-4.
    assert!(held.iter().all(|held| *held >= 7), "{held:?}");
}
