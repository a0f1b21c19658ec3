//! Two reports on one page: A, and B beside it.

use super::figure::{Axis, Chart, Draw, Fact, Figure, Heat, Map, Other, Panel, Plot, Report, Role, Scale, Section, Series};
use serde_json::Value;

/// A report of the first run with the second beside it: numbers with their differences, charts over one another.
pub(crate) fn compare(first: Report, second: Report) -> Report {
    let marked = |letter: &str, notes: &[String]| notes.iter().map(|note| format!("{letter}: {note}")).collect::<Vec<_>>();
    let verdicts = |letter: &str, report: &Report| {
        report.verdicts.as_ref().map(|found| match found.failed {
            0 => format!("{letter}: all {} checks of the data against its scenario passed.", found.passed),
            failed => format!("{letter}: {failed} of {} checks of the data against its scenario failed.", failed + found.passed),
        })
    };
    let mut notes: Vec<String> = verdicts("A", &first).into_iter().chain(verdicts("B", &second)).collect();
    notes.extend(marked("A", &first.notes));
    notes.extend(marked("B", &second.notes));
    let facts = first.facts.into_iter().map(|fact| {
        let other = second.facts.iter().find(|other| other.name == fact.name);
        beside(fact, other)
    });
    let mut others = second.sections;
    let mut sections: Vec<Section> = first
        .sections
        .into_iter()
        .map(|section| match others.iter().position(|other| other.id == section.id) {
            Some(place) => section_of_both(section, others.remove(place)),
            None => of_one(section, "A"),
        })
        .collect();
    sections.extend(others.into_iter().map(|section| of_one(section, "B")));
    Report {
        version: first.version,
        run: first.run,
        other: Some(second.run),
        facts: facts.collect(),
        verdicts: None,
        scores: Vec::new(),
        sections,
        notes,
    }
}

fn beside(fact: Fact, other: Option<&Fact>) -> Fact {
    let other = other.map(|other| {
        let variance = fact.standard_error.zip(other.standard_error).map(|(one, other)| one * one + other * other);
        let z = variance.filter(|variance| *variance > 0.0).map(|variance| (other.value - fact.value) / variance.sqrt());
        Other { value: other.value, standard_error: other.standard_error, z }
    });
    // What the scenario expects is expected of one run.
    Fact { other, expected: None, ..fact }
}

fn of_one(section: Section, letter: &str) -> Section {
    let figures = section.figures.into_iter().map(|figure| Figure { title: format!("{} ({letter} alone)", figure.title), ..figure });
    Section { figures: figures.collect(), ..section }
}

fn section_of_both(first: Section, second: Section) -> Section {
    let mut others = second.figures;
    let mut figures: Vec<Figure> = Vec::new();
    for figure in first.figures {
        match others.iter().position(|other| other.id == figure.id) {
            Some(place) => figures.push(figure_of_both(figure, others.remove(place))),
            None => figures.push(Figure { title: format!("{} (A alone)", figure.title), ..figure }),
        }
    }
    figures.extend(others.into_iter().map(|figure| Figure { title: format!("{} (B alone)", figure.title), ..figure }));
    Section { figures, ..first }
}

fn figure_of_both(first: Figure, second: Figure) -> Figure {
    let caption = if first.caption == second.caption { first.caption } else { format!("A: {} B: {}", first.caption, second.caption) };
    let mut others = second.panels;
    let mut panels = Vec::new();
    let mut apart = false;
    for panel in first.panels {
        let Some(place) = others.iter().position(|other| same_panel(&other.name, &panel.name)) else {
            panels.push(Panel { name: named("A", &panel.name), ..panel });
            continue;
        };
        let other = others.remove(place);
        match (panel.plot, other.plot) {
            (Plot::Chart(one), Plot::Chart(two)) => panels.push(Panel { name: panel.name, plot: Plot::Chart(chart(one, two)) }),
            (Plot::Heat(one), Plot::Heat(two)) => panels.push(Panel { name: panel.name, plot: Plot::Heat(heat(one, &two)) }),
            (one, two) => {
                apart = true;
                panels.push(Panel { name: named("A", &panel.name), plot: one });
                panels.push(Panel { name: named("B", &other.name), plot: two });
            }
        }
    }
    panels.extend(others.into_iter().map(|panel| Panel { name: named("B", &panel.name), ..panel }));
    let choice = if apart && first.choice.is_empty() { "Run".to_owned() } else { first.choice };
    Figure { caption, choice, panels, ..first }
}

/// Panels are of the same thing where their names are equal up to the count in brackets.
fn same_panel(one: &str, other: &str) -> bool {
    let subject = |name: &str| name.split(" (").next().unwrap_or(name).to_owned();
    subject(one) == subject(other)
}

fn named(letter: &str, name: &str) -> String {
    if name.is_empty() { letter.to_owned() } else { format!("{letter}, {name}") }
}

/// The series of both over one axis: those of B as points or dashed, in colours of their own.
fn chart(first: Chart, second: Chart) -> Chart {
    let (x, places) = axis(first.x, &second.x);
    let (y, _) = axis(first.y, &second.y);
    let categories = x.categories.len();
    let spread = |series: Series, places: &[usize]| {
        if categories == 0 {
            return series;
        }
        let numbers = |values: Vec<Option<f64>>| {
            let mut spread = vec![None; if values.is_empty() { 0 } else { categories }];
            values.into_iter().zip(places).for_each(|(value, place)| spread[*place] = value);
            spread
        };
        let mut n = vec![0; if series.n.is_empty() { 0 } else { categories }];
        series.n.iter().zip(places).for_each(|(count, place)| n[*place] = *count);
        Series { y: numbers(series.y), low: numbers(series.low), high: numbers(series.high), n, ..series }
    };
    let own: Vec<usize> = (0..categories).collect();
    let of_first = first.series.into_iter().map(|series| {
        let name = format!("A: {}", series.name);
        spread(Series { name, ..series }, &own)
    });
    let of_second = second.series.into_iter().map(|series| {
        let (name, role, draw) = (format!("B: {}", series.name), role(series.role), draw(series.draw));
        spread(Series { name, role, draw, ..series }, &places)
    });
    Chart { series: of_first.chain(of_second).collect(), x, y, ..first }
}

fn role(role: Role) -> Role {
    match role {
        Role::Observed => Role::Estimate,
        Role::Second | Role::Estimate => Role::Slow,
        Role::Truth => Role::Timeout,
        other => other,
    }
}

fn draw(draw: Draw) -> Draw {
    match draw {
        Draw::Bars => Draw::Points,
        Draw::Line => Draw::Dashed,
        other => other,
    }
}

/// An axis for both, and where on it the second's categories are.
fn axis(first: Axis, second: &Axis) -> (Axis, Vec<usize>) {
    let mut categories = first.categories;
    let places = second.categories.iter().map(|name| {
        categories.iter().position(|known| known == name).unwrap_or_else(|| {
            categories.push(name.clone());
            categories.len() - 1
        })
    });
    let places = places.collect();
    let both = |one: Option<f64>, other: Option<f64>, of: fn(f64, f64) -> f64| one.zip(other).map(|(one, other)| of(one, other));
    let (min, max) = (both(first.min, second.min, f64::min), both(first.max, second.max, f64::max));
    (Axis { categories, min, max, ..first }, places)
}

/// The observed map of each run, and how many times as much B has of a cell's share as A.
fn heat(first: Heat, second: &Heat) -> Heat {
    let row_of = |map: &Map, name: &String| {
        let row = second.y.categories.iter().position(|other| other == name)?;
        map.rows.get(row).cloned()
    };
    let mut maps = Vec::new();
    if let (Some(one), Some(two)) = (first.maps.first(), second.maps.first()) {
        let empty = vec![None; first.x.categories.len()];
        let of_b: Vec<_> = first.y.categories.iter().map(|name| row_of(two, name).unwrap_or_else(|| empty.clone())).collect();
        let ratio = |(one, two): (&Vec<Option<f64>>, &Vec<Option<f64>>)| {
            one.iter().zip(two).map(|(one, two)| one.zip(*two).filter(|(one, _)| *one > 0.0).map(|(one, two)| two / one)).collect()
        };
        let ratios = one.rows.iter().zip(&of_b).map(ratio).collect();
        maps.push(Map { name: format!("A. {}", one.name), ..one.clone() });
        maps.push(Map { name: format!("B. {}", two.name), scale: two.scale, rows: of_b });
        maps.push(Map { name: "B over A".into(), scale: Scale::Multiple, rows: ratios });
    }
    Heat { maps, ..first }
}

/// The keys in which two documents differ, as `key: value → value`; those beyond twenty are counted.
pub(crate) fn differences(first: &Value, second: &Value) -> Vec<String> {
    const MOST: usize = 20;
    let mut found = Vec::new();
    differ("", first, second, &mut found);
    let more = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    found.extend((more > 0).then(|| format!("and {more} more keys")));
    found
}

fn differ(path: &str, first: &Value, second: &Value, found: &mut Vec<String>) {
    if let (Value::Object(one), Value::Object(other)) = (first, second) {
        for key in one.keys().chain(other.keys().filter(|key| !one.contains_key(*key))) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            differ(&path, one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null), found);
        }
    } else if first != second {
        found.push(format!("{path}: {first} → {second}"));
    }
}
