//! The figures of traces.

use super::{AROUND, Example, Fault, Gathered, graph, seconds};
use crate::report::figure::{Axis, Boxes, Chart, Draw, Figure, Mark, Panel, Plot, Role, Section, Series, Span, Spans};
use crate::report::measure::{Rate, Sketch, agreement, observed, quantile_of, wilson};
use crate::traces::Law;
use populace_core::time::Date;
use std::collections::BTreeSet;

/// The quantiles of a box.
const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Days beyond these are not drawn day by day.
const MOST_DAYS: i32 = 4_000;

pub(super) fn sections(gathered: &Gathered<'_>) -> Vec<Section> {
    [
        Section::new(
            "workflow",
            "The workflow",
            "Every call is a step of a walk from endpoint to endpoint.",
            vec![workflow(gathered), learned(gathered), lengths(gathered)],
        ),
        Section::new(
            "responses",
            "Responses",
            "Response times of calls that no fault struck, and how calls end.",
            vec![responses(gathered), statuses(gathered)],
        ),
        Section::new(
            "cascades",
            "Sessions and cascades",
            "Calls one by one, and the faults of a cascade: calls that are slow, time out or are refused.",
            vec![examples(gathered), around(gathered), days(gathered)],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn workflow(gathered: &Gathered<'_>) -> Option<Figure> {
    let graph = graph::graph(gathered)?;
    let compared = graph.edges.iter().filter(|edge| edge.truth.is_some() && edge.standard_error > 0.0);
    let (mut total, mut near) = (0, 0);
    for edge in compared {
        total += 1;
        near += usize::from((edge.learned - edge.truth.unwrap_or(0.0)).abs() <= 2.0 * edge.standard_error);
    }
    let ends = if total > 0 {
        format!(" {near} of {total} learned probabilities lie within two standard errors of the true ones; about 95% should.")
    } else {
        String::new()
    };
    let caption = format!(
        "Circles are endpoints, larger where more calls go; arrows are transitions, thicker where more sessions take them. Point at an endpoint, or tap it, for the probabilities of all its transitions.{ends}"
    );
    let title = gathered.law.map_or_else(|| "The workflow as a graph".into(), |law| format!("{} as a graph", law.config().workflow.name));
    Some(Figure::new("workflow-graph", &title, caption, Plot::Graph(graph)).wide())
}

fn learned(gathered: &Gathered<'_>) -> Option<Figure> {
    let law = gathered.law?;
    let names = gathered.endpoints.names();
    let edges: Vec<_> = graph::edges(gathered).into_iter().filter(|edge| edge.standard_error > 0.0 || edge.n > 0).collect();
    let mut left = vec![0; names.len()];
    for edge in &edges {
        left[edge.from] += edge.n;
    }
    let ends: Vec<_> = edges.iter().map(|edge| wilson(edge.n, left[edge.from])).collect();
    let mut series = Series::new("transition", Role::Observed, Draw::Points, edges.iter().map(|edge| Some(edge.learned)).collect())
        .at(edges.iter().map(|edge| edge.truth.unwrap_or(0.0)));
    series.low = ends.iter().map(|ends| ends.map(|ends| ends.0)).collect();
    series.high = ends.iter().map(|ends| ends.map(|ends| ends.1)).collect();
    series.n = edges.iter().map(|edge| left[edge.from]).collect();
    series.names = edges.iter().map(|edge| format!("{} → {}", names[edge.from], names[edge.to])).collect();
    let impossible = edges.iter().filter(|edge| edge.truth == Some(0.0)).count();
    let never =
        if impossible == 0 { "none was seen that cannot happen".to_owned() } else { format!("{impossible} were seen that cannot happen") };
    let within = |(edge, ends): (&_, &Option<(f64, f64)>)| {
        let edge: &crate::report::figure::Edge = edge;
        ends.zip(edge.truth).is_some_and(|((low, high), truth)| (low..=high).contains(&truth))
    };
    let caption = format!(
        "Each point is one of the {} transitions of {}: its share in the data against its true probability. {} of the intervals contain the true probability (about 95% should); {never}.",
        edges.len(),
        law.config().workflow.name,
        edges.iter().zip(&ends).filter(|pair| within(*pair)).count()
    );
    let chart = Chart {
        x: Axis::share("True probability").between(0.0, 1.0),
        y: Axis::share("Learned probability").between(0.0, 1.0),
        series: vec![series],
        diagonal: Some("learned = true".into()),
        ..Chart::default()
    };
    (!edges.is_empty()).then(|| Figure::new("learned", "Learned against true probabilities", caption, Plot::Chart(chart)))
}

fn lengths(gathered: &Gathered<'_>) -> Option<Figure> {
    let law = gathered.law.map(|law| law.model().walks());
    // Lengths that are as good as impossible are not drawn.
    let possible = law.as_ref().and_then(|walks| walks.lengths.iter().rposition(|p| *p > 1e-4)).unwrap_or(0);
    let longest = gathered.lengths.iter().rposition(|count| *count > 0)?.max(possible);
    let share = |length: usize| Rate::counted(gathered.lengths.get(length).copied().unwrap_or(0), gathered.sessions);
    let rates: Vec<Rate> = (1..=longest).map(share).collect();
    let mut series = vec![observed("observed", Role::Observed, Draw::Bars, &rates)];
    let mut caption = "Share of sessions by their number of calls, retries not counted.".to_owned();
    if let Some(walks) = &law {
        series.push(Series::new(
            "true",
            Role::Truth,
            Draw::Ticks,
            (1..=longest).map(|length| Some(walks.lengths.get(length).copied().unwrap_or(0.0))).collect(),
        ));
        caption = format!(
            "{caption} The ticks are the exact distribution of walks through the workflow; {:.1}% of them are cut off at {} calls.",
            100.0 * walks.truncated,
            walks.lengths.len() - 1
        );
    }
    let names = (1..=longest).map(|length| length.to_string());
    let chart = Chart { x: Axis::categories("Calls in a session", names), y: Axis::share("Of sessions"), series, ..Chart::default() };
    Some(Figure::new("length", "Length of sessions", caption, Plot::Chart(chart)))
}

fn responses(gathered: &Gathered<'_>) -> Option<Figure> {
    let names = gathered.endpoints.names();
    let mut shown: Vec<usize> =
        (0..names.len()).filter(|&state| gathered.responses.get(state).is_some_and(|sketch| sketch.n() > 0)).collect();
    let median = |state: &usize| gathered.responses[*state].quantile(0.5).unwrap_or(0.0);
    shown.sort_by(|a, b| median(b).total_cmp(&median(a)));
    let (slowest, fastest) = (shown.first()?, shown.last()?);
    let caption = format!(
        "Half of the calls of {} take longer than {:.0} ms; of {}, {:.0} ms. Boxes hold the middle half of the calls, lines 5% to 95%; calls that a fault struck are left out.",
        names[*slowest],
        median(slowest),
        names[*fastest],
        median(fastest)
    );
    let five = |sketch: &Sketch| -> Option<[f64; 5]> {
        let values: Vec<f64> = QUANTILES.iter().filter_map(|q| sketch.quantile(*q)).collect();
        values.try_into().ok()
    };
    let truth = |state: usize| gathered.law.filter(|law| state < law.names().len()).map(|law| true_five(law, state));
    let boxes = Boxes {
        x: Axis::categories("Endpoint", shown.iter().map(|&state| names[state].clone())),
        y: Axis::number("Response time", "ms").from_zero(),
        observed: shown.iter().map(|&state| five(&gathered.responses[state])).collect(),
        truth: shown.iter().map(|&state| truth(state)).collect(),
        n: shown.iter().map(|&state| gathered.responses[state].n()).collect(),
    };
    Some(Figure::new("response-times", "Response times by endpoint", caption, Plot::Boxes(boxes)).wide())
}

fn statuses(gathered: &Gathered<'_>) -> Option<Figure> {
    let truth = gathered.law.map(|law| super::statuses(law.model()));
    let possible = truth.iter().flatten().filter(|(_, share)| **share > 0.0).map(|(status, _)| *status);
    let codes: BTreeSet<i64> = gathered.statuses.keys().copied().chain(possible).collect();
    let n = gathered.statuses.values().sum();
    let rates: Vec<Rate> = codes.iter().map(|code| Rate::counted(gathered.statuses.get(code).copied().unwrap_or(0), n)).collect();
    let mut series = vec![observed("observed", Role::Observed, Draw::Bars, &rates)];
    if let Some(truth) = &truth {
        series.push(Series::new(
            "true",
            Role::Truth,
            Draw::Ticks,
            codes.iter().map(|code| truth.get(code).copied().or(Some(0.0))).collect(),
        ));
    }
    let chart = Chart {
        x: Axis::categories("Status code", codes.iter().map(ToString::to_string)),
        y: Axis::share("Of calls, retries among them"),
        series,
        horizontal: true,
        ..Chart::default()
    };
    let caption = "Calls by the status code of their response. 503 and 504 come from cascades too, which strike many calls of one session.";
    (n > 0 && codes.len() <= 40).then(|| Figure::new("statuses", "Status codes", caption, Plot::Chart(chart)))
}

fn true_five(law: &Law<'_>, state: usize) -> [f64; 5] {
    let mut high = 1.0;
    while law.response_cdf(state, high) < 0.999 && high < 1e9 {
        high *= 2.0;
    }
    QUANTILES.map(|q| quantile_of(|ms| law.response_cdf(state, ms), q, 0.0, high))
}

/// One session without and one with faults, call by call.
fn examples(gathered: &Gathered<'_>) -> Option<Figure> {
    let panel = |(name, example): (&str, &Example)| Panel { name: name.into(), plot: Plot::Spans(spans(gathered, example)) };
    let examples = [("with a cascade", gathered.struck.as_ref()), ("without faults", gathered.healthy.as_ref())];
    let panels: Vec<Panel> = examples.into_iter().filter_map(|(name, example)| Some(panel((name, example?)))).collect();
    let caption = "Every call of one session, from its start to its response.";
    (!panels.is_empty()).then(|| Figure::choice("session", "A session, call by call", caption, "Session", panels).wide())
}

fn spans(gathered: &Gathered<'_>, example: &Example) -> Spans {
    let names = gathered.endpoints.names();
    let calls = &example.session.calls;
    let start = calls.iter().map(|call| call.time).min();
    let lanes = calls.iter().map(|call| format!("{}{}", names[call.endpoint], if call.is_retry { " (retry)" } else { "" }));
    let span = |(lane, (call, fault)): (usize, (&crate::traces::Call, &Fault))| {
        let milliseconds = call.response_time_ms.unwrap_or(0.0);
        let from = start.map_or(0.0, |start| seconds(start, call.time));
        let (role, what) = match fault {
            Fault::None if call.is_retry => (Role::Second, "retry"),
            Fault::None => (Role::Observed, "answered"),
            Fault::Slow => (Role::Slow, "slow"),
            Fault::Timeout => (Role::Timeout, "timed out"),
            Fault::Refused => (Role::Refused, "refused"),
        };
        let status = call.status_code.map_or_else(String::new, |status| format!(", status {status}"));
        Span { lane, start: from, end: from + milliseconds / 1_000.0, role, label: format!("{what}{status}, {milliseconds:.0} ms") }
    };
    Spans {
        x: Axis::number("Since the session began", "s").from_zero(),
        lanes: lanes.collect(),
        spans: calls.iter().zip(&example.faults).enumerate().map(span).collect(),
    }
}

/// What happens to calls around the start of a cascade.
fn around(gathered: &Gathered<'_>) -> Option<Figure> {
    if gathered.cascades == 0 {
        return None;
    }
    let kinds = [("slow", Role::Slow), ("timed out", Role::Timeout), ("refused", Role::Refused)];
    let law = gathered.law.map(|law| {
        let cascade = &law.config().cascade;
        [cascade.slow, cascade.timeout, cascade.unavailable]
    });
    let places = (-AROUND..=AROUND).map(|place| place as f64);
    let mut series = Vec::new();
    let (mut known, mut before) = (Vec::new(), 0);
    for (kind, (name, role)) in kinds.into_iter().enumerate() {
        let rates: Vec<Rate> = gathered.around.iter().map(|rates| rates[kind]).collect();
        if let Some(law) = law {
            // Nothing lies between the last call before and the first within.
            let truth = [Some(0.0), Some(0.0), None, Some(law[kind]), Some(law[kind])];
            let ends = [-AROUND as f64 - 0.5, -0.5, -0.5, -0.5, AROUND as f64 + 0.5];
            series.push(Series::new(&format!("{name}, true"), role, Draw::Dashed, truth.to_vec()).at(ends));
        }
        series.push(observed(&format!("{name}, observed"), role, Draw::Points, &rates).at(places.clone()));
        let within = rates.iter().skip(AROUND as usize).filter(|_| law.is_some());
        known.extend(within.map(|rate| rate.of(law.map_or(0.0, |law| law[kind]))));
        before += rates.iter().take(AROUND as usize).map(|rate| rate.hits).sum::<u64>();
    }
    let chart = Chart {
        x: Axis::number("Calls since the cascade began; the ends hold all beyond", "").between(-AROUND as f64 - 0.5, AROUND as f64 + 0.5),
        y: Axis::share("Of calls"),
        series,
        marks: vec![Mark { from: -0.5, to: Some(AROUND as f64 + 0.5), label: "cascade".into() }],
        ..Chart::default()
    };
    let caption =
        format!("{} sessions with a cascade; {before} calls before its start have a fault.{}", gathered.cascades, agreement(&known));
    Some(Figure::new("cascade", "Around the start of a cascade", caption, Plot::Chart(chart)))
}

fn days(gathered: &Gathered<'_>) -> Option<Figure> {
    let (first, last) = gathered.span()?;
    if last - first >= MOST_DAYS {
        return None;
    }
    let of = |day: i32| gathered.days.get(&day).copied().unwrap_or((0, 0));
    let failed = gathered.days.values().any(|(_, failed)| *failed > 0);
    let mut series = vec![Series::new("all calls", Role::Observed, Draw::Line, (first..=last).map(|day| Some(of(day).0 as f64)).collect())];
    if failed {
        series.push(Series::new(
            "timed out or refused",
            Role::Refused,
            Draw::Line,
            (first..=last).map(|day| Some(of(day).1 as f64)).collect(),
        ));
    }
    let chart = Chart {
        x: Axis::categories("Day (UTC)", (first..=last).map(|day| Date(day).to_string())),
        y: Axis::number("Calls a day", "").from_zero(),
        series,
        ..Chart::default()
    };
    let caption = if failed {
        "Calls by day, retries among them, and those that timed out or were refused."
    } else {
        "Calls by day; none timed out or was refused by a cascade."
    };
    Some(Figure::new("calls-day", "The run day by day", caption, Plot::Chart(chart)))
}
