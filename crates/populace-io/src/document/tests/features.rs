//! What documents can say to one another.

use super::super::{Graft, MAX_EXTENDS, Request, Setting, Source};
use super::{Attention, Delay, LIBRARY, Level, SHOP, Store, resolve, resolve_text, shop};
use std::fs;
use std::path::{Path, PathBuf};

fn set<'a>(path: &'a str, value: &'a str) -> Setting<'a> {
    Setting { option: "--set", path, value }
}

fn with(settings: &[Setting<'_>]) -> super::Shop {
    shop(&resolve(&Request { settings, ..Request::new(Source::Named("shop")) }).unwrap())
}

#[test]
fn what_is_said_later_wins() {
    let text = "extends: shop\nusers: 20\nseed: 1\nprofiles:\n  dense: {billing: monthly, seed: 2}\n";
    let source = Source::Text { name: "my", text };
    let resolved = resolve(&Request { profile: Some("dense"), ..Request::new(source) }).unwrap();
    let said = shop(&resolved);
    // The profile of the extended document comes before that of the extending one, and both after the documents.
    assert_eq!((said.users, said.drift.amplitude, said.billing), (1000, 0.5, super::Billing::Monthly));
    assert_eq!((resolved.seed, resolved.name.as_str(), resolved.family.as_str()), (Some(2), "shop", "shop"));
    assert_eq!(resolved.profiles, ["dense"]);

    let settings = [set("users", "30"), set("users", "40"), set("seed", "3"), set("name", "mine")];
    let resolved = resolve(&Request { profile: Some("dense"), settings: &settings, ..Request::new(source) }).unwrap();
    assert_eq!((shop(&resolved).users, resolved.seed, resolved.name.as_str()), (40, Some(3), "mine"));
}

#[test]
fn maps_merge_lists_replace_and_null_removes_a_named_entry() {
    let said = shop(
        &resolve_text("extends: shop\npersonas:\n  owl: {open_rate: 1}\n  lark: {days: [wednesday]}\n  new: {open_rate: .5}\n").unwrap(),
    );
    assert_eq!(said.personas["owl"].open_rate, 1.0);
    assert_eq!((said.personas["lark"].open_rate, said.personas["lark"].days.as_deref()), (0.35, Some(&[super::Day::Wednesday][..])));
    assert_eq!(said.personas.len(), 3);

    let said = shop(&resolve_text("extends: shop\npersonas: {owl: null, lark: {days: null}}\n").unwrap());
    assert_eq!(said.personas.keys().collect::<Vec<_>>(), ["lark"]);
    assert_eq!(said.personas["lark"].days, None, "a null where the schema permits one is a value");
}

#[test]
fn another_variant_of_a_union_replaces_the_first_and_the_same_variant_merges() {
    assert_eq!(with(&[]).open_delay, Delay::Attention { span_minutes: 240.0 });
    assert_eq!(with(&[set("open_delay.span_minutes", "9")]).open_delay, Delay::Attention { span_minutes: 9.0 });
    let exponential = Delay::Exponential { mean_minutes: 3.0 };
    assert_eq!(with(&[set("open_delay", "{kind: exponential, mean_minutes: 3}")]).open_delay, exponential);
    let peak = [set("attention", "{factor: 2}"), set("attention", "{peak: {hours: [1]}}")];
    assert_eq!(with(&peak).attention, Attention::Peak { hours: [1].into() });
    assert_eq!(with(&[set("attention", "{factor: 2}"), set("attention", "flat")]).attention, Attention::Flat);
}

#[test]
fn a_number_may_be_written_as_a_fraction() {
    let text = "extends: shop\nhours: {7: 1/3, 23: 0.5 / 4}\nrange: [1, 2/3]\n";
    let resolved = resolve_text(text).unwrap();
    assert_eq!(shop(&resolved).hours.values().copied().collect::<Vec<_>>(), [1.0 / 3.0, 0.125]);
    let written = resolve_text("extends: shop\nhours: {7: 0.3333333333333333, 23: 0.125}\nrange: [1, 0.6666666666666666]\n").unwrap();
    assert_eq!(resolved.digest(), written.digest());
    assert_eq!(with(&[set("drift.amplitude", "1/4")]).drift.amplitude, 0.25);
    for (wrong, told) in [
        ("hours: {7: 1/0}", "must be a number"),
        ("hours: {7: 1/3/2}", "must be a number"),
        ("hours: {7: a/3}", "must be a number"),
        ("users: 4/2", "must be a whole number"),
    ] {
        let problems = resolve_text(&format!("extends: shop\n{wrong}\n")).unwrap_err().to_string();
        assert!(problems.contains(told), "{problems}");
    }
}

#[test]
fn values_take_the_type_that_the_schema_gives_them() {
    let text =
        "extends: shop\nhours: {7: 1, 23: .5}\nrange: [1, 1e-3]\nlevel: 5\nstore: {type: memory}\nnote: no\nusers: 0x10\nstrict: TRUE\n";
    let resolved = resolve_text(text).unwrap();
    assert_eq!(resolved.config["range"].to_string(), "[1.0,0.001]");
    assert_eq!(resolved.config["note"], "no");
    let said = shop(&resolved);
    assert_eq!((said.hours[&7], said.hours[&23], said.users, said.strict), (1.0, 0.5, 16, true));
    assert_eq!((said.level, said.store), (Level::Number(5.0), Some(Store::Memory)));
    let disk = with(&[set("store", "{type: disk, folder: ./here}"), set("level", "{label: x}")]);
    assert_eq!((disk.store, disk.level), (Some(Store::Disk(super::Disk { folder: "./here".into() })), Level::Named { label: "x".into() }));
}

#[test]
fn defaults_are_part_of_the_resolved_document() {
    let resolved = resolve(&Request::new(Source::Named("shop"))).unwrap();
    assert_eq!(resolved.config["drift"]["amplitude"], 0.002);
    let said = resolve_text("extends: shop\ndrift: {amplitude: 2e-3}\nstrict: false\n").unwrap();
    assert_eq!(resolved.digest(), said.digest(), "to write a default out changes nothing");
}

#[test]
fn paths_reach_keys_with_dots_and_items_of_lists() {
    let workflow = "{name: w, entry_points: {/a: 1}, transitions: {/a: {/v1.2/b: 1}}, exit_points: [/v1.2/b]}";
    let more = [
        set("workflow", workflow),
        set("workflow.transitions./a./v1.2/b", ".25"),
        set("workflow.transitions./a.\"/v3.4/c\"", ".75"),
        set("workflow.exit_points.0", "/v3.4/c"),
        set("personas.lark.days.1", "wednesday"),
    ];
    let said = with(&more);
    assert_eq!(said.personas["lark"].days.as_deref(), Some(&[super::Day::Monday, super::Day::Wednesday][..]));
    let workflow = said.workflow.unwrap();
    assert_eq!(workflow.transitions["/a"], [("/v1.2/b".to_owned(), 0.25), ("/v3.4/c".to_owned(), 0.75)].into());
    assert_eq!(workflow.exit_points, ["/v3.4/c".to_owned()].into());
}

const WORKFLOW: &str = "\
name: ecommerce
entry_points:
  /api/login: 0.6
  /api/browse: 0.4
transitions:
  /api/login: {/api/browse: 1.0}
  /api/browse: {/api/logout: 1.0}
exit_points: !!set {/api/logout}
avg_response_times:
  /api/login: 120
  /api/browse: 200
user_type_distribution: {premium: 0.3, free: 0.7}
methods: {/api/login: POST}
max_length: 20
exit_probability: 0.1
";

#[test]
fn a_workflow_file_is_grafted_as_it_is_and_replaces_what_was_there() {
    let first = [Graft { option: "--workflow", path: "workflow", beside: &[], source: Source::Text { name: "w.yaml", text: WORKFLOW } }];
    let resolved = resolve(&Request { grafts: &first, ..Request::new(Source::Named("shop")) }).unwrap();
    let workflow = shop(&resolved).workflow.unwrap();
    assert_eq!(workflow.exit_points, ["/api/logout".to_owned()].into());
    assert_eq!(workflow.avg_response_times["/api/browse"], 200.0);

    let small = "name: s\nentry_points: {/a: 1}\ntransitions: {}\nexit_points: [/a]\n";
    let second = [first[0], Graft { source: Source::Text { name: "s.yaml", text: small }, ..first[0] }];
    let workflow = shop(&resolve(&Request { grafts: &second, ..Request::new(Source::Named("shop")) }).unwrap()).workflow.unwrap();
    assert_eq!((workflow.name.as_str(), workflow.entry_points.len(), workflow.avg_response_times.len()), ("s", 1, 0));
}

/// A directory that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("populace-document-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// What is wrong with a file, with the folder's name left out.
    fn problems(&self, path: &Path) -> String {
        let problems = resolve(&Request::new(Source::File(path))).unwrap_err().to_string();
        problems.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_extends_files_beside_it() {
    let folder = Folder::new("extends");
    folder.write("base/shop.yaml", SHOP);
    folder.write("base/more.yaml", "extends: shop.yaml\nusers: 11\n");
    folder.write("base/shop-own.yaml", "extends: ./more.yaml\nname: own\nbilling: monthly\n");
    let top = folder.write("top.yaml", "extends: base/shop-own.yaml\nusers: 12\n");
    let resolved = resolve(&Request::new(Source::Named(top.to_str().unwrap()))).unwrap();
    let said = shop(&resolved);
    assert_eq!((said.users, said.billing, resolved.name.as_str()), (12, super::Billing::Monthly, "own"));
}

#[test]
fn a_document_without_a_name_takes_that_of_its_file() {
    let folder = Folder::new("name");
    let path = folder.write("autumn.yaml", SHOP.replace("name: shop\n", ""));
    assert_eq!(resolve(&Request::new(Source::File(&path))).unwrap().name, "autumn");
}

#[test]
fn files_that_cannot_be_extended_are_refused() {
    let folder = Folder::new("refused");
    let lost = folder.write("lost.yaml", "extends: nowhere.yaml\n");
    let message = "lost.yaml:1:10: extends: there is no built-in scenario and no file `nowhere.yaml`\n    hint: built-in scenarios: shop, shop-literal";
    assert_eq!(folder.problems(&lost), message);

    folder.write("b.yaml", "extends: ./sub/../a.yaml\n");
    folder.write("sub/x", "");
    let circle = folder.write("a.yaml", "extends: b.yaml\n");
    let message = "b.yaml:1:10: extends: documents extend one another in a circle: a.yaml → b.yaml → ./sub/../a.yaml";
    assert_eq!(folder.problems(&circle), message);

    for depth in 0..=MAX_EXTENDS {
        folder.write(&format!("{depth}.yaml"), format!("extends: {}.yaml\n", depth + 1));
    }
    folder.write(&format!("{}.yaml", MAX_EXTENDS + 1), SHOP);
    assert_eq!(folder.problems(&folder.0.join("0.yaml")), "8.yaml:1:10: extends: documents extend one another more than 8 deep");
    assert!(resolve(&Request::new(Source::File(&folder.0.join("1.yaml")))).is_ok());

    let directory = folder.write("dir.yaml", "extends: sub\n");
    assert_eq!(folder.problems(&directory), "dir.yaml:1:10: extends: cannot read `sub`: Is a directory (os error 21)");
    let latin = folder.write("latin.yaml", b"extends: shop\nname: caf\xe9\n");
    assert_eq!(
        folder.problems(&latin),
        "latin.yaml:2:10: the text is not UTF-8: byte 233 is not allowed here\n    hint: save the file as UTF-8"
    );
}

#[test]
fn a_document_given_as_text_reaches_no_file() {
    let folder = Folder::new("text");
    let path = folder.write("shop.yaml", SHOP);
    let text = format!("extends: {}\n", path.display());
    let problems = resolve_text(&text).unwrap_err().to_string();
    assert!(problems.starts_with("my.yaml:1:10: extends: there is no built-in scenario `"), "{problems}");
}

#[test]
fn the_digest_is_of_what_decides_the_data() {
    let digest = |text: &str| resolve_text(text).unwrap().digest();
    let base = resolve(&Request::new(Source::Named("shop"))).unwrap().digest();
    assert_eq!(base, "dfc0f7b6bffdb63de59aa8aac8d453806a8ee34b376cdf256d74eb05efee0dbd");
    assert_eq!(digest("extends: shop\nname: other\ndescription: other\nseed: 7 # a comment\n"), base);
    assert_eq!(digest("extends: shop\npersonas: {lark: {open_rate: 35e-2}, owl: {open_rate: 0.28}}\nusers: 0xA\n"), base);
    assert_ne!(digest("extends: shop\nusers: 11\n"), base);
    assert_ne!(digest("extends: shop\npersonas: {owl: {open_rate: 0.2800000000000001}}\n"), base);
}

const WRITTEN: &str = "\
version: 1
scenario: shop
name: shop-literal
description: Everything that a document can hold.
seed: 42
users: 10
start: \"2025-10-01\"
personas:
  owl:
    open_rate: 0.28
  lark:
    open_rate: 0.35
    days:
    - monday
    - tuesday
open_delay:
  kind: exponential
  mean_minutes: 240.0
billing: daily
note: \"yes: no # maybe\"
drift:
  amplitude: 0.1
attention: flat
hours: {}
strict: false
";

#[test]
fn the_resolved_document_is_written_with_nothing_left_to_look_up() {
    let settings = [set("note", "\"yes: no # maybe\""), set("drift.amplitude", "0.1")];
    let resolved = resolve(&Request { settings: &settings, ..Request::new(Source::Named("shop-literal")) }).unwrap();
    assert_eq!(resolved.to_yaml(Some(42)), WRITTEN);
}

#[test]
fn the_built_in_documents_can_be_read() {
    assert_eq!(LIBRARY.text("shop"), Some(SHOP));
    assert_eq!(LIBRARY.text("nothing"), None);
}
