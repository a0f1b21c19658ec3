//! Where scanners click: labels and ceilings are those of a run without them, and their opens are a machine's for certain.

use super::Bench;
use super::machine::{ids, rows};
use crate::support::Run;
use std::collections::HashSet;

#[test]
fn ceilings_stand_still_where_scanners_click() {
    let bench = |others: &[(&str, &str)]| Bench::new(Run::new("email", 18, &[others, &[("population.users", "140")]].concat()));
    let machines = ("machine_opens", "{user_share: 0.5}");
    for others in [&[][..], &[machines]] {
        let (off, on) = (bench(others), bench(&[others, &[("scanners", "{user_share: 0.5, user_agents: [scanner]}")]].concat()));
        let mut tasks = vec![("open", "delivered")];
        if others.is_empty() {
            tasks.push(("click", "opened"));
        }
        for (task, event_type) in tasks {
            let of = |bench: &Bench| {
                let ids = ids(&off.run, event_type);
                let ids: Vec<&str> = ids.iter().map(|id| id.message.as_str()).collect();
                let rows = rows(bench, task, "message_id", &ids).0;
                rows.into_iter().map(|row| (row.id, row.label, row.ceilings)).collect::<Vec<_>>()
            };
            assert!(of(&on) == of(&off), "{task}");
        }
        let before: HashSet<String> = ids(&off.run, "opened").into_iter().map(|id| id.event).collect();
        let opened = ids(&on.run, "opened");
        let (judged, _) = rows(&on, "machine_open", "event_id", &opened.iter().map(|id| id.event.as_str()).collect::<Vec<_>>());
        let scanned = judged.iter().filter(|row| !before.contains(&row.id));
        assert!(scanned.clone().count() > 1_000);
        assert!(scanned.into_iter().all(|row| row.label && row.ceilings == [1.0; 2]));
        if others.is_empty() {
            assert!(judged.iter().filter(|row| before.contains(&row.id)).all(|row| !row.label && row.ceilings == [0.0; 2]));
        }
    }
}
