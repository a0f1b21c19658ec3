//! The documents that the core brings along, against the structs that they are for.

use super::super::{Graft, Library, Request, Resolved, Setting, Source};
use populace_core::scenario::Scenario;
use populace_core::{churn, email, traces};
use serde::de::DeserializeOwned;

static TRACES: Library = Library::new(traces::DOCUMENTS);
static CHURN: Library = Library::new(churn::DOCUMENTS);
static EMAIL: Library = Library::new(email::DOCUMENTS);

use crate::catalogue::schema as schema_of;

fn model<S: Scenario>(resolved: &Resolved) -> S
where
    S::Config: DeserializeOwned,
{
    let config = serde_json::from_value(resolved.config.clone()).expect("what was checked can be read");
    S::from_config(&config).unwrap_or_else(|error| panic!("{}", resolved.diagnose(&error)))
}

fn reads_back_to_itself(library: &Library, resolved: &Resolved) {
    let text = resolved.to_yaml(Some(7));
    let again = library.resolve(&Request::new(Source::Text { name: "scenario.yaml", text: &text }), schema_of).unwrap();
    assert_eq!((&again.config, again.digest(), again.seed), (&resolved.config, resolved.digest(), Some(7)));
}

#[test]
fn the_documents_of_the_core_are_sound() {
    for (name, _) in traces::DOCUMENTS {
        let resolved = TRACES.resolve(&Request::new(Source::Named(name)), schema_of).unwrap_or_else(|problems| panic!("{problems}"));
        model::<traces::TracesModel>(&resolved);
        reads_back_to_itself(&TRACES, &resolved);
    }
    for (name, _) in churn::DOCUMENTS {
        let resolved = CHURN.resolve(&Request::new(Source::Named(name)), schema_of).unwrap_or_else(|problems| panic!("{problems}"));
        model::<churn::ChurnModel>(&resolved);
        reads_back_to_itself(&CHURN, &resolved);
    }
    for (name, _) in email::DOCUMENTS {
        let resolved = EMAIL.resolve(&Request::new(Source::Named(name)), schema_of).unwrap_or_else(|problems| panic!("{problems}"));
        model::<email::EmailModel>(&resolved);
        reads_back_to_itself(&EMAIL, &resolved);
    }
}

#[test]
fn the_dense_profile_of_both_email_documents_changes_the_number_of_sends_and_nothing_else() {
    for (name, _) in email::DOCUMENTS {
        let plain = EMAIL.resolve(&Request::new(Source::Named(name)), schema_of).unwrap();
        let mut dense = EMAIL.resolve(&Request { profile: Some("dense"), ..Request::new(Source::Named(name)) }, schema_of).unwrap();
        model::<email::EmailModel>(&dense);
        assert_eq!(dense.config["sends"]["per_day"], 6.1456);
        dense.config["sends"]["per_day"] = plain.config["sends"]["per_day"].clone();
        assert_eq!(dense.config, plain.config, "{name}");
    }
}

#[test]
fn a_workflow_of_the_core_is_grafted_as_it_is() {
    for (name, text) in traces::WORKFLOWS {
        let grafts = [Graft { option: "--workflow", path: "workflow", beside: &[], source: Source::Text { name, text } }];
        let resolved = TRACES.resolve(&Request { grafts: &grafts, ..Request::new(Source::Named("traces")) }, schema_of).unwrap();
        assert_eq!(resolved.config["workflow"]["name"], *name);
        model::<traces::TracesModel>(&resolved);
    }
}

/// The first example of the API traces guide: `/api/browse` leads nowhere.
const GUIDE: &str = "\
name: ecommerce
entry_points: {/api/login: 0.6, /api/browse: 0.4}
transitions:
  /api/login: {/api/profile: 0.8, /api/browse: 0.2}
  /api/profile: {/api/browse: 0.7, /api/logout: 0.3}
exit_points: !!set {/api/logout}
avg_response_times: {/api/login: 120, /api/profile: 80, /api/browse: 200}
";

#[test]
fn what_is_wrong_with_a_workflow_is_shown_in_its_file() {
    let grafts = [Graft { option: "--workflow", path: "workflow", beside: &[], source: Source::Text { name: "guide.yaml", text: GUIDE } }];
    let resolved = TRACES.resolve(&Request { grafts: &grafts, ..Request::new(Source::Named("traces")) }, schema_of).unwrap();
    assert_eq!(resolved.config["workflow"]["max_length"], 20, "what the guide leaves out is filled in");
    let config: traces::TracesConfig = serde_json::from_value(resolved.config.clone()).unwrap();
    let error = traces::TracesModel::from_config(&config).expect_err("a dead end");
    let shown = "guide.yaml:3:1: workflow.transitions./api/browse: dead end: it has no transitions and is not an exit point\n    hint: add transitions, or list it under exit_points";
    assert_eq!(resolved.diagnose(&error).to_string(), shown);
}

#[test]
fn a_key_that_belongs_deeper_down_is_told_where() {
    let settings = [Setting { option: "--set", path: "users", value: "5" }];
    let request = Request { settings: &settings, ..Request::new(Source::Named("traces")) };
    let problems = TRACES.resolve(&request, schema_of).unwrap_err().to_string();
    assert_eq!(problems, "--set users=5: users: unknown key\n    hint: did you mean `population.users`?");
    let text = "extends: churn\nalpha: 1\nvideo: {slope: .5}\n";
    let problems = CHURN.resolve(&Request::new(Source::Text { name: "my.yaml", text }), schema_of).unwrap_err().to_string();
    let alpha = "my.yaml:2:1: alpha: unknown key\n    hint: did you mean `engagement.alpha`?";
    let slope = "my.yaml:3:9: video.slope: unknown key\n    hint: did you mean `video.probability.slope`?";
    assert_eq!(problems, format!("{alpha}\n{slope}\n2 problems"));
}
