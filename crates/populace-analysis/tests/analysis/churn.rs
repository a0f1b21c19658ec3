//! Subscribers against the tables they come from.

use crate::support::{Run, joined};
use populace_analysis::churn::SIDES;
use populace_analysis::churn::{Engagement, User};
use populace_core::churn::ChurnModel;
use populace_core::churn::Hazard;

#[test]
fn every_user_comes_once_with_all_events() {
    let run = Run::new("churn", 6, &[("population.users", "400"), ("window.days", "45")]);
    let (mut ids, mut events) = (Vec::new(), 0);
    for row in joined(&run.source(), "user_id", &SIDES) {
        let user = User::new(row[0].as_ref().unwrap(), row[1].as_ref());
        assert_eq!((user.orphans, user.events.is_sorted_by_key(|event| event.time)), (0, true));
        ids.push(user.id.whole().unwrap());
        events += user.events.len() as u64;
    }
    assert_eq!(ids, (1..=400).collect::<Vec<i64>>());
    let source = run.source();
    assert_eq!(events, source.manifest().unwrap().tables["events"].rows);
}

#[test]
fn engagement_in_quadrature_gives_the_closed_form_of_churn() {
    let run = Run::new("churn", 6, &[("population.users", "1")]);
    let model: ChurnModel = run.source().model().unwrap();
    let engagement = Engagement::new(model.config());
    for (is_paid, expected) in [(false, model.expectation().free), (true, model.expectation().paid)] {
        let churn = engagement.mean(|e| Hazard::new(model.config(), e, is_paid).probability);
        assert!((churn - expected.churn).abs() < 1e-9, "{churn} instead of {}", expected.churn);
    }
}
