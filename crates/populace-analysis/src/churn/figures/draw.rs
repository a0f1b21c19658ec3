//! The figures of churn.

use super::{AROUND, BINS, Gathered, SILENCE, Survival};
use crate::report::figure::{Axis, Chart, Draw, Figure, Mark, Panel, Plot, Role, Section, Series};
use crate::report::measure::{Rate, Z, agreement, expected, observed, percent, wilson};
use crate::stats::Sum;
use populace_core::churn::EventType;
use populace_core::time::Date;
use statrs::distribution::{Beta, ContinuousCDF};

pub(super) fn sections(gathered: &Gathered<'_>) -> Vec<Section> {
    [
        Section::new(
            "survival",
            "Who stays",
            "Churn, by the dates of the truth tables and by what the data shows.",
            vec![survival(gathered), calibration(gathered), around(gathered)],
        ),
        Section::new(
            "engagement",
            "How they engage",
            "Activity, by the latent engagement and by day.",
            vec![engagement(gathered), activity(gathered), days(gathered)],
        ),
        Section::new(
            "events",
            "What they do and pay",
            "Events by type, and payments.",
            vec![mix(gathered), payments(gathered, false), payments(gathered, true)],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn survival(gathered: &Gathered<'_>) -> Option<Figure> {
    let mut all = gathered.plans[0].clone();
    let paid = &gathered.plans[1];
    all.users += paid.users;
    crate::stats::Merge::combine(&mut all.probability, paid.probability);
    for (sum, more) in all.churned.iter_mut().zip(&paid.churned).chain(all.last_event.iter_mut().zip(&paid.last_event)) {
        *sum += more;
    }
    let plans = [("all users", &all), ("free plan", &gathered.plans[0]), ("paid plan", paid)];
    let panels: Vec<Panel> = plans.into_iter().filter(|(_, plan)| plan.users > 0).map(|(name, plan)| curve(gathered, name, plan)).collect();
    let left = 1.0 - all.churned.iter().sum::<u64>() as f64 / all.users.max(1) as f64;
    let seen = if gathered.truth { format!("{} of the users stay to the end. ", percent(Some(left))) } else { String::new() };
    let caption = format!(
        "{seen}The true curve is the mean of 1 − P(churn) × the share of churn dates that have passed. From the data alone, a user is gone after the last event if {SILENCE} days without one follow."
    );
    (!panels.is_empty()).then(|| Figure::choice("survival-curve", "Survival", caption, "Users", panels).wide())
}

fn curve(gathered: &Gathered<'_>, name: &str, plan: &Survival) -> Panel {
    let days = gathered.days;
    let mut series = Vec::new();
    // A curve of those who are left at the beginning of each day.
    let left = |gone_by_day: &[u64], until: i32| -> Vec<Rate> {
        let mut gone = 0;
        (0..=until)
            .map(|day| {
                if day > 0 {
                    gone += gone_by_day[day as usize - 1];
                }
                Rate::counted(plan.users - gone, plan.users)
            })
            .collect()
    };
    let places = |until: i32| (0..=until).map(f64::from);
    if days > SILENCE {
        let mut last_event = plan.last_event.clone();
        // Who did nothing at all was gone from the beginning.
        last_event[0] += last_event[days as usize];
        let until = days - SILENCE;
        let mut estimate =
            observed("from the data alone: last event", Role::Estimate, Draw::Step, &left(&last_event, until)).at(places(until));
        (estimate.low, estimate.high) = (Vec::new(), Vec::new());
        series.push(estimate);
    }
    if gathered.truth {
        series.push(observed("churn dates of the truth", Role::Observed, Draw::Step, &left(&plan.churned, days)).at(places(days)));
    }
    if let Some(law) = gathered.law {
        let mean = plan.probability.value() / plan.users.max(1) as f64;
        let truth = (0..=days).map(|day| Some(1.0 - mean * law.passed(day))).collect();
        series.push(Series::new("true distribution", Role::Truth, Draw::Line, truth).at(places(days)));
    }
    // From the tenth below the lowest: the curves lie close together.
    let lowest = series.iter().flat_map(|one| one.y.iter().chain(&one.low)).flatten().fold(1.0, |a: f64, b| a.min(*b));
    let chart = Chart {
        x: Axis::number("Days since the window began", "days").between(0.0, f64::from(days)),
        y: Axis::share("Users who have not left").between((lowest * 10.0 - 0.2).floor().max(0.0) / 10.0, 1.0),
        series,
        ..Chart::default()
    };
    Panel { name: format!("{name} ({})", plan.users), plot: Plot::Chart(chart) }
}

fn calibration(gathered: &Gathered<'_>) -> Option<Figure> {
    let rates: Vec<Rate> = gathered.calibration.iter().filter(|rate| rate.n > 0).copied().collect();
    if rates.is_empty() {
        return None;
    }
    let places: Vec<f64> = rates.iter().filter_map(Rate::mean_expected).collect();
    let greatest = places
        .iter()
        .chain(rates.iter().filter_map(|rate| wilson(rate.hits, rate.n)).map(|ends| ends.1).collect::<Vec<_>>().iter())
        .fold(0.0, |a: f64, b| a.max(*b));
    let top = (greatest * 10.0).ceil() / 10.0;
    let chart = Chart {
        x: Axis::share("True churn probability").between(0.0, top),
        y: Axis::share("Users who churned").between(0.0, top),
        series: vec![observed("observed", Role::Observed, Draw::Points, &rates).at(places)],
        diagonal: Some("observed = true".into()),
        ..Chart::default()
    };
    let caption =
        format!("Users in groups {}% wide by their true churn probability, with the share that churned.{}", 100 / BINS, agreement(&rates));
    Some(Figure::new("churn-calibration", "Calibration of the true probability", caption, Plot::Chart(chart)))
}

fn around(gathered: &Gathered<'_>) -> Option<Figure> {
    if gathered.around.iter().all(|rate| rate.n == 0) {
        return None;
    }
    let places = (-AROUND..=AROUND).map(f64::from);
    let mut series = vec![];
    if gathered.law.is_some() {
        series.push(expected("true", Draw::Line, &gathered.around).at(places.clone()));
    }
    series.push(observed("observed", Role::Observed, Draw::Points, &gathered.around).at(places));
    let ends = [-f64::from(AROUND), f64::from(AROUND)];
    series.push(Series::new("users who stay, any day", Role::Reference, Draw::Dashed, vec![gathered.stay.share(); 2]).at(ends));
    let chart = Chart {
        x: Axis::number("Days from the churn date", "days").between(ends[0], ends[1]),
        y: Axis::share("Users with a session that day"),
        series,
        marks: vec![Mark { from: 0.0, to: None, label: "last day".into() }],
        ..Chart::default()
    };
    let caption = format!(
        "Share of the users who churned with a session, by days from the churn date; of those who stay, {} on any day.{}",
        percent(gathered.stay.share()),
        agreement(&gathered.around)
    );
    Some(Figure::new("churn-activity", "Activity around the churn date", caption, Plot::Chart(chart)))
}

fn bins() -> impl Iterator<Item = String> {
    (0..BINS).map(|bin| format!("{:.2}–{:.2}", bin as f64 / BINS as f64, (bin + 1) as f64 / BINS as f64))
}

fn engagement(gathered: &Gathered<'_>) -> Option<Figure> {
    if gathered.with_engagement == 0 {
        return None;
    }
    let rates: Vec<Rate> = gathered.engagement.iter().map(|count| Rate::counted(*count, gathered.with_engagement)).collect();
    let mut series = vec![observed("observed", Role::Observed, Draw::Bars, &rates)];
    let beta = gathered.law.and_then(|law| Beta::new(law.config.engagement.alpha, law.config.engagement.beta).ok());
    let mut law = String::new();
    if let Some(beta) = beta {
        let at = |bin: usize| beta.cdf(bin as f64 / BINS as f64);
        series.push(Series::new("true distribution", Role::Truth, Draw::Ticks, (0..BINS).map(|bin| Some(at(bin + 1) - at(bin))).collect()));
        // One bin follows from the others.
        let others = rates.iter().enumerate().skip(1).map(|(bin, rate)| rate.of(at(bin + 1) - at(bin))).collect::<Vec<_>>();
        law = format!(" The ticks are the distribution Beta({}, {}).{}", beta.shape_a(), beta.shape_b(), agreement(&others));
    }
    let chart = Chart { x: Axis::categories("Latent engagement", bins()), y: Axis::share("Of users"), series, ..Chart::default() };
    let caption = format!("Users by their engagement.{law}");
    Some(Figure::new("engagement-spread", "Engagement", caption, Plot::Chart(chart)))
}

fn activity(gathered: &Gathered<'_>) -> Option<Figure> {
    if gathered.activity.iter().all(|rate| rate.n == 0) {
        return None;
    }
    let mut series = vec![];
    if gathered.law.is_some() {
        series.push(expected("true", Draw::Line, &gathered.activity));
    }
    series.push(observed("observed", Role::Observed, Draw::Points, &gathered.activity));
    let chart = Chart {
        x: Axis::categories("Latent engagement", bins()),
        y: Axis::share("Days with a session, of days as a subscriber").between(0.0, 1.0),
        series,
        ..Chart::default()
    };
    let least = gathered.activity.iter().find(|rate| rate.n > 0).and_then(Rate::share);
    let most = gathered.activity.iter().rev().find(|rate| rate.n > 0).and_then(Rate::share);
    let caption = format!(
        "Share of days with a session: {} of the least engaged users, {} of the most engaged.{}",
        percent(least),
        percent(most),
        agreement(&gathered.activity)
    );
    Some(Figure::new("engagement-activity", "Engagement and activity", caption, Plot::Chart(chart)))
}

/// Events by type.
fn mix(gathered: &Gathered<'_>) -> Option<Figure> {
    let users = gathered.users();
    let means = gathered.events.map(|count| count as f64 / users.max(1) as f64);
    let errors: Vec<f64> = gathered.spreads.iter().map(|spread| Z * spread.of_ratio().unwrap_or(0.0)).collect();
    let mut seen = Series::new("observed", Role::Observed, Draw::Bars, means.iter().map(|mean| Some(*mean)).collect());
    seen.low = means.iter().zip(&errors).map(|(mean, error)| Some((mean - error).max(0.0))).collect();
    seen.high = means.iter().zip(&errors).map(|(mean, error)| Some(mean + error)).collect();
    seen.n = gathered.events.to_vec();
    let mut series = vec![seen];
    if let Some(law) = gathered.law {
        series.push(Series::new("true", Role::Truth, Draw::Ticks, law.expectation.any.events.iter().map(|mean| Some(*mean)).collect()));
    }
    let chart = Chart {
        x: Axis::categories("Event", EventType::NAMES.iter().map(|name| name.replace('_', " "))),
        y: Axis::number("Events a user", "").from_zero(),
        series,
        horizontal: true,
        ..Chart::default()
    };
    let caption = "Mean number of events a user over the window, by type; n is the number of events.";
    (users > 0).then(|| Figure::new("event-mix", "Events by type", caption, Plot::Chart(chart)))
}

/// Payments, or what they amount to, by day.
fn payments(gathered: &Gathered<'_>, money: bool) -> Option<Figure> {
    if gathered.payments.iter().all(|(counts, _)| *counts == [0, 0]) {
        return None;
    }
    let of = |value: fn(&([u64; 2], Sum)) -> f64| gathered.payments.iter().map(|day| Some(value(day))).collect();
    let line = |name: &str, role, values| Series::new(name, role, Draw::Line, values);
    let series = if money {
        vec![line("revenue", Role::Observed, of(|(_, amount)| amount.value()))]
    } else {
        vec![
            line("succeeded", Role::Observed, of(|(counts, _)| counts[0] as f64)),
            line("failed", Role::Refused, of(|(counts, _)| counts[1] as f64)),
        ]
    };
    let label = if money { "Amount of the payments that succeeded" } else { "Payments" };
    let chart = Chart {
        x: Axis::categories("Day (UTC)", (0..gathered.days).map(|day| Date(gathered.start.0 + day).to_string())),
        y: Axis::number(label, "").from_zero(),
        series,
        ..Chart::default()
    };
    let [succeeded, failed] =
        gathered.payments.iter().fold([0; 2], |[succeeded, failed], (counts, _)| [succeeded + counts[0], failed + counts[1]]);
    let attempts = Rate::counted(succeeded, succeeded + failed);
    let caption = match gathered.law {
        _ if money => "Sum of the amounts by day, in units of the currency.".to_owned(),
        Some(law) => {
            let rate = attempts.of(law.config.billing.success_probability);
            format!("Attempts to charge by day; {} succeeded.{}", percent(rate.share()), agreement(&[rate]))
        }
        None => format!("Attempts to charge by day; {} succeeded.", percent(attempts.share())),
    };
    let (id, title) = if money { ("revenue-day", "Revenue day by day") } else { ("payments-day", "Payments day by day") };
    Some(Figure::new(id, title, caption, Plot::Chart(chart)))
}

fn days(gathered: &Gathered<'_>) -> Option<Figure> {
    if gathered.active_by_day.is_empty() {
        return None;
    }
    let mut series =
        vec![Series::new("observed", Role::Observed, Draw::Line, gathered.active_by_day.iter().map(|count| Some(*count as f64)).collect())];
    if let Some(law) = gathered.law.filter(|_| gathered.active_mass.0.value() > 0.0) {
        let (all, leaving) = (gathered.active_mass.0.value(), gathered.active_mass.1.value());
        series.push(Series::new(
            "true",
            Role::Truth,
            Draw::Line,
            (0..gathered.days).map(|day| Some(all - leaving * law.passed(day))).collect(),
        ));
    }
    let chart = Chart {
        x: Axis::categories("Day (UTC)", (0..gathered.days).map(|day| Date(gathered.start.0 + day).to_string())),
        y: Axis::number("Users with a session", "").from_zero(),
        series,
        ..Chart::default()
    };
    let caption = "Users with a session, by day. In the model they fall as users churn, and by nothing else.";
    Some(Figure::new("active-day", "The run day by day", caption, Plot::Chart(chart)).wide())
}
