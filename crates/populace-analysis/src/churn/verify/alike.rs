//! What must not depend on anything else: who a user is, what a session holds given engagement, which course, what comes of a charge. And
//! users that are unlike all others, or too much alike.

use super::people::engagement_place;
use super::rows::Rows;
use super::sessions::{Days, place};
use super::{Known, day_and_second, first_churn_day, second_place};
use crate::churn::User;
use crate::churn::law::hundredths;
use crate::error::AnalysisError;
use crate::source::Columns;
use crate::stats::{Merge, PoissonBinomial, Test, binomial, merge_fields};
use crate::verify::Group;
use crate::verify::board::{Board, Found, Probable, WorstActor};
use crate::verify::kit::{self, Copies, Independence, PARTS, Series, day_of, part};
use crate::verify::mix;
use populace_core::churn::{ChurnConfig, EventType, MeasureConfig};

/// Days of login of which a user needs so many gaps to be told from all others, and the least seconds that a login may fall on.
const GAPS: usize = 8;
const FEWEST_SECONDS: i64 = 600;
/// Measures of less spread are whole by chance too often.
const LEAST_DEVIATION: f64 = 1.0;
const MINUTE: i64 = 60;

pub(super) struct Alike<'a> {
    config: &'a ChurnConfig,
    countries: Independence,
    sources: Independence,
    signups: Independence,
    plans: Independence,
    counts: Independence,
    enrolments: Independence,
    logins: Independence,
    delays: Independence,
    courses: Independence,
    minutes: Independence,
    scores: Independence,
    payments: Independence,
    charge_seconds: Independence,
    tickets: Independence,
    /// Of days on which a user is there for certain: with a ticket, and all.
    ticket_days: [u64; 2],
    login_series: Series,
    delay_series: Series,
    minute_series: Series,
    score_series: Series,
    activity: WorstActor,
    own_counts: WorstActor,
    own_courses: WorstActor,
    own_enrolments: WorstActor,
    own_payments: WorstActor,
    own_tickets: WorstActor,
    copies: Copies,
    whole_minutes: PoissonBinomial,
    whole_measures: [u64; 2],
}

merge_fields!(Alike<'_> {
    countries, sources, signups, plans, counts, enrolments, logins, delays, courses, minutes, scores, payments, charge_seconds, tickets,
    ticket_days, login_series, delay_series, minute_series, score_series, activity, own_counts, own_courses, own_enrolments, own_payments, own_tickets,
    copies, whole_minutes, whole_measures,
} same { config });

impl<'a> Alike<'a> {
    pub(super) fn new(config: &'a ChurnConfig) -> Self {
        let who = [("tenth of engagement", PARTS), ("tenth of active days", PARTS + 1), ("tenth of the last login", PARTS + 1)];
        let person = |more: &[(&'static str, usize)]| [&who[..], more].concat();
        let (plan, country, source) = (("plan", 2), ("country", config.countries.len()), ("source", config.marketing_sources.len()));
        let when = [
            ("day", kit::days(config.window.days as usize)),
            ("day of the week", 7),
            plan,
            ("tenth of engagement", PARTS),
            country,
            ("tenth of the window", PARTS),
            ("tenth of the users", PARTS),
        ];
        let then = |own: usize, more: &[(&'static str, usize)]| [&when[..], &[("one before", own)], more].concat();
        let sessions = (config.sessions.max - config.sessions.min + 1) as usize;
        let other = ("session with a quiz or a video", 4);
        let (enrol, paid, ticket) = (config.enrol.probability, config.billing.success_probability, config.tickets.probability);
        Self {
            config,
            countries: Independence::equal(config.countries.len(), &person(&[plan, source])),
            sources: Independence::equal(config.marketing_sources.len(), &person(&[plan, country])),
            signups: Independence::equal(Rows::signup_days(config) as usize, &person(&[plan, country, source])),
            plans: Independence::new([1.0 - config.paid_ratio, config.paid_ratio], &[who[0], country, source]),
            counts: Independence::equal(sessions, &then(sessions, &[])),
            enrolments: Independence::new([1.0 - enrol, enrol], &then(2, &[("hour", 24), other])),
            logins: Independence::equal(PARTS, &then(PARTS, &[other])),
            delays: Independence::equal(PARTS, &then(PARTS, &[("type", 3), ("hour", 24)])),
            courses: Independence::equal(config.courses.len(), &then(config.courses.len(), &[("type", 3), ("hour", 24)])),
            minutes: Independence::equal(PARTS, &then(PARTS, &[("hour", 24), other])),
            scores: Independence::equal(PARTS, &then(PARTS, &[("hour", 24), other])),
            payments: Independence::new([1.0 - paid, paid], &then(2, &[("hour", 24)])),
            charge_seconds: Independence::equal(PARTS, &then(PARTS, &[])),
            tickets: Independence::new([1.0 - ticket, ticket], &then(2, &[("active day", 2), ("all", 1)])),
            login_series: Series::default(),
            delay_series: Series::default(),
            minute_series: Series::default(),
            score_series: Series::default(),
            activity: WorstActor::default(),
            own_counts: WorstActor::default(),
            own_courses: WorstActor::default(),
            own_enrolments: WorstActor::default(),
            own_payments: WorstActor::default(),
            ticket_days: [0; 2],
            own_tickets: WorstActor::default(),
            copies: Copies::default(),
            whole_minutes: PoissonBinomial::default(),
            whole_measures: [0; 2],
        }
    }

    pub(super) fn add(&mut self, known: &Known<'_>, days: &Days<'_>) {
        let (config, user) = (self.config, known.user);
        let window = config.window.days as usize;
        let engagement = user.engagement.map_or(usize::MAX, |e| part(engagement_place(config, &user.id, e)));
        let early = first_churn_day(config) as usize + 1;
        let active = days.range(0..early as i64).count();
        let last = days.keys().next_back().map_or(0, |last| 1 + (*last).clamp(0, window as i64 - 1) as usize * PARTS / window);
        let country = kit::position(&config.countries, known.text("country"));
        let source = kit::position(&config.marketing_sources, known.text("marketing_source"));
        let plan = usize::from(user.is_paid);
        let [e, a] = [engagement, active * PARTS / early];
        self.countries.add(country, &[e, a, last, plan, source]);
        self.sources.add(source, &[e, a, last, plan, country]);
        let before = usize::try_from(config.window.start.0 - user.signup.0).unwrap_or(usize::MAX);
        self.signups.add(before, &[e, a, last, plan, country, source]);
        self.plans.add(plan, &[e, country, source]);
        let id = format!("user {}", user.id);
        if let Some(e) = user.engagement {
            let mut own = Probable::default();
            let p = config.activity.probability.at(e.clamp(0.0, 1.0));
            (0..early).for_each(|day| own.add(p, days.contains_key(&(day as i64))));
            self.activity.add(&id, own, 0.0);
        }
        let tenth = user.id.whole().map_or(usize::MAX, |id| kit::tenth((id - 1).max(0) as u64, config.population.users));
        let when = |day: i64| {
            let day = usize::try_from(day).unwrap_or(usize::MAX);
            let weekday = config.window.start.plus(day.min(window) as i32).weekday();
            [day_of(day, window), usize::from(weekday), plan, engagement, country, day.min(window) * PARTS / window, tenth]
        };
        self.sessions(known, days, when, &id);
        self.billing(known, days, when, &id);
    }

    fn sessions(&mut self, known: &Known<'_>, days: &Days<'_>, when: impl Fn(i64) -> [usize; 7], id: &str) {
        let (config, user) = (self.config, known.user);
        let law = &config.sessions;
        let mut before = [usize::MAX; 7];
        let mut counts = vec![0; (law.max - law.min + 1) as usize];
        let mut courses = vec![0; config.courses.len()];
        let (mut enrolled, mut many, mut fewest) = (0, 0, i64::MAX);
        for (&day, sessions) in days {
            let [d, w, plan, engagement, country, t, u] = when(day);
            let count = sessions.len() - (law.min as usize).min(sessions.len());
            self.counts.add(count, &[d, w, plan, engagement, country, t, u, before[0]]);
            kit::count(counts.get_mut(count));
            before[0] = count;
            let part_seconds = i64::from(law.to_hour - law.from_hour) * 3_600 / sessions.len() as i64;
            let seconds = (part_seconds - i64::from(config.quiz.delay_seconds.max)).max(1);
            fewest = fewest.min(seconds);
            for (number, session) in sessions.iter().enumerate() {
                let [enrol, video, quiz] = session.holds;
                let (_, second) = day_and_second(config, session.login.time);
                let hour = (second / 3_600) as usize;
                let other = usize::from(video.is_some()) + 2 * usize::from(quiz.is_some());
                let begins = i64::from(law.from_hour) * 3_600 + number as i64 * part_seconds;
                let login = second_place(second, begins, seconds, session.login.time.0 as u64);
                self.login_series.add(login);
                self.logins.add(part(login), &[d, w, plan, engagement, country, t, u, before[1], other]);
                before[1] = part(login);
                // Whole minutes among the seconds on which the login may fall.
                let whole = (begins + seconds - 1).div_euclid(MINUTE) - (begins - 1).div_euclid(MINUTE);
                self.whole_minutes.add(whole as f64 / seconds as f64, second % MINUTE == 0);
                let has = usize::from(enrol.is_some());
                self.enrolments.add(has, &[d, w, plan, engagement, country, t, u, before[2], hour, other]);
                before[2] = has;
                enrolled += has as u64;
                many += 1;
                for (kind, event) in session.holds.iter().enumerate() {
                    let Some(event) = event else { continue };
                    let delay = [config.enrol.delay_seconds, config.video.delay_seconds, config.quiz.delay_seconds][kind];
                    let (_, at) = day_and_second(config, event.time);
                    let salt = mix(event.time.0 as u64 ^ user.id.number() as u64);
                    let place = second_place(at - second, i64::from(delay.min), i64::from(delay.max - delay.min) + 1, salt);
                    self.delay_series.add(place);
                    self.delays.add(part(place), &[d, w, plan, engagement, country, t, u, before[3], kind, hour]);
                    before[3] = part(place);
                    if let Some(events) = known.events {
                        let course = kit::position(&config.courses, events.text("course_id").value(event.row));
                        self.courses.add(course, &[d, w, plan, engagement, country, t, u, before[4], kind, hour]);
                        kit::count(courses.get_mut(course));
                        before[4] = course;
                    }
                    let by = [d, w, plan, engagement, country, t, u];
                    match (event.event_type, event.watch_minutes, event.quiz_score) {
                        (EventType::VideoWatch, Some(minutes), _) => {
                            let place = self.measured(&config.video.minutes, user, minutes, salt);
                            keep(&mut self.minutes, &mut self.minute_series, place, by, &mut before[5], [hour, other]);
                        }
                        (EventType::QuizAttempt, _, Some(score)) => {
                            let place = self.measured(&config.quiz.score, user, score, mix(salt));
                            keep(&mut self.scores, &mut self.score_series, place, by, &mut before[6], [hour, other]);
                        }
                        _ => {}
                    }
                }
            }
        }
        for series in [&mut self.login_series, &mut self.delay_series, &mut self.minute_series, &mut self.score_series] {
            series.end_actor(id);
        }
        for (worst, counts) in [(&mut self.own_counts, &counts), (&mut self.own_courses, &courses)] {
            let found = kit::weigh(counts, &vec![1.0; counts.len()]);
            worst.put(id, found.test.p_value, || found);
        }
        let p = config.enrol.probability;
        self.own_enrolments.put(id, binomial(enrolled, many, p), || Found::share(enrolled, many, p));
        if fewest >= FEWEST_SECONDS {
            self.copies.add(GAPS, days.values().map(|sessions| sessions[0].login.time.0));
        }
    }

    /// The place of a measure, and whether it is a whole number.
    fn measured(&mut self, law: &MeasureConfig, user: &User, value: f64, salt: u64) -> Option<f64> {
        if law.deviation >= LEAST_DEVIATION && value > hundredths(law.min) && value < hundredths(law.max) {
            self.whole_measures[usize::from((value * 100.0).round() as i64 % 100 == 0)] += 1;
        }
        let e = user.engagement.filter(|_| law.deviation > 0.0)?;
        Some(place(law, e.clamp(0.0, 1.0), value, salt))
    }

    fn billing(&mut self, known: &Known<'_>, days: &Days<'_>, when: impl Fn(i64) -> [usize; 7], id: &str) {
        let (config, user) = (self.config, known.user);
        // Up to the last login, and at least to the first day on which anybody churns, a user is there for certain.
        let last = days.keys().next_back().map_or(0, |last| (*last).min(i64::from(config.window.days)));
        let there = last.max(i64::from(first_churn_day(config)) + 1);
        let (mut before, mut part_before, mut paid, mut many) = (usize::MAX, usize::MAX, 0, 0);
        let mut ticket_days = vec![false; there as usize];
        for event in &user.events {
            let (day, second) = day_and_second(config, event.time);
            let [d, w, plan, engagement, country, t, u] = when(day);
            match event.event_type {
                EventType::PaymentSuccess | EventType::PaymentFailed => {
                    let has = usize::from(event.event_type == EventType::PaymentSuccess);
                    self.payments.add(has, &[d, w, plan, engagement, country, t, u, before, (second / 3_600) as usize]);
                    before = has;
                    let law = &config.billing;
                    let (from, to) = (i64::from(law.from_hour) * 3_600, i64::from(law.to_hour) * 3_600);
                    let place = part(second_place(second, from, to - from, mix(event.time.0 as u64 ^ user.id.number() as u64)));
                    self.charge_seconds.add(place, &[d, w, plan, engagement, country, t, u, part_before]);
                    part_before = place;
                    self.whole_minutes.add(1.0 / MINUTE as f64, second % MINUTE == 0);
                    paid += has as u64;
                    many += 1;
                }
                EventType::SupportTicket => {
                    self.whole_minutes.add(1.0 / MINUTE as f64, second % MINUTE == 0);
                    if let Some(has) = usize::try_from(day).ok().and_then(|day| ticket_days.get_mut(day)) {
                        *has = true;
                    }
                }
                _ => {}
            }
        }
        let p = config.billing.success_probability;
        self.own_payments.put(id, binomial(paid, many, p), || Found::share(paid, many, p));
        let mut before = usize::MAX;
        for (day, &has) in (0..).zip(&ticket_days) {
            let [d, w, plan, engagement, country, t, u] = when(day);
            self.tickets.add(has.into(), &[d, w, plan, engagement, country, t, u, before, usize::from(days.contains_key(&day)), 0]);
            before = has.into();
        }
        let (hits, n, p) = (ticket_days.iter().filter(|has| **has).count() as u64, ticket_days.len() as u64, config.tickets.probability);
        self.ticket_days.combine([hits, n]);
        self.own_tickets.put(id, binomial(hits, n, p), || Found::share(hits, n, p));
    }

    pub(super) fn report(self, board: &mut Board) -> Result<(), AnalysisError> {
        let people =
            [self.countries.found("countries"), self.sources.found("sources"), self.signups.found("signups"), self.plans.found("plans")];
        kit::report(board, "country, source, signup and plan do not depend on anything else", people.concat());
        kit::report(board, "courses do not depend on anything else", self.courses.found("courses"));
        let sessions = [
            self.counts.found("sessions of a day"),
            self.enrolments.found("enrolments"),
            self.logins.found("seconds of logins"),
            self.delays.found("delays"),
            self.login_series.found("seconds of logins"),
            self.delay_series.found("delays"),
        ];
        kit::report(board, "sessions, enrolments and their seconds do not depend on anything else", sessions.concat());
        let measures = [
            self.minutes.found("minutes"),
            self.scores.found("scores"),
            self.minute_series.found("minutes"),
            self.score_series.found("scores"),
        ];
        kit::report(board, "minutes and scores depend on engagement alone", measures.concat());
        let charges = [self.payments.found("successes"), self.charge_seconds.found("seconds of charges")];
        kit::report(board, "what comes of charges does not depend on anything else", charges.concat());
        kit::report(board, "tickets do not depend on anything else", self.tickets.found("tickets"));
        let [hits, n] = self.ticket_days;
        board.test(Group::Distribution, "tickets a day, while a user is there", Found::share(hits, n, self.config.tickets.probability));
        let own = [
            ("active days", self.activity),
            ("sessions of days", self.own_counts),
            ("courses", self.own_courses),
            ("enrolments", self.own_enrolments),
            ("successes", self.own_payments),
            ("tickets", self.own_tickets),
        ];
        let series = [
            ("seconds of logins", &self.login_series),
            ("delays", &self.delay_series),
            ("minutes", &self.minute_series),
            ("scores", &self.score_series),
        ];
        let own = own.into_iter().chain(series.map(|(what, series)| (what, series.of_actors())));
        kit::report_actors(board, "no user is far from all others", own);
        self.copies.report(board, "no user's logins are another's, sooner or later")?;
        let whole = &self.whole_minutes;
        let observed = format!("{} of {}", whole.hits(), whole.tries());
        let test = Test { statistic: whole.z(), p_value: whole.p_value() };
        let found = Found { n: whole.tries(), observed, expected: format!("{:.1}", whole.expected()), test };
        board.test(Group::Distribution, "times have the resolution of seconds: one in sixty is a whole minute", found);
        let [others, whole] = self.whole_measures;
        let name = "minutes and scores have two decimals: one in a hundred is a whole number";
        board.test(Group::Distribution, name, Found::share(whole, whole + others, 0.01));
        Ok(())
    }
}

/// Adds a measure by its place.
fn keep(parts: &mut Independence, series: &mut Series, place: Option<f64>, by: [usize; 7], before: &mut usize, more: [usize; 2]) {
    let Some(place) = place else { return };
    let [day, weekday, plan, engagement, country, t, u] = by;
    let [hour, other] = more;
    series.add(place);
    parts.add(part(place), &[day, weekday, plan, engagement, country, t, u, *before, hour, other]);
    *before = part(place);
}
