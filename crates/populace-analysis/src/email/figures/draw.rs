//! The figures of mail.

use super::{
    BREAKER_BEFORE, BREAKER_BIN, CALIBRATION_BINS, Gathered, HOURS_OF_WEEK, MOST_DAYS, cell_of, deliveries, expected_opens, true_week,
};
use crate::report::figure::{Axis, Chart, Draw, Figure, Heat, Map, Mark, Panel, Plot, Role, Scale, Section, Series};
use crate::report::measure::{Rate, Sketch, agreement, binned, deviations, expected, observed, percent, quantile_of};
use populace_core::email::{Chart as EffectChart, Points};
use populace_core::time::Date;
use std::ops::Range;

/// A row of a map.
type Cells = Vec<Option<f64>>;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Bars beyond these are left out.
const MOST_BARS: usize = 24;
/// Observations below which a point says nothing.
const FEW: u64 = 5;

pub(super) fn sections(gathered: &Gathered<'_>) -> Vec<Section> {
    let clicks = gathered.clicks.figure();
    let when = vec![week(gathered), by_hour(gathered), machines(gathered), clicks, zones(gathered), delay(gathered, 0), delay(gathered, 1)];
    let leavers = [gathered.leavers.by_frequency(gathered.law), gathered.leavers.survivors(gathered.law)];
    let own_rates = gathered.own_rates.as_ref().and_then(super::people::OwnRates::figure);
    let who = [funnel(gathered), own_rates, days(gathered), campaigns(gathered)].into_iter().chain(leavers).collect();
    let effects = gathered.charts.iter().zip(&gathered.chart_rates).map(|((_, chart), rates)| effect(gathered, chart, rates));
    let variants = gathered.variants.figure(gathered.law);
    let why = effects.chain([variants, breakers(gathered), calibration(gathered)]).collect();
    let latency = vec![
        latency(gathered, "latency-minute", "Latency by the minute of the hour", &gathered.latency_by_minute, &gathered.cells_by_minute),
        latency(gathered, "latency-hour", "Latency by the hour of the day", &gathered.latency_by_hour, &gathered.cells_by_hour),
        gathered.blasts.figure(gathered.law, gathered.model),
        deliveries::by_minute(gathered),
        deliveries::by_provider(gathered),
    ];
    [
        Section::new("funnel", "Who engages", "From sending to the click, the run day by day, and the campaigns.", who),
        Section::new(
            "timing",
            "When they engage",
            "Opens by the hour and by the day of the week, and how long opens and clicks take.",
            when,
        ),
        Section::new(
            "causes",
            "What moves the open rate",
            "The open rate by what the recipient just did, by how much mail came before, and around complaints and tickets.",
            why,
        ),
        Section::new("latency", "From sending to delivery", "Latency by the minute and by the hour of sending.", latency),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Values over their mean; `None` where that is 0.
fn relative(row: &[f64]) -> Option<Cells> {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    (mean > 0.0).then(|| row.iter().map(|value| Some(value / mean)).collect())
}

fn hours() -> impl Iterator<Item = String> {
    (0..24).map(|hour| format!("{hour:02}"))
}

/// Engagement by hour of the week beside the true timing factor.
fn week(gathered: &Gathered<'_>) -> Option<Figure> {
    let present = gathered.present();
    let empty = vec![None; HOURS_OF_WEEK];
    let seen = |persona: usize| {
        let counts: Vec<f64> = gathered.engagement[persona].iter().map(|count| *count as f64).collect();
        relative(&counts).unwrap_or_else(|| empty.clone())
    };
    let map = |name: &str, scale, rows| Map { name: name.into(), scale, rows };
    let mut maps =
        vec![map("Observed: when mail is opened", Scale::Multiple, present.iter().map(|&persona| seen(persona)).collect::<Vec<_>>())];
    let mut agree = String::new();
    if let Some(law) = gathered.law {
        let known = |persona: &&usize| **persona < law.personas().len();
        let weeks: Vec<(usize, Vec<f64>)> =
            present.iter().filter(known).map(|&persona| (persona, expected_opens(law, persona, &gathered.open_mass))).collect();
        let rows_of = |row: &dyn Fn(usize, &[f64]) -> Option<Cells>| -> Vec<Cells> {
            let of = |persona: &usize| weeks.iter().find(|(of, _)| of == persona).and_then(|(_, week)| row(*persona, week));
            present.iter().map(|persona| of(persona).unwrap_or_else(|| empty.clone())).collect()
        };
        maps.push(map("True: when it is expected to be opened", Scale::Multiple, rows_of(&|_, week| relative(week))));
        // The count of an hour is a sum of many rare events, so that its variance is about its expectation.
        let counts = |persona: usize| gathered.engagement[persona].iter().map(|count| *count as f64);
        let z = |count: f64, expected: f64| (expected >= 1.0).then(|| (count - expected) / expected.sqrt());
        let errors = |persona: usize, week: &[f64]| Some(counts(persona).zip(week).map(|(count, expected)| z(count, *expected)).collect());
        maps.push(map("Observed − expected opens, in standard errors", Scale::StandardErrors, rows_of(&errors)));
        maps.push(map(
            "True: timing factor of mail delivered then",
            Scale::Multiple,
            rows_of(&|persona, _| relative(&true_week(law, persona))),
        ));
        agree = deviations(
            weeks.iter().flat_map(|(persona, week)| counts(*persona).zip(week).map(|(count, expected)| (count, *expected, *expected))),
        );
    }
    if maps.iter().all(|map| map.rows.iter().flatten().flatten().next().is_none()) {
        return None;
    }
    let categories = DAYS.iter().flat_map(|_| hours()).map(|hour| format!("{hour}:00"));
    let mut x = Axis::categories("Hour of the week", categories);
    x.groups = DAYS.map(str::to_owned).to_vec();
    let heat = Heat { x, y: Axis::categories(gathered.who(), present.iter().map(|&persona| gathered.names[persona].clone())), maps };
    let caption = format!(
        "Each row is {}, each column an hour of the week on the recipients' clock. Colours are multiples of the row's own mean.{agree}",
        if gathered.law.is_some() { "a persona" } else { "all recipients" }
    );
    Some(Figure::new("week", "Opens by hour of the week", caption, Plot::Heat(heat)).wide())
}

/// Open rate by hour of the day, a panel for each persona.
fn by_hour(gathered: &Gathered<'_>) -> Option<Figure> {
    let panel = |persona: usize| {
        let mut series = Vec::new();
        for (kind, name, role) in [(0, "Monday to Friday", Role::Observed), (1, "Saturday, Sunday", Role::Estimate)] {
            let rates = &gathered.by_hour[persona][kind];
            let clear: Vec<Rate> = rates.iter().map(|rate| if rate.n < FEW { Rate::default() } else { *rate }).collect();
            if gathered.law.is_some() {
                let mut truth = expected(&format!("{name}, true"), if kind == 0 { Draw::Line } else { Draw::Dashed }, &clear);
                truth.role = Role::Truth;
                series.push(truth);
            }
            series.push(observed(&format!("{name}, observed"), role, Draw::Points, &clear));
        }
        let chart = Chart {
            x: Axis::categories("Hour of delivery, on the recipients' clock", hours()),
            y: Axis::share("Opened, of delivered"),
            series,
            ..Chart::default()
        };
        Panel { name: gathered.names[persona].clone(), plot: Plot::Chart(chart) }
    };
    let panels: Vec<Panel> = gathered.present().into_iter().map(panel).collect();
    let caption = format!(
        "Share of messages opened by the hour at which they were delivered; the true curve has all factors in it. Hours with fewer than {FEW} messages are left out.{}",
        agreement(gathered.by_hour.iter().flatten().flatten())
    );
    (!panels.is_empty()).then(|| Figure::choice("open-hour", "Open rate by hour of the day", caption, gathered.who(), panels).wide())
}

/// Opens by the hour, by people's own clients and by those that open ahead.
fn machines(gathered: &Gathered<'_>) -> Option<Figure> {
    let [own, ahead] = &gathered.open_hours;
    let total: u64 = ahead.iter().sum();
    if total == 0 {
        return None;
    }
    let of = |counts: &[u64; 24]| counts.iter().map(|count| Some(*count as f64)).collect();
    let series = vec![
        Series::new("by clients that open ahead", Role::Second, Draw::Bars, of(ahead)),
        Series::new("by people's own clients", Role::Observed, Draw::Bars, of(own)),
    ];
    let chart = Chart {
        x: Axis::categories("Hour of the open, on the recipients' clock", hours()),
        y: Axis::number("Opens", "").from_zero(),
        series,
        ..Chart::default()
    };
    let share = 100.0 * total as f64 / (total + own.iter().sum::<u64>()) as f64;
    let caption = format!(
        "{share:.1}% of the opens are by clients that fetch a message's images ahead of their users, most of them at night: who learns \
         from all opens when people read learns when phones are charged."
    );
    Some(Figure::new("machine-opens", "Opens by people and by machines", caption, Plot::Chart(chart)))
}

/// Opens by zone and hour of the day, on the recipients' clock and on that of UTC.
fn zones(gathered: &Gathered<'_>) -> Option<Figure> {
    let zones = gathered.model.zones()?.list();
    let rows = |clock: usize| -> Vec<Cells> {
        let of = |counts: &[[u64; 24]; 2]| counts[clock].map(|count| count as f64);
        gathered.zone_hours.iter().map(|counts| relative(&of(counts)).unwrap_or_else(|| vec![None; 24])).collect()
    };
    let maps = [("On the recipients' clock", 0), ("In UTC", 1)];
    let maps: Vec<Map> =
        maps.into_iter().map(|(name, clock)| Map { name: name.into(), scale: Scale::Multiple, rows: rows(clock) }).collect();
    let is_empty = maps.iter().all(|map| map.rows.iter().flatten().flatten().next().is_none());
    let heat = Heat {
        x: Axis::categories("Hour of the open", hours()),
        y: Axis::categories("Time zone", zones.iter().map(|zone| zone.name.to_owned())),
        maps,
    };
    let caption = "Each row is a time zone, each column an hour of the day. Colours are multiples of the row's own mean. What is added up over \
                   zones by the hour of UTC is a mixture of mornings and evenings. Opens by machines are left out.";
    (!is_empty).then(|| Figure::new("time-zones", "Opens by time zone and hour", caption, Plot::Heat(heat)))
}

/// Delivered, opened and clicked by persona.
fn funnel(gathered: &Gathered<'_>) -> Option<Figure> {
    let present = gathered.present();
    if present.is_empty() {
        return None;
    }
    let funnels: Vec<_> = present.iter().map(|&persona| gathered.funnels[persona]).collect();
    let of_sent = |n: u64, sent: u64| (sent > 0).then(|| n as f64 / sent as f64);
    let mut delivered =
        Series::new("delivered", Role::Third, Draw::Bars, funnels.iter().map(|one| of_sent(one.delivered, one.sent)).collect());
    delivered.n = funnels.iter().map(|one| one.sent).collect();
    let rates = |of: fn(&super::Funnel) -> Rate| -> Vec<Rate> {
        // Of sent: the messages that were not delivered count as neither opened nor clicked.
        funnels
            .iter()
            .map(|one| {
                let mut rate = of(one);
                (one.delivered..one.sent).for_each(|_| rate.add(false, Some(0.0)));
                rate
            })
            .collect()
    };
    let (opens, clicks) = (rates(|one| one.opens), rates(|one| one.clicks));
    let mut series =
        vec![delivered, observed("opened", Role::Second, Draw::Bars, &opens), observed("clicked", Role::Observed, Draw::Bars, &clicks)];
    if gathered.law.is_some() {
        series.push(expected("opened, true", Draw::Ticks, &opens));
        series.push(expected("clicked, true", Draw::Ticks, &clicks));
    }
    let chart = Chart {
        x: Axis::categories(gathered.who(), present.iter().map(|&persona| gathered.names[persona].clone())),
        y: Axis::share("Of messages sent").between(0.0, 1.0),
        series,
        horizontal: true,
        ..Chart::default()
    };
    let total = gathered.total();
    let share = |hits: u64| 100.0 * hits as f64 / total.sent.max(1) as f64;
    let caption = format!(
        "Of 100 messages sent, {:.0} are delivered, {:.0} opened and {:.0} clicked.{}{}",
        share(total.delivered),
        share(total.opens.hits),
        share(total.clicks.hits),
        if gathered.law.is_some() { " The ticks are the sums of the true probabilities." } else { "" },
        agreement(opens.iter().chain(&clicks))
    );
    Some(Figure::new("funnel-persona", "The funnel", caption, Plot::Chart(chart)))
}

/// Events by day.
fn days(gathered: &Gathered<'_>) -> Option<Figure> {
    let (mut first, mut last) = (*gathered.days.keys().next()?, *gathered.days.keys().next_back()?);
    if gathered.law.is_some() {
        // What spills past the window is not a day of it.
        let window = &gathered.config.window;
        (first, last) = (window.start.0, window.start.0 + window.days as i32 - 1);
    }
    if (last - first) as usize >= MOST_DAYS {
        return None;
    }
    let kinds = [
        ("sent", Role::Reference, Draw::Dashed),
        ("delivered", Role::Second, Draw::Line),
        ("opened", Role::Observed, Draw::Line),
        ("clicked", Role::Estimate, Draw::Line),
    ];
    let of = |kind: usize| (first..=last).map(|day| Some(gathered.days.get(&day).map_or(0.0, |counts| counts[kind] as f64))).collect();
    let series = kinds.iter().enumerate().map(|(kind, (name, role, draw))| Series::new(name, *role, *draw, of(kind))).collect();
    let chart = Chart {
        x: Axis::categories("Day (UTC)", (first..=last).map(|day| Date(day).to_string())),
        y: Axis::number("Events a day", "").from_zero(),
        series,
        ..Chart::default()
    };
    let caption = "Events of each type by the day on which they happened.";
    Some(Figure::new("days", "The run day by day", caption, Plot::Chart(chart)))
}

/// Open rates by campaign.
fn campaigns(gathered: &Gathered<'_>) -> Option<Figure> {
    let mut campaigns: Vec<(&String, &Rate)> = gathered.campaigns.iter().collect();
    campaigns.sort_by_key(|(_, rate)| std::cmp::Reverse(rate.n));
    campaigns.truncate(MOST_BARS);
    let rates: Vec<Rate> = campaigns.iter().map(|(_, rate)| **rate).collect();
    let mut series = vec![observed("observed", Role::Observed, Draw::Bars, &rates)];
    if gathered.law.is_some() {
        series.push(expected("true", Draw::Ticks, &rates));
    }
    let chart = Chart {
        x: Axis::categories("Campaign", campaigns.iter().map(|(id, _)| id.replace('_', " "))),
        y: Axis::share("Opened, of delivered"),
        series,
        horizontal: true,
        ..Chart::default()
    };
    let left_out = gathered.campaigns.len().saturating_sub(MOST_BARS);
    let left_out = if left_out > 0 { format!(" {left_out} smaller ones are left out.") } else { String::new() };
    let caption =
        format!("Opens by campaign, that with the most delivered messages first.{left_out}{}", agreement(gathered.campaigns.values()));
    (!rates.is_empty()).then(|| Figure::new("campaign", "Open rate by campaign", caption, Plot::Chart(chart)))
}

/// How long opens or clicks take.
fn delay(gathered: &Gathered<'_>, step: usize) -> Option<Figure> {
    let counts = &gathered.delays[step];
    if counts.iter().all(|count| *count == 0) {
        return None;
    }
    let mass: Vec<f64> = gathered.delay_mass[step].iter().map(|mass| mass.value()).collect();
    let (series, agree) = binned(counts, gathered.law.map(|_| &mass[..]));
    let (id, title, axis) = [
        ("open-delay", "From delivery to open", "Time from delivery to open"),
        ("click-delay", "From open to click", "Time from open to click"),
    ][step];
    let text = |minutes: f64| if minutes < 60.0 { format!("{minutes} min") } else { format!("{} h", minutes / 60.0) };
    let ends = gathered.ends[step];
    let names = ends.iter().map(|end| format!("≤ {}", text(*end))).chain(ends.last().map(|end| format!("> {}", text(*end))));
    let chart = Chart { x: Axis::categories(axis, names), y: Axis::share(["Of opens", "Of clicks"][step]), series, ..Chart::default() };
    let caption = format!(
        "Each bar holds what took longer than the bar before it. {} that a circuit breaker may have silenced are left out.{agree}",
        ["Opens", "Clicks"][step]
    );
    Some(Figure::new(id, title, caption, Plot::Chart(chart)))
}

/// Open rates by the points of an effect.
fn effect(gathered: &Gathered<'_>, of: &EffectChart, rates: &[Rate]) -> Option<Figure> {
    let share = |points: &Range<usize>| {
        let mut all = Rate::default();
        rates[points.clone()].iter().for_each(|rate| all.merge(rate));
        percent(all.share())
    };
    let chart = match &of.points {
        Points::Named(names) => {
            let mut series = vec![observed("observed", Role::Observed, Draw::Bars, rates)];
            if gathered.law.is_some() {
                series.push(expected("true", Draw::Ticks, rates));
            }
            Chart { x: Axis::categories(&of.axis, names.iter().cloned()), series, ..Chart::default() }
        }
        Points::Steps { width, unit, end, others } => {
            let (without, steps) = rates.split_last()?;
            if steps.iter().all(|rate| rate.n == 0) {
                return None;
            }
            // The last ones may be too few to say anything.
            let steps: Vec<Rate> = steps.iter().map(|rate| if rate.n < 4 * FEW { Rate::default() } else { *rate }).collect();
            let places = (0..steps.len()).map(|step| (step as f64 + 0.5) * width);
            let mut series = Vec::new();
            if gathered.law.is_some() {
                series.push(expected("true", Draw::Line, &steps).at(places.clone()));
            }
            series.push(observed("observed", Role::Observed, Draw::Points, &steps).at(places));
            let name = format!("observed {others}");
            series.push(Series::new(&name, Role::Reference, Draw::Dashed, vec![without.share(); 2]).at([0.0, *end]));
            Chart { x: Axis::number(&of.axis, unit).between(0.0, *end), series, ..Chart::default() }
        }
    };
    let caption =
        of.shares.iter().fold(of.caption.clone(), |caption, points| caption.replacen("{}", &share(points), 1)) + &agreement(rates);
    let chart = Chart { y: Axis::share("Opened, of delivered"), ..chart };
    Some(Figure::new(of.id, of.title, caption, Plot::Chart(chart)))
}

fn breakers(gathered: &Gathered<'_>) -> Option<Figure> {
    let panel = |(hours, rates): (&i64, &Vec<Rate>)| {
        let windows = *gathered.breaker_windows.get(hours).unwrap_or(&0);
        let middle = |bin: usize| (bin as i64 * BREAKER_BIN - BREAKER_BEFORE) as f64 + BREAKER_BIN as f64 / 2.0;
        let places = (0..rates.len()).map(middle);
        let mut series = Vec::new();
        if gathered.law.is_some() {
            series.push(expected("true", Draw::Line, rates).at(places.clone()));
        }
        series.push(observed("observed", Role::Observed, Draw::Points, rates).at(places));
        let chart = Chart {
            x: Axis::number("Hours from the circuit breaker to the delivery", "h")
                .between(-BREAKER_BEFORE as f64, (rates.len() as i64 * BREAKER_BIN - BREAKER_BEFORE) as f64),
            y: Axis::share("Opened, of delivered"),
            series,
            marks: vec![Mark { from: 0.0, to: Some(*hours as f64), label: "suppressed".into() }],
            ..Chart::default()
        };
        Panel { name: format!("{hours} hours ({windows} breakers)"), plot: Plot::Chart(chart) }
    };
    let seen = || gathered.breakers.iter().filter(|(hours, _)| gathered.breaker_windows.contains_key(hours));
    let during = |(hours, rates): (&i64, &'_ Vec<Rate>)| {
        let bins = (BREAKER_BEFORE / BREAKER_BIN) as usize..((BREAKER_BEFORE + hours) / BREAKER_BIN) as usize;
        rates[bins].iter().map(|rate| rate.hits).sum::<u64>()
    };
    let caption = format!(
        "Opened by the time from a complaint or a ticket to the delivery; {} opened while suppressed. Breakers that overlap another are left out.{}",
        seen().map(during).sum::<u64>(),
        agreement(seen().flat_map(|(_, rates)| rates))
    );
    let panels: Vec<Panel> = seen().map(panel).collect();
    (!panels.is_empty()).then(|| Figure::choice("breaker", "Around a circuit breaker", caption, "Lasting", panels))
}

fn calibration(gathered: &Gathered<'_>) -> Option<Figure> {
    gathered.law?;
    let kept: Vec<&Rate> = gathered.calibration.iter().filter(|rate| rate.n >= FEW).collect();
    let rates: Vec<Rate> = kept.iter().map(|rate| **rate).collect();
    let places: Vec<f64> = rates.iter().filter_map(Rate::mean_expected).collect();
    let chart = Chart {
        x: Axis::share("True probability of an open").between(0.0, 1.0),
        y: Axis::share("Opened, of delivered").between(0.0, 1.0),
        series: vec![observed("observed", Role::Observed, Draw::Points, &rates).at(places)],
        diagonal: Some("observed = true".into()),
        ..Chart::default()
    };
    let caption = format!(
        "Messages in {CALIBRATION_BINS} groups by their true probability of an open, with the share that was opened.{}",
        agreement(&rates)
    );
    (!rates.is_empty()).then(|| Figure::new("open-calibration", "Calibration of the true probability", caption, Plot::Chart(chart)))
}

/// Median and 95% of the latency.
fn latency(gathered: &Gathered<'_>, id: &str, title: &str, sketches: &[Sketch], cells: &[[u64; 8]]) -> Option<Figure> {
    if sketches.iter().all(|sketch| sketch.n() == 0) {
        return None;
    }
    let mut series = Vec::new();
    for (q, name, role) in [(0.95, "95%", Role::Second), (0.5, "median", Role::Observed)] {
        if let Some(law) = gathered.law {
            let truth = cells.iter().map(|cells| true_latency(law, cells, q)).collect();
            let draw = if q == 0.5 { Draw::Line } else { Draw::Dashed };
            series.push(Series::new(&format!("{name}, true"), Role::Truth, draw, truth));
        }
        let mut seen =
            Series::new(&format!("{name}, observed"), role, Draw::Points, sketches.iter().map(|sketch| sketch.quantile(q)).collect());
        seen.n = sketches.iter().map(Sketch::n).collect();
        series.push(seen);
    }
    let by_minute = sketches.len() == 60;
    let categories: Vec<String> = (0..sketches.len()).map(|place| format!("{place:02}")).collect();
    let chart = Chart {
        x: Axis::categories(if by_minute { "Minute of the hour of sending" } else { "Hour of the day of sending" }, categories),
        y: Axis::number("Latency", "s").from_zero(),
        series,
        ..Chart::default()
    };
    let slowest = (0..sketches.len())
        .max_by(|a, b| sketches[*a].quantile(0.5).unwrap_or(0.0).total_cmp(&sketches[*b].quantile(0.5).unwrap_or(0.0)))?;
    let fastest = (0..sketches.len())
        .filter(|place| sketches[*place].n() > 0)
        .min_by(|a, b| sketches[*a].quantile(0.5).unwrap_or(0.0).total_cmp(&sketches[*b].quantile(0.5).unwrap_or(0.0)))?;
    let caption = format!(
        "The median is longest at {} {slowest:02}, {:.1} s, and shortest at {} {fastest:02}, {:.1} s.",
        if by_minute { "minute" } else { "hour" },
        sketches[slowest].quantile(0.5)?,
        if by_minute { "minute" } else { "hour" },
        sketches[fastest].quantile(0.5)?,
    );
    Some(Figure::new(id, title, caption, Plot::Chart(chart)))
}

/// The quantile of the law's latency, given how many messages met each kind of congestion.
fn true_latency(law: &crate::email::Law<'_>, cells: &[u64; 8], q: f64) -> Option<f64> {
    let total: u64 = cells.iter().sum();
    if total == 0 {
        return None;
    }
    let cdf = |seconds: f64| {
        let met = cells.iter().enumerate().filter(|(_, count)| **count > 0);
        met.map(|(index, count)| *count as f64 / total as f64 * law.model().latency_cdf(cell_of(index), seconds)).sum::<f64>()
    };
    let mut high = 1.0;
    while cdf(high) < q && high < 1e9 {
        high *= 2.0;
    }
    Some(quantile_of(cdf, q, 0.0, high))
}
