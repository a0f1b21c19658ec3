//! What one user does: the only file that draws.
//!
//! A decision compares a whole word with p · 2⁶⁴, so all but one part in 2³² of it is settled by the word's high half. Where the thing
//! decided upon needs a small number as well (which course, which second), that comes from the low half of the same word.

use super::model::{ChurnModel, Hazard, Measure, Spread};
use super::rows::{Action, Event, Row, Truth, User};
use crate::dist::{Bernoulli, StandardNormal};
use crate::scenario::Observer;
use crate::stream::{ActorId, ActorKey, Lane, Purpose, StreamKey, Words, below};
use crate::time::{Instant, SECOND};

/// Words: signup day, plan, country, marketing source.
const PERSON: Purpose = Purpose::new(1);
/// The draws of the engagement score.
const ENGAGEMENT: Purpose = Purpose::new(2);
/// Words: whether the user churns, on which day.
const CHURN: Purpose = Purpose::new(3);
/// One word a day, four days an ordinal: whether active (high half), how many sessions (low half).
const ACTIVITY: Purpose = Purpose::new(4);
/// An ordinal a session. Words: login second, enrolment, video, quiz; the low halves of the latter three give course and second.
const SESSION: Purpose = Purpose::new(5);
/// An ordinal a session. Lanes: minutes watched, quiz score.
const MEASURES: Purpose = Purpose::new(6);
/// An ordinal a month of the calendar. One word an attempt: whether it succeeds (high half), the second (low half).
const BILLING: Purpose = Purpose::new(7);
/// One word a day, four days an ordinal: whether there is a ticket (high half), the second (low half).
const TICKETS: Purpose = Purpose::new(8);

/// Sessions are numbered day · 64 + their place in the day.
pub(super) const MAX_SESSIONS: u32 = 64;
/// Billing has four words a month.
pub(super) const MAX_ATTEMPTS: u32 = 4;

const SECONDS_PER_DAY: i64 = 86_400;

/// Simulates one user.
pub(super) fn simulate(model: &ChurnModel, actor: ActorId, key: StreamKey, out: &mut impl Observer<Row, Truth>) {
    let key = key.actor(actor);
    let (user, truth) = person(model, actor, key);
    out.emit(Row::User(user));
    out.reveal(truth);
    Behaviour::new(model, key, &user, &truth).live(out);
}

/// Who the user is, and how it ends.
fn person(model: &ChurnModel, actor: ActorId, key: ActorKey) -> (User, Truth) {
    let words = key.purpose(PERSON).ordinal(0).words();
    let user = User {
        user_id: actor.0 + 1,
        signup_date: model.start.plus(-(below(words.word::<0>(), model.signup_days) as i32)),
        is_paid: model.paid.decide(words.word::<1>()),
        country: below(words.word::<2>(), model.config.countries.len() as u64) as u16,
        marketing_source: below(words.word::<3>(), model.config.marketing_sources.len() as u64) as u16,
        engagement_score: model.engagement.sample(&mut key.purpose(ENGAGEMENT).ordinal(0).draws()),
    };

    let e = user.engagement_score;
    let law = Hazard::new(&model.config, e, user.is_paid);
    let words = key.purpose(CHURN).ordinal(0).words();
    let churned = chance(law.probability).decide(words.word::<0>());
    let last_day = model.first_churn_day + below(words.word::<1>(), u64::from(model.days - model.first_churn_day)) as u32;
    let truth = Truth {
        user_id: user.user_id,
        engagement: e,
        churn_prob: law.probability,
        base: law.base,
        paid_factor: law.paid_factor,
        engagement_factor: law.engagement_factor,
        cap_factor: law.cap_factor,
        churned,
        churn_date: churned.then(|| model.start.plus(last_day as i32)),
        observable: !(churned && last_day + 1 == model.days),
        active_prob: model.config.activity.probability.at(e),
        video_prob: model.config.video.probability.at(e),
        quiz_prob: model.config.quiz.probability.at(e),
    };
    (user, truth)
}

/// A decision with a probability that the model has checked.
fn chance(p: f64) -> Bernoulli {
    Bernoulli::new(p).expect("every probability of a checked document lies within 0 to 1")
}

/// The part of a user that acts, day by day.
struct Behaviour<'m> {
    model: &'m ChurnModel,
    key: ActorKey,
    user_id: u64,
    is_paid: bool,
    /// How many days of the window the user lives through.
    days: u32,
    active: Bernoulli,
    video: Bernoulli,
    quiz: Bernoulli,
    mean_minutes: f64,
    mean_score: f64,
}

impl<'m> Behaviour<'m> {
    fn new(model: &'m ChurnModel, key: ActorKey, user: &User, truth: &Truth) -> Self {
        let e = truth.engagement;
        Self {
            model,
            key,
            user_id: user.user_id,
            is_paid: user.is_paid,
            days: truth.churn_date.map_or(model.days, |date| (date.0 - model.start.0 + 1) as u32),
            active: chance(truth.active_prob),
            video: chance(truth.video_prob),
            quiz: chance(truth.quiz_prob),
            mean_minutes: model.config.video.minutes.mean.at(e),
            mean_score: model.config.quiz.score.mean.at(e),
        }
    }

    fn live(&self, out: &mut impl Observer<Row, Truth>) {
        let activity = self.key.purpose(ACTIVITY);
        let tickets = self.key.purpose(TICKETS);
        let mut charges = Charges::new(self);
        for first in (0..self.days).step_by(4) {
            let ordinal = u64::from(first / 4);
            let active = four(&activity.ordinal(ordinal).words());
            let ticket = four(&tickets.ordinal(ordinal).words());
            for (day, (active, ticket)) in (first..self.days).zip(active.into_iter().zip(ticket)) {
                let mut diary = Diary::new(self.user_id, self.model.start.plus(day as i32).midnight(), out);
                if let Some((second, action)) = charges.on(day) {
                    diary.expect(second, action);
                }
                if self.model.ticket.decide(ticket) {
                    diary.expect(self.model.ticket_seconds.at(ticket), Action::SupportTicket);
                }
                if self.active.decide(active) {
                    self.sessions(day, active, &mut diary);
                }
                diary.close();
            }
        }
    }

    /// The sessions of one active day, one after another.
    fn sessions(&self, day: u32, active: u64, diary: &mut Diary<'_, impl Observer<Row, Truth>>) {
        let counts = self.model.day_plans.len() as u64;
        let plan = &self.model.day_plans[low_below(active, counts) as usize];
        let mut begins = self.model.sessions_begin;
        for session in 0..plan.sessions {
            self.session(u64::from(day * MAX_SESSIONS + session), begins, plan.login_seconds, diary);
            begins += plan.part_seconds;
        }
    }

    /// One session: a login within `login_seconds` from second `begins` of the day, and what follows it.
    fn session(&self, ordinal: u64, begins: i64, login_seconds: u64, diary: &mut Diary<'_, impl Observer<Row, Truth>>) {
        let model = self.model;
        let words = self.key.purpose(SESSION).ordinal(ordinal).words();
        let [login, enrol, video, quiz] = four(&words);
        let (watches, attempts) = (self.video.decide(video), self.quiz.decide(quiz));

        let second = begins + below(login, login_seconds) as i64;
        diary.write(second, Action::Login);
        if model.enrol.decide(enrol) {
            let (course, delay) = model.enrol_delay.course_and_second(enrol, model.courses);
            diary.write(second + delay, Action::CourseEnroll { course });
        }
        if !(watches || attempts) {
            return;
        }
        let measures = self.key.purpose(MEASURES).ordinal(ordinal).words();
        if watches {
            let (course, delay) = model.video_delay.course_and_second(video, model.courses);
            let watch_hundredths = model.minutes.draw(self.mean_minutes, measures.lane::<0>(), diary.out, "watch_minutes");
            diary.write(second + delay, Action::VideoWatch { course, watch_hundredths });
        }
        if attempts {
            let (course, delay) = model.quiz_delay.course_and_second(quiz, model.courses);
            let score_hundredths = model.score.draw(self.mean_score, measures.lane::<1>(), diary.out, "quiz_score");
            diary.write(second + delay, Action::QuizAttempt { course, score_hundredths });
        }
    }
}

/// The charges of one user, asked for day after day.
struct Charges<'a> {
    who: &'a Behaviour<'a>,
    /// Index into the model's calendar of attempts; past its end for users who do not pay.
    next: usize,
    /// Whether the invoice of the attempts at hand is paid.
    settled: bool,
}

impl<'a> Charges<'a> {
    fn new(who: &'a Behaviour<'a>) -> Self {
        Self { who, next: if who.is_paid { 0 } else { who.model.attempts.len() }, settled: false }
    }

    /// The charge of this day, if there is one: second of the day and outcome.
    #[inline]
    fn on(&mut self, day: u32) -> Option<(i64, Action)> {
        let attempt = self.who.model.attempts.get(self.next).filter(|attempt| attempt.day == day)?;
        self.next += 1;
        let model = self.who.model;
        if model.one_success_settles && attempt.number > 0 && self.settled {
            return None;
        }
        let word = four(&self.who.key.purpose(BILLING).ordinal(attempt.month).words())[attempt.number];
        self.settled = model.payment.decide(word);
        let amount_cents = model.amount_cents;
        let action = if self.settled { Action::PaymentSuccess { amount_cents } } else { Action::PaymentFailed { amount_cents } };
        Some((model.billing_seconds.at(word), action))
    }
}

/// Writes the events of one day in the order of time. At one second, a charge comes first, then a ticket, then what a session holds.
struct Diary<'o, O> {
    user_id: u64,
    midnight: Instant,
    /// What is expected apart from sessions, in order of time; `i64::MAX` where nothing is.
    expected: [(i64, Action); 2],
    out: &'o mut O,
}

impl<'o, O: Observer<Row, Truth>> Diary<'o, O> {
    const NOTHING: (i64, Action) = (i64::MAX, Action::SupportTicket);

    #[inline]
    fn new(user_id: u64, midnight: Instant, out: &'o mut O) -> Self {
        Self { user_id, midnight, expected: [Self::NOTHING; 2], out }
    }

    /// An event apart from sessions, to be written when its second has come. There are at most two a day.
    fn expect(&mut self, second: i64, action: Action) {
        let [first, other] = &mut self.expected;
        if second < first.0 {
            (*first, *other) = ((second, action), *first);
        } else {
            *other = (second, action);
        }
    }

    /// An event of a session; their seconds never go back.
    #[inline]
    fn write(&mut self, second: i64, action: Action) {
        while self.expected[0].0 <= second {
            self.write_expected();
        }
        self.put(second, action);
    }

    /// Writes what is still expected.
    #[inline]
    fn close(mut self) {
        while self.expected[0].0 < SECONDS_PER_DAY {
            self.write_expected();
        }
    }

    #[cold]
    fn write_expected(&mut self) {
        let [(second, action), next] = self.expected;
        self.expected = [next, Self::NOTHING];
        self.put(second, action);
    }

    #[inline]
    fn put(&mut self, second: i64, action: Action) {
        self.out.emit(Row::Event(Event { user_id: self.user_id, event_time: self.midnight.plus(second * SECOND), action }));
    }
}

/// The four words of a block.
#[inline]
fn four(words: &Words) -> [u64; 4] {
    [words.word::<0>(), words.word::<1>(), words.word::<2>(), words.word::<3>()]
}

/// The integer in `0..bound` of the low half of a word. The bias is at most `bound` · 2⁻³².
#[inline]
fn low_below(word: u64, bound: u64) -> u64 {
    below(word << 32, bound)
}

impl Spread {
    /// The second of the low half of a word.
    #[inline]
    fn at(self, word: u64) -> i64 {
        self.first + low_below(word, self.count) as i64
    }

    /// Course and second of the low half of a word: what the choice of the course leaves over chooses the second.
    #[inline]
    fn course_and_second(self, word: u64, courses: u64) -> (u16, i64) {
        let product = (word & 0xFFFF_FFFF) * courses;
        ((product >> 32) as u16, self.at(product))
    }
}

impl Measure {
    /// One value in hundredths, about `mean`.
    #[inline]
    fn draw<const LANE: usize>(&self, mean: f64, mut lane: Lane<'_, LANE>, out: &mut impl Observer<Row, Truth>, what: &'static str) -> u32 {
        let value = mean + self.deviation * StandardNormal::sample(&self.standard, &mut lane);
        let clipped = value.clamp(self.min, self.max);
        if clipped != value {
            out.clipped(what);
        }
        // Never negative, so this rounds to the nearest; `f64::round` is a call on some targets.
        (clipped * 100.0 + 0.5) as u32
    }
}
