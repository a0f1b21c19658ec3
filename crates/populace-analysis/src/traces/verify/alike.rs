//! What must not depend on anything else: how a call ends, how long it takes and how large it is, when the next one follows, what is asked
//! for, where a session starts. And users that are unlike all others, or too much alike.

use super::calls::{number_of, parameters_of, unaffected};
use super::{Call, Session};
use crate::error::AnalysisError;
use crate::stats::merge_fields;
use crate::traces::Law;
use crate::verify::Group;
use crate::verify::board::{Board, Exact, Found, WorstActor};
use crate::verify::kit::{self, Copies, Independence, PARTS, Series, day_of, part};
use populace_core::time::{DAY, SECOND};

/// Calls of which a user needs so many gaps to be told from all others, and the least seconds over which a delay must spread.
const GAPS: usize = 4;
const LEAST_SPREAD: f64 = 0.1;
/// Calls of a session that are told apart by their number.
const NUMBERS: usize = 21;
/// A whole millisecond is one of so many microseconds, where a response time spreads over some of them.
const MILLISECOND: i64 = 1_000;
const LEAST_DEVIATION_MS: f64 = 5.0;

pub(super) struct Alike<'a> {
    law: &'a Law<'a>,
    codes: Vec<i64>,
    types: Vec<&'a String>,
    statuses: Independence,
    responses: Independence,
    sizes: Independence,
    gaps: Independence,
    /// By state, where there are some.
    parameters: Vec<Option<Independence>>,
    entries: Independence,
    /// By state.
    transitions: Vec<Independence>,
    user_types: Independence,
    response_series: Series,
    size_series: Series,
    gap_series: Series,
    sessions: WorstActor,
    errors: WorstActor,
    copies: Copies,
    within: Exact,
    whole_starts: [u64; 2],
    whole_responses: [u64; 2],
}

merge_fields!(Alike<'_> {
    statuses, responses, sizes, gaps, parameters, entries, transitions, user_types, response_series, size_series, gap_series, sessions,
    errors, copies, within, whole_starts, whole_responses,
} same { law, codes, types });

impl<'a> Alike<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        let config = law.config();
        let types: Vec<&String> = config.workflow.user_type_distribution.keys().collect();
        let statuses: Vec<(i64, f64)> = config.statuses.iter().filter_map(|(code, share)| Some((code.parse().ok()?, *share))).collect();
        let states = law.names().len();
        let days = config.window.days as usize;
        let when = [
            ("day", kit::days(days)),
            ("hour", 24),
            ("type", types.len()),
            ("third of the day", 3),
            ("tenth of the window", PARTS),
            ("tenth of the users", PARTS),
        ];
        let of_call = |own: usize| {
            [&when[..], &[("endpoint", states), ("call number", NUMBERS), ("status", statuses.len()), ("one before", own)]].concat()
        };
        let of_walk = |own: usize| [&when[..], &[("call number", NUMBERS), ("one before", own)]].concat();
        let parameters = |state: usize| {
            let many = parameters_of(law, &law.names()[state])?.len();
            (many > 1).then(|| Independence::equal(many, &of_walk(many)))
        };
        let transitions = |state: usize| Independence::new(law.transitions()[state].values().copied(), &of_walk(states));
        Self {
            law,
            statuses: Independence::new(statuses.iter().map(|(_, share)| *share), &of_call(statuses.len())),
            codes: statuses.iter().map(|(code, _)| *code).collect(),
            responses: Independence::equal(PARTS, &of_call(PARTS)),
            sizes: Independence::equal(PARTS, &of_call(PARTS)),
            gaps: Independence::equal(PARTS, &of_call(PARTS)),
            parameters: (0..states).map(parameters).collect(),
            entries: Independence::new(law.entries().iter().copied(), &when),
            transitions: (0..states).map(transitions).collect(),
            user_types: Independence::new(config.workflow.user_type_distribution.values().copied(), &[("sessions", 12)]),
            types,
            response_series: Series::default(),
            size_series: Series::default(),
            gap_series: Series::default(),
            sessions: WorstActor::default(),
            errors: WorstActor::default(),
            copies: Copies::default(),
            within: Exact::new("a call starts after the one before within the range of delays, or when that has ended"),
            whole_starts: [0; 2],
            whole_responses: [0; 2],
        }
    }

    pub(super) fn add(&mut self, user: &str, sessions: &[Session<'_>]) {
        let config = self.law.config();
        let Some(first) = sessions.first() else { return };
        let user_type = self.types.iter().position(|known| *known == first.calls[0].user_type).unwrap_or(usize::MAX);
        self.user_types.add(user_type, &[sessions.len() - 1]);
        let of_users = super::actor_of(user).map_or(usize::MAX, |actor| kit::tenth(actor, config.population.users));
        // By status, of calls that no cascade strikes.
        let mut ends = vec![0; self.codes.len()];
        for session in sessions {
            self.session(session, [user_type, of_users], &mut ends);
        }
        for series in [&mut self.response_series, &mut self.size_series, &mut self.gap_series] {
            series.end_actor(user);
        }
        let found = kit::weigh(&ends, self.statuses.weights());
        self.errors.put(user, found.test.p_value, || found);
        let counts = self.law.model().sessions();
        let n = sessions.len();
        let (below, own) = ((0..n).map(|count| counts.probability(count)).sum::<f64>(), counts.probability(n));
        let p_value = (2.0 * (below + own).min(1.0 - below)).clamp(0.0, 1.0);
        let test = crate::stats::Test { statistic: n as f64, p_value };
        self.sessions.put(user, p_value, || Found {
            n: n as u64,
            observed: n.to_string(),
            expected: config.sessions.mean.to_string(),
            test,
        });
        if config.delays.usual_seconds[1] - config.delays.usual_seconds[0] >= LEAST_SPREAD {
            let mut moments: Vec<i64> = sessions.iter().flat_map(|session| session.calls.iter().map(|call| call.time.0)).collect();
            moments.sort_unstable();
            self.copies.add(GAPS, moments.into_iter());
        }
    }

    fn session(&mut self, session: &Session<'_>, [user_type, of_users]: [usize; 2], ends: &mut [u64]) {
        let law = self.law;
        let walk = session.walk();
        let Some(first) = walk.first() else { return };
        let days = law.config().window.days as usize;
        let since = first.time.since(law.model().window().begin());
        let day = day_of(usize::try_from(since.div_euclid(DAY)).unwrap_or(usize::MAX), days);
        let hour = usize::from(first.time.hour());
        let tenth = usize::try_from(since.div_euclid(DAY)).map_or(usize::MAX, |day| day * PARTS / days);
        let when = [day, hour, user_type, hour / 8, tenth, of_users];
        self.whole_starts[usize::from(first.time.0 % MILLISECOND == 0)] += 1;
        if let Some(state) = first.state {
            self.entries.add(state, &when);
        }
        let unaffected = unaffected(law, walk.len());
        // The call before: state, and the parts of status, response time, size and delay.
        let mut before = [usize::MAX; 5];
        let mut parameter = usize::MAX;
        for (number, call) in walk.iter().enumerate() {
            let Some(state) = call.state else { continue };
            let [d, h, t, third, tenth, user] = when;
            let of_walk = |before: usize| [d, h, t, third, tenth, user, number, before];
            if let Some(next) = walk.get(number + 1).and_then(|next| next.state) {
                let column = law.transitions()[state].keys().position(|to| *to == next).unwrap_or(usize::MAX);
                self.transitions[state].add(column, &of_walk(before[0]));
            }
            if let Some(of) = &mut self.parameters[state] {
                let own = parameters_of(law, call.endpoint).and_then(|known| number_of(known, call.params)).unwrap_or(usize::MAX);
                of.add(own, &of_walk(parameter));
                parameter = own;
            }
            self.follows(&walk, number);
            if number < unaffected {
                self.call(call, walk.get(number + 1).copied(), (when, state, number), &mut before, ends);
            }
            before[0] = state;
        }
    }

    fn call(
        &mut self,
        call: &Call<'_>,
        next: Option<&Call<'_>>,
        (when, state, number): ([usize; 6], usize, usize),
        before: &mut [usize; 5],
        ends: &mut [u64],
    ) {
        let law = self.law;
        let [d, h, t, third, tenth, user] = when;
        let by = |status: usize, before: usize| [d, h, t, third, tenth, user, state, number, status, before];
        let status = self.codes.iter().position(|code| *code == call.status).unwrap_or(usize::MAX);
        self.statuses.add(status, &by(usize::MAX, before[1]));
        kit::count(ends.get_mut(status));
        let response = call.place(|ms| law.response_cdf(state, ms));
        self.response_series.add(response);
        self.responses.add(part(response), &by(status, before[2]));
        let mut size_part = usize::MAX;
        if law.config().response_sizes.sigma > 0.0 {
            let size = super::calls::size_place(law, call);
            self.size_series.add(size);
            size_part = part(size);
            self.sizes.add(size_part, &by(status, before[3]));
        }
        let mut gap_part = usize::MAX;
        if let Some(gap) = next.and_then(|next| super::calls::gap_place(law, call, next)) {
            self.gap_series.add(gap);
            gap_part = part(gap);
            self.gaps.add(gap_part, &by(status, before[4]));
        }
        [before[1], before[2], before[3], before[4]] = [status, part(response), size_part, gap_part];
        if law.mean_ms(state) * law.config().response_times.relative_sd >= LEAST_DEVIATION_MS {
            self.whole_responses[usize::from(call.response % MILLISECOND == 0)] += 1;
        }
    }

    /// Whether a call follows the one before at a delay that the document has. What a fault adds is not told.
    fn follows(&mut self, walk: &[&Call<'_>], number: usize) {
        let Some(next) = walk.get(number + 1) else { return };
        let config = self.law.config();
        if number >= unaffected(self.law, walk.len()) {
            return;
        }
        let gap = next.time.since(walk[number].time);
        let within = |[low, high]: [f64; 2]| gap >= (low * SECOND as f64).floor() as i64 && gap <= (high * SECOND as f64).ceil() as i64;
        let (usual, thinking) = (config.delays.usual_seconds, config.delays.thinking_seconds);
        let holds = (config.delays.thinking < 1.0 && within(usual))
            || (config.delays.thinking > 0.0 && within(thinking))
            || gap == walk[number].response;
        self.within.hold(holds, || format!("call {} after {:.3} s", crate::verify::uuid(next.id), gap as f64 / SECOND as f64));
    }

    pub(super) fn report(self, board: &mut Board) -> Result<(), AnalysisError> {
        let names = self.law.names();
        board.exact(self.within);
        kit::report(board, "statuses do not depend on anything else", self.statuses.found("statuses"));
        let measures = [
            self.responses.found("response times"),
            self.sizes.found("sizes"),
            self.gaps.found("delays"),
            self.response_series.found("response times"),
            self.size_series.found("sizes"),
            self.gap_series.found("delays"),
        ];
        kit::report(board, "response times, sizes and delays do not depend on anything else", measures.concat());
        let parameters =
            names.iter().zip(&self.parameters).filter_map(|(name, of)| Some(of.as_ref()?.found(&format!("parameters of {name}"))));
        kit::report(board, "parameters do not depend on anything else", parameters.flatten());
        let steps = names.iter().zip(&self.transitions).flat_map(|(name, of)| of.found(&format!("calls after {name}")));
        let walks = self.entries.found("entry points").into_iter().chain(steps).chain(self.user_types.found("types"));
        kit::report(board, "entry points, transitions and types do not depend on anything else", walks);
        let series = [("response times", &self.response_series), ("sizes", &self.size_series), ("delays", &self.gap_series)];
        let own = [("sessions", self.sessions), ("statuses", self.errors)];
        let own = own.into_iter().chain(series.map(|(what, series)| (what, series.of_actors())));
        kit::report_actors(board, "no user is far from all others", own);
        self.copies.report(board, "no user's calls are another's, sooner or later")?;
        let found = [("starts", self.whole_starts), ("response times", self.whole_responses)]
            .map(|(what, [others, whole])| (what, Found::share(whole, whole + others, 1e-3)));
        let name = "starts and response times have microsecond resolution: one in a thousand is a whole millisecond";
        board.try_test(Group::Distribution, name, Found::worst(found));
        Ok(())
    }
}
