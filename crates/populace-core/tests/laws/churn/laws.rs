//! What must hold of the data. Every number here is the specification's, none is read from the document or the code.

use super::samples::{Person, Sample, Samples, Session, second, start};
use crate::mutation::Law;
use crate::support::{Verdict, all, follows, share, sum, thin, uniform};
use populace_core::churn::{Action, EventType};
use populace_core::math;
use populace_core::scenario::Scenario;
use populace_core::time::Date;

/// What must hold of the data.
pub(super) const LAWS: &[Law<Samples>] = &[
    ("population", population),
    ("names", names),
    ("window", window),
    ("engagement is Beta(2, 2.5)", engagement),
    ("plan", plan),
    ("country and source are uniform", origin),
    ("signup is uniform over the spread", signup),
    ("churned as often as churn_prob says", churned),
    ("churn is capped", capped),
    ("churn date is uniform", churn_date),
    ("nothing after the churn date", nothing_after_churn),
    ("events form sessions", sessions_are_in_order),
    ("activity rises with engagement", activity),
    ("days do not depend on each other", days_apart),
    ("sessions a day are uniform", sessions_a_day),
    ("sessions do not depend on each other", sessions_apart),
    ("logins are uniform in their part of the day", logins),
    ("videos rise with engagement", videos),
    ("quizzes rise with engagement", quizzes),
    ("enrolments", enrolments),
    ("delays are uniform", delays),
    ("minutes are normal", minutes),
    ("scores are normal", scores),
    ("minutes and scores do not depend on each other", measures_apart),
    ("measures are clipped", clipping),
    ("courses are uniform", courses),
    ("one invoice a month, retried", invoices),
    ("charges succeed", payments),
    ("charges come at night", charge_hours),
    ("amounts", amounts),
    ("tickets", tickets),
    ("tickets come at any hour", ticket_hours),
];

/// What must hold of the truth itself. A mutant caught by these alone would be one that the data do not show.
pub(super) const TRUTHS: &[Law<Samples>] = &[
    ("churn probability is its formula", churn_probability),
    ("probabilities of days and sessions are theirs", told),
    ("observable but on the last day", observable),
];

const DAYS: u32 = 120;

/// Hits among n tries of probability p, in ten bins of engagement.
fn by_engagement(what: &str, tries: impl Iterator<Item = (f64, usize, usize, f64)>) -> Verdict {
    let mut bins = [(0.0, 0.0, 0.0); 10];
    for (e, hits, n, p) in tries {
        let (observed, expected, variance) = &mut bins[((e * 10.0) as usize).min(9)];
        *observed += hits as f64;
        *expected += n as f64 * p;
        *variance += n as f64 * p * (1.0 - p);
    }
    bins.iter().enumerate().try_for_each(|(bin, &(observed, expected, variance))| {
        // A normal bound needs some hits and some misses.
        if variance < 20.0 { Ok(()) } else { sum(&format!("{what}, bin {bin}"), observed, expected, variance) }
    })
}

fn population(samples: &Samples) -> Verdict {
    let actors = samples.model.population().actors;
    all(actors == 2_000, || format!("{actors} users"))
}

fn names(samples: &Samples) -> Verdict {
    let model = &samples.model;
    let courses = ["k8s-mastery", "devops-warrior", "mlops-foundation", "argo-cd", "terraform", "linux-pro", "observability"];
    all(model.countries() == ["IN", "US", "UK", "CA", "AU", "SG"], || format!("{:?}", model.countries()))?;
    let sources = model.marketing_sources();
    all(sources == ["organic", "referral", "ads", "youtube", "community"], || format!("{sources:?}"))?;
    all(model.courses() == courses, || format!("{:?}", model.courses()))
}

/// The first and the last day see events, no other day does.
fn window(samples: &Samples) -> Verdict {
    let days = samples.year.sessions.iter().map(|session| session.date);
    let (first, last) = (days.clone().min(), days.max());
    all(first == Some(start()) && last == Some(start().plus(DAYS as i32 - 1)), || format!("{first:?} to {last:?}"))
}

fn engagement(samples: &Samples) -> Verdict {
    let scores = samples.people.people.iter().map(|person| person.user.engagement_score).collect();
    // ∫ t (1 − t)^1.5 dt, in u = 1 − t.
    let rest = |u: f64| u * u * u.sqrt() * (1.0 / 2.5 - u / 3.5);
    follows("engagement", scores, |x| 1.0 - rest(1.0 - x) / rest(1.0))
}

fn plan(samples: &Samples) -> Verdict {
    let people = &samples.people.people;
    by_engagement("paid", people.iter().map(|person| (person.user.engagement_score, usize::from(person.user.is_paid), 1, 0.35)))?;
    share("paid", people.iter().filter(|person| person.user.is_paid).count(), people.len(), 0.35)
}

fn origin(samples: &Samples) -> Verdict {
    let people = || samples.people.people.iter().map(|person| person.user);
    uniform("country", people().map(|user| user.country.into()), 0, 5)?;
    uniform("source", people().map(|user| user.marketing_source.into()), 0, 4)?;
    uniform("country and source", people().map(|user| i64::from(user.country) * 5 + i64::from(user.marketing_source)), 0, 29)
}

fn signup(samples: &Samples) -> Verdict {
    for (sample, spread) in [(&samples.people, 30), (&samples.hundred, 34), (&samples.year, 40), (&samples.two_hundred, 40)] {
        let before = sample.people.iter().map(|person| i64::from(start().0 - person.user.signup_date.0));
        uniform("days from signup to the window", before, 0, spread - 1)?;
    }
    Ok(())
}

fn formula(person: &Person, base: f64) -> f64 {
    let paid = if person.user.is_paid { 0.75 } else { 1.0 };
    (base * paid * (0.4 + 1.4 * math::pow(1.0 - person.user.engagement_score, 1.6))).min(0.95)
}

fn churn_probability(samples: &Samples) -> Verdict {
    for (sample, base) in [(&samples.people, 0.35), (&samples.extreme, 1.0)] {
        for person in &sample.people {
            let truth = &person.truth;
            let product = truth.base * truth.paid_factor * truth.engagement_factor * truth.cap_factor;
            let sound = (truth.churn_prob - product).abs() < 1e-12
                && (truth.churn_prob - formula(person, base)).abs() < 1e-12
                && truth.engagement.to_bits() == person.user.engagement_score.to_bits();
            all(sound, || format!("{truth:?}"))?;
        }
    }
    Ok(())
}

/// What the truth tells of days and sessions; the data are held against the same formulas below.
fn told(samples: &Samples) -> Verdict {
    samples.year.people.iter().try_for_each(|person| {
        let (truth, e) = (&person.truth, person.user.engagement_score);
        let told = [truth.active_prob, truth.video_prob, truth.quiz_prob];
        let expected = [0.15 + 0.8 * e, 0.5 + 0.4 * e, 0.25 + 0.35 * e];
        all(told.iter().zip(expected).all(|(told, expected)| (told - expected).abs() < 1e-12), || format!("{told:?} at {e}"))
    })
}

fn churned(samples: &Samples) -> Verdict {
    let people = &samples.people.people;
    for is_paid in [false, true] {
        let of_plan = people.iter().filter(|person| person.user.is_paid == is_paid);
        by_engagement(
            "churned",
            of_plan.map(|person| (person.user.engagement_score, usize::from(person.truth.churned), 1, formula(person, 0.35))),
        )?;
    }
    share("churned", people.iter().filter(|person| person.truth.churned).count(), people.len(), 0.3149)
}

fn capped(samples: &Samples) -> Verdict {
    let capped: Vec<_> = samples.extreme.people.iter().filter(|person| formula(person, 1.0) == 0.95).collect();
    share("churned at the cap", capped.iter().filter(|person| person.truth.churned).count(), capped.len(), 0.95)
}

/// Churn days, from 0, of a sample.
fn churn_days(sample: &Sample) -> impl Iterator<Item = i64> {
    sample.people.iter().filter_map(|person| person.truth.churn_date).map(|date| i64::from(date.0 - start().0))
}

fn churn_date(samples: &Samples) -> Verdict {
    for (sample, first, last) in
        [(&samples.people, 1, 3), (&samples.year, 30, 119), (&samples.hundred, 25, 101), (&samples.two_hundred, 50, 199)]
    {
        uniform("churn day", churn_days(sample), first, last)?;
        all(sample.people.iter().all(|person| person.truth.churned == person.truth.churn_date.is_some()), || "dates of others".into())?;
    }
    Ok(())
}

fn observable(samples: &Samples) -> Verdict {
    let wrong = samples.people.people.iter().find(|person| {
        let on_last_day = person.truth.churn_date == Some(start().plus(3));
        person.truth.observable == on_last_day
    });
    all(wrong.is_none(), || format!("{:?}", wrong.map(|person| person.truth)))
}

/// The churn date is the last on which anything happens, and the most engaged are seen on it.
fn nothing_after_churn(samples: &Samples) -> Verdict {
    let (mut hits, mut expected, mut variance) = (0.0, 0.0, 0.0);
    for person in &samples.year.people {
        let Some(date) = person.truth.churn_date else { continue };
        let last = person.events.last().map(|event| event.event_time.date());
        all(last.is_none_or(|last| last <= date), || format!("{last:?} after {date}"))?;
        let p = 0.15 + 0.8 * person.user.engagement_score;
        let seen = person.events.iter().any(|event| event.event_time.date() == date && event.action == Action::Login);
        hits += f64::from(u8::from(seen));
        expected += p;
        variance += p * (1.0 - p);
    }
    sum("active on the churn date", hits, expected, variance)
}

fn sessions_are_in_order(samples: &Samples) -> Verdict {
    [&samples.year, &samples.extreme].into_iter().try_for_each(|sample| sample.disorder.clone().map_or(Ok(()), Err))
}

fn activity(samples: &Samples) -> Verdict {
    let mut active = vec![0; samples.year.people.len()];
    for session in samples.year.sessions.iter().filter(|session| session.place == 0) {
        active[session.person] += 1;
    }
    by_engagement(
        "active days",
        samples.year.people.iter().zip(active).map(|(person, active)| {
            let e = person.user.engagement_score;
            (e, active, person.days(DAYS) as usize, 0.15 + 0.8 * e)
        }),
    )
}

/// Two neighbouring days are both active with the square of the probability.
fn days_apart(samples: &Samples) -> Verdict {
    let people = &samples.year.people;
    let mut active = vec![[false; DAYS as usize]; people.len()];
    for session in &samples.year.sessions {
        if let Some(day) = usize::try_from(session.date.0 - start().0).ok().and_then(|day| active[session.person].get_mut(day)) {
            *day = true;
        }
    }
    [0, 1].into_iter().try_for_each(|first| {
        by_engagement(
            "active on two days",
            people.iter().zip(&active).map(|(person, active)| {
                let e = person.user.engagement_score;
                let pairs = active[..person.days(DAYS) as usize].get(first..).unwrap_or_default().chunks_exact(2);
                (e, pairs.clone().filter(|pair| pair[0] && pair[1]).count(), pairs.len(), (0.15 + 0.8 * e).powi(2))
            }),
        )
    })
}

/// Two sessions of one day both hold a video, or both a quiz, with the square of the probability.
fn sessions_apart(samples: &Samples) -> Verdict {
    let day = |a: &Session, b: &Session| (a.person, a.date) == (b.person, b.date);
    let pairs = || samples.year.sessions.chunk_by(day).filter(|day| day.len() >= 2);
    let both = |pair: &[Session], holds: fn(&Session) -> bool| usize::from(holds(&pair[0]) && holds(&pair[1]));
    by_engagement("videos", pairs().map(|pair| (pair[0].e, both(pair, |s| s.video.is_some()), 1, (0.5 + 0.4 * pair[0].e).powi(2))))?;
    by_engagement("quizzes", pairs().map(|pair| (pair[0].e, both(pair, |s| s.quiz.is_some()), 1, (0.25 + 0.35 * pair[0].e).powi(2))))
}

fn sessions_a_day(samples: &Samples) -> Verdict {
    let days = samples.year.sessions.iter().filter(|session| session.place == 0);
    uniform("sessions of an active day", days.map(|session| i64::from(session.of)), 1, 3)
}

/// 18 hours from 06:00 in equal parts; a session takes up to 1,799 seconds.
fn logins(samples: &Samples) -> Verdict {
    for of in 1..=3 {
        let part = 64_800 / i64::from(of);
        for place in 0..of {
            let seconds: Vec<i64> = samples
                .year
                .sessions
                .iter()
                .filter(|session| session.of == of && session.place == place)
                .map(|session| session.login - 21_600 - part * i64::from(place))
                .collect();
            let range = part - 1_799;
            all(seconds.iter().all(|second| (0..range).contains(second)), || format!("a login outside part {place} of {of}"))?;
            follows("login", thin(seconds.iter().map(|&second| second as f64 + 0.5), 30_000), |second| second / range as f64)?;
        }
    }
    Ok(())
}

fn by_session(what: &str, samples: &Samples, p: impl Fn(f64) -> f64, hit: impl Fn(&Session) -> bool) -> Verdict {
    by_engagement(what, samples.year.sessions.iter().map(|session| (session.e, usize::from(hit(session)), 1, p(session.e))))
}

fn videos(samples: &Samples) -> Verdict {
    by_session("video", samples, |e| 0.5 + 0.4 * e, |session| session.video.is_some())
}

fn quizzes(samples: &Samples) -> Verdict {
    by_session("quiz", samples, |e| 0.25 + 0.35 * e, |session| session.quiz.is_some())?;
    // Apart from engagement, a quiz does not depend on a video.
    by_session(
        "quiz and video",
        samples,
        |e| (0.25 + 0.35 * e) * (0.5 + 0.4 * e),
        |session| session.quiz.is_some() && session.video.is_some(),
    )
}

fn enrolments(samples: &Samples) -> Verdict {
    by_session("enrolment", samples, |_| 0.05, |session| session.enrol.is_some())
}

fn delays(samples: &Samples) -> Verdict {
    let sessions = || samples.year.sessions.iter();
    uniform("enrolment delay", sessions().filter_map(|session| session.enrol).map(|(delay, _)| delay), 10, 59)?;
    uniform("video delay", sessions().filter_map(|session| session.video).map(|(delay, _)| delay), 60, 599)?;
    uniform("quiz delay", sessions().filter_map(|session| session.quiz).map(|(delay, _)| delay), 600, 1_799)
}

/// Engagement and value of every video or quiz, in minutes or points.
fn measures(sample: &Sample, value: fn(Action) -> Option<u32>) -> Vec<(f64, f64)> {
    let actions = sample.sessions.iter().flat_map(|session| [session.video, session.quiz].map(|what| (session.e, what)));
    actions.filter_map(|(e, what)| Some((e, f64::from(value(what?.1)?) / 100.0))).collect()
}

/// What was not clipped is normal, given that it lies between the bounds.
fn normal(what: &str, values: &[(f64, f64)], mean: impl Fn(f64) -> f64, deviation: f64, low: f64, high: f64) -> Verdict {
    all(values.iter().all(|&(_, value)| (low..=high).contains(&value)), || format!("{what} outside {low} to {high}"))?;
    let inner: Vec<_> = values.iter().filter(|(_, value)| (low..high).contains(value) && *value > low).collect();
    let ranks = inner.iter().map(|&&(e, value)| {
        let cdf = |x: f64| math::normal_cdf((x - mean(e)) / deviation);
        (cdf(value) - cdf(low)) / (cdf(high) - cdf(low))
    });
    follows(what, thin(ranks, 60_000), |rank| rank)
}

fn minutes(samples: &Samples) -> Verdict {
    normal("minutes", &measures(&samples.year, Action::watch_hundredths), |e| 20.0 + 40.0 * e, 10.0, 1.0, 180.0)
}

fn scores(samples: &Samples) -> Verdict {
    normal("score", &measures(&samples.year, Action::score_hundredths), |e| 50.0 + 40.0 * e, 15.0, 0.0, 100.0)
}

/// The fifths of their laws in which the minutes and the score of one session lie.
fn measures_apart(samples: &Samples) -> Verdict {
    let fifth = |hundredths: u32, mean: f64, deviation: f64| {
        (math::normal_cdf((f64::from(hundredths) / 100.0 - mean) / deviation) * 5.0).min(4.0) as i64
    };
    let pairs = samples.year.sessions.iter().filter_map(|session| {
        let e = session.e;
        // Where clipping does not disturb the fifths: all but the greatest scores.
        let minutes = fifth(session.video?.1.watch_hundredths()?, 20.0 + 40.0 * e, 10.0);
        let score = fifth(session.quiz?.1.score_hundredths()?, 50.0 + 40.0 * e, 15.0);
        (e < 0.8).then_some(minutes * 5 + score)
    });
    uniform("fifths of minutes and score", pairs, 0, 24)
}

/// At a deviation of 60 every bound binds. A value rounds to a bound from within half a hundredth.
fn clipping(samples: &Samples) -> Verdict {
    let mut at_bounds = 0;
    for (what, value, base, low, high) in [
        ("minutes", Action::watch_hundredths as fn(Action) -> Option<u32>, 20.0, 1.0, 180.0),
        ("score", Action::score_hundredths, 50.0, 0.0, 100.0),
    ] {
        let values = measures(&samples.extreme, value);
        for (bound, edge, side) in [(low, low + 0.005, 1.0), (high, high - 0.005, -1.0)] {
            let hits = values.iter().filter(|(_, value)| *value == bound).count();
            at_bounds += hits;
            let (mut expected, mut variance) = (0.0, 0.0);
            for (e, _) in &values {
                let p = math::normal_cdf(side * (edge - (base + 40.0 * e)) / 60.0);
                expected += p;
                variance += p * (1.0 - p);
            }
            sum(&format!("{what} at {bound}"), hits as f64, expected, variance)?;
        }
    }
    // All that was clipped was counted; besides, some values round to a bound.
    let counted = samples.extreme.clipped as usize;
    all(counted <= at_bounds && at_bounds - counted <= at_bounds / 100, || format!("{at_bounds} at the bounds, {counted} counted"))
}

fn courses(samples: &Samples) -> Verdict {
    let sessions = &samples.year.sessions;
    for (what, of) in [("enrolment", 0), ("video", 1), ("quiz", 2)] {
        let courses = sessions.iter().filter_map(|session| [session.enrol, session.video, session.quiz][of]?.1.course());
        uniform(&format!("course of {what}"), courses.map(i64::from), 0, 6)?;
    }
    // The course of a session's quiz does not depend on that of its video.
    let pairs = sessions.iter().filter_map(|session| Some((session.video?.1.course()?, session.quiz?.1.course()?)));
    uniform("courses of a session", pairs.map(|(video, quiz)| i64::from(video) * 7 + i64::from(quiz)), 0, 48)?;
    // Nor does a course depend on its second: 10 parts of the 540 seconds.
    let delays = sessions.iter().filter_map(|session| session.video).filter_map(|(delay, video)| Some((delay, video.course()?)));
    uniform("course and second", delays.map(|(delay, course)| i64::from(course) * 10 + (delay - 60) / 54), 0, 69)
}

/// Date, whether it succeeded.
fn charges(person: &Person) -> impl Iterator<Item = (Date, bool)> {
    person.events.iter().filter_map(|event| match event.action {
        Action::PaymentSuccess { .. } => Some((event.event_time.date(), true)),
        Action::PaymentFailed { .. } => Some((event.event_time.date(), false)),
        _ => None,
    })
}

fn invoices(samples: &Samples) -> Verdict {
    for (sample, days) in [(&samples.year, DAYS), (&samples.extreme, 40)] {
        for person in &sample.people {
            let last = start().plus(person.days(days) as i32 - 1);
            let mut charges = charges(person).peekable();
            for month in (1..=4).take_while(|_| person.user.is_paid) {
                for day in 1..=3 {
                    let date = Date::from_ymd(2025, month, day).unwrap();
                    if date > last {
                        break;
                    }
                    match charges.next_if(|charge| charge.0 == date) {
                        Some((_, true)) => break,
                        Some((_, false)) => {}
                        None => return Err(format!("user {} was not charged on {date}", person.user.user_id)),
                    }
                }
            }
            if let Some(charge) = charges.next() {
                return Err(format!("user {} was charged once more: {charge:?}", person.user.user_id));
            }
        }
    }
    Ok(())
}

fn payments(samples: &Samples) -> Verdict {
    let outcomes: Vec<bool> = samples.year.people.iter().flat_map(charges).map(|(_, success)| success).collect();
    share("successful charges", outcomes.iter().filter(|success| **success).count(), outcomes.len(), 0.93)
}

/// Hours of the events of some types.
fn hours(sample: &Sample, types: &[EventType]) -> impl Iterator<Item = i64> {
    let events = sample.people.iter().flat_map(|person| &person.events);
    events.filter(|event| types.contains(&event.action.event_type())).map(|event| second(event) / 3_600)
}

fn charge_hours(samples: &Samples) -> Verdict {
    uniform("hour of a charge", hours(&samples.year, &[EventType::PaymentSuccess, EventType::PaymentFailed]), 0, 5)
}

fn amounts(samples: &Samples) -> Verdict {
    let mut amounts = samples.year.people.iter().flat_map(|person| &person.events).filter_map(|event| event.action.amount_cents());
    all(amounts.all(|cents| cents == 49_900), || "another amount than 499.00".into())
}

fn tickets(samples: &Samples) -> Verdict {
    let (mut on_active, mut active_days, mut tickets, mut days) = (0, 0, 0, 0);
    for person in &samples.year.people {
        for day in person.events.chunk_by(|a, b| a.event_time.date() == b.event_time.date()) {
            let count = day.iter().filter(|event| event.action == Action::SupportTicket).count();
            all(count <= 1, || format!("{count} tickets on a day"))?;
            let is_active = day.iter().any(|event| event.action == Action::Login);
            tickets += count;
            active_days += usize::from(is_active);
            on_active += if is_active { count } else { 0 };
        }
        days += person.days(DAYS) as usize;
    }
    share("tickets on active days", on_active, active_days, 0.005)?;
    share("tickets on other days", tickets - on_active, days.saturating_sub(active_days), 0.005)
}

fn ticket_hours(samples: &Samples) -> Verdict {
    uniform("hour of a ticket", hours(&samples.year, &[EventType::SupportTicket]), 0, 23)
}
