//! The queries by which users look at such data, each with the result to expect: what the specification's examples ask of ClickHouse.

use super::Recipient;
use crate::email::Law;
use crate::stats::{Merge, PoissonBinomial, Test, bernstein, binomial, merge_fields};
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Exact, Found, Probable, WorstActor, z};
use populace_core::email::laws::Volumes;
use populace_core::email::{EventType, Group as EventGroup};
use populace_core::time::{HOUR, Instant};

/// The expectation leaves out what lies below this share (see [`Expectation`](populace_core::email::laws::Expectation)).
const EXPECTATION_ERROR: f64 = 0.005;
/// A hot path is near for so many minutes.
const NEAR_MINUTES: f64 = 10.0;
/// How long the query of support tickets looks, hours.
const TICKET_HOURS: i64 = 48;
const LEADERS: usize = 10;

/// Clicks and recipient, the most first.
#[derive(Default)]
struct Leaders(Vec<(u64, String)>);

/// What the queries ask.
#[derive(Default)]
pub(super) struct Queries {
    /// From the latencies.
    pub(super) latency: Option<[(&'static str, Found); 2]>,
    types: [u64; EventType::ALL.len()],
    with_universal_id: u64,
    leaders: Leaders,
    clicks: WorstActor,
    hours: Option<Calibration<u8>>,
    near: Probable,
    far: Probable,
    tickets: u64,
    after_tickets: Option<Exact>,
}

impl Merge for Leaders {
    fn combine(&mut self, later: Self) {
        self.0.extend(later.0);
        self.0.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        self.0.truncate(LEADERS);
    }
}

merge_fields!(Queries { types, with_universal_id, leaders, clicks, hours, near, far, tickets, after_tickets } same { latency });

impl Queries {
    /// Adds a recipient; `shows_opens` is whether its rows say when it opens.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>, shows_opens: bool) {
        for (row, kind) in recipient.events.kinds.iter().enumerate() {
            if let Some(kind) = kind {
                self.types[*kind as usize] += 1;
            }
            self.with_universal_id += u64::from(recipient.events.universal_id.value(row).starts_with("sf_"));
        }
        if !shows_opens {
            return;
        }
        let law = recipient.law;
        let mut clicks = Probable::default();
        let drift = law.drift().variance();
        for message in &recipient.history.messages {
            let Some((p, p_click)) = law.drifted(&recipient.person, message) else { continue };
            let p = p * (1.0 - law.p_open_dropped(&recipient.person, message, recipient.history));
            let near = message.since_interest.is_some_and(|minutes| minutes < NEAR_MINUTES);
            if near { &mut self.near } else { &mut self.far }.add(p, message.opened.is_some());
            if let Some(opened) = message.opened {
                let dropped = law.p_click_dropped(opened, recipient.history);
                clicks.add(p_click * (1.0 - dropped), message.clicked.is_some());
                if dropped == 0.0 {
                    self.click_hours(law, p_click, opened, message.clicked);
                }
            }
        }
        self.near.end_actor();
        self.far.end_actor();
        self.hours.iter_mut().for_each(Calibration::end_actor);
        self.leaders.combine(Leaders(vec![(clicks.sum.hits(), recipient.id().to_owned())]));
        self.clicks.add(recipient.id(), clicks, 2.0 * drift);
        self.after_tickets(recipient);
    }

    /// The hours into which a click of an open may fall.
    fn click_hours(&mut self, law: &Law<'_>, p: f64, opened: Instant, clicked: Option<Instant>) {
        let hours = self.hours.get_or_insert_with(|| Calibration::new("clicked by toHour(timestamp)"));
        let delay = law.click_delay(opened);
        let mut from = opened;
        while from < delay.end() {
            let to = Instant((from.0.div_euclid(HOUR) + 1) * HOUR);
            let share = delay.cdf(0, to) - delay.cdf(0, from);
            let falls = clicked.is_some_and(|clicked| clicked >= from && clicked < to);
            if share > 0.0 || falls {
                hours.add_to(from.hour(), p * share, falls);
            }
            from = to;
        }
    }

    fn after_tickets(&mut self, recipient: &Recipient<'_>) {
        let law = self.after_tickets.get_or_insert_with(|| Exact::new("no engagement in the 48 hours after support_ticket"));
        for (time, kind) in &recipient.breakers {
            if *kind != EventType::SupportTicket {
                continue;
            }
            self.tickets += 1;
            let within = |moment: Option<Instant>| moment.is_some_and(|moment| (0..TICKET_HOURS * HOUR).contains(&moment.since(*time)));
            let found = recipient.history.messages.iter().find(|message| within(message.opened) || within(message.clicked));
            law.hold(found.is_none(), || format!("{} after {time}", recipient.id()));
        }
    }

    pub(super) fn report(self, law: &Law<'_>, board: &mut Board) {
        let group = Group::Query;
        self.volumes(law, board);
        let leaders: Vec<String> = self.leaders.0.iter().take(3).map(|(clicks, id)| format!("{id} {clicks}")).collect();
        self.clicks.report(board, group, "recipients with most clicks, each against its opens", &format!("{}; ", leaders.join(", ")));
        match self.hours {
            Some(hours) => hours.report_as(board, group, 2.0 * law.drift().variance(), |hour| format!("hour {hour:02}")),
            None => board.skip(group, "clicked by toHour(timestamp)", "there are no opens"),
        }
        match self.latency {
            Some(found) => found.into_iter().for_each(|(name, found)| board.test(group, name, found)),
            None => board.skip(group, "latency_seconds", "nothing is delivered"),
        }
        impact(&self.near, &self.far, law.drift().variance(), board);
        match self.after_tickets {
            Some(exact) if self.tickets > 0 && ticket_hours(law) >= TICKET_HOURS => {
                board.exact_as(group, exact);
            }
            _ => board.skip(group, "no engagement in the 48 hours after support_ticket", "there are no support tickets of 48 hours"),
        }
        let mut universal = Exact::new("every row has a universal_id LIKE 'sf_%'");
        let total: u64 = self.types.iter().sum();
        universal.hold(self.with_universal_id == total, || format!("{} of {total}", self.with_universal_id));
        board.exact_as(group, universal);
    }

    /// The counts of all rows and of each type.
    fn volumes(&self, law: &Law<'_>, board: &mut Board) {
        let config = law.config();
        let expected = law.expectation().total();
        let user_days = config.population.users * u64::from(config.window.days);
        let of = |kind: EventType| expected.of(kind);
        let (sent, scans) = (of(EventType::Sent), Scans::new(law, of(EventType::Delivered)));
        let [opened, clicked] = [EventType::Opened, EventType::Clicked].map(|kind| of(kind) - scans.rows(kind));
        // A Poisson number of messages, each of up to four rows: the variance is the sum of the squares. A circuit breaker takes the
        // opens and clicks of its days, and where it stops sends all of their mail; how many there are is random too.
        let squares = sent + 3.0 * of(EventType::Delivered) + 5.0 * opened + 7.0 * clicked;
        let happenings = law.model().occasion(EventGroup::Breaker).into_iter().flat_map(|breakers| &breakers.happenings);
        let longest = happenings.map(|kind| kind.within).max().unwrap_or(0);
        let breakers = expected.of_group(EventGroup::Breaker);
        let per_breaker = (longest / HOUR) as f64 / 24.0 * config.sends.per_day / sent.max(1.0);
        let stops = law.model().suppresses_sends();
        let engaged = opened + clicked;
        let lost = per_breaker * if stops { expected.total() } else { engaged };
        // What drift does to a recipient's opens and clicks, and what it may lose where it is clipped.
        let drift = law.drift().variance();
        let per_user = sent / config.population.users as f64;
        let drifted = |rows: f64| rows * rows / config.population.users as f64 * 2.0 * drift;
        let error = EXPECTATION_ERROR + drift.sqrt();
        let most = if drift > EXPECTATION_ERROR { 4.0 * per_user.max(20.0) } else { 4.0 };
        // Whose client opens ahead is drawn too: of such a recipient's messages that many more are opened.
        let (ahead, more) = law.model().machine_opens().map_or((0.0, 0.0), |machine| {
            let of_all = machine.user_share * machine.probability;
            let more = machine.probability * (of(EventType::Delivered) - opened) / (1.0 - of_all) / config.population.users as f64;
            (config.population.users as f64 * machine.user_share * (1.0 - machine.user_share) * more * more, more)
        });
        // Who is dead, and whose mailbox is full, is drawn too, and takes all mail of one or of some days.
        let mortal = law.model().attempts().map_or(Mortal::default(), |_| Mortal::new(law, &expected));
        // Who leaves is drawn too, and takes the rest of its rows.
        let gone = Gone::new(law, &expected);
        let most = f64::max(most, more).max(mortal.most).max(gone.most).max(scans.most());
        let variance = squares
            + ahead
            + scans.variance()
            + mortal.variance
            + gone.variance(expected.total())
            + breakers * (1.0 + lost * lost)
            + expected.of_group(EventGroup::HotPath) * 9.0
            + drifted(engaged);
        let total: u64 = self.types.iter().sum();
        let far = |observed: f64, expected: f64, variance: f64, error: f64, most: f64| {
            let beyond = ((observed - expected).abs() - error).max(0.0);
            Test { statistic: z(observed, expected, variance), p_value: bernstein(beyond, variance, most) }
        };
        let test =
            far(total as f64, expected.total(), variance, EXPECTATION_ERROR * expected.total() + drift.sqrt() * engaged, most.max(lost));
        board.test(
            Group::Query,
            "count()",
            Found { n: user_days, observed: total.to_string(), expected: format!("{:.0}", expected.total()), test },
        );
        let further = EventType::ALL[EventType::OF_EVERY_DOCUMENT..].iter().copied().filter(|kind| of(*kind) > 0.0);
        let mail = [EventType::Sent, EventType::Delivered, EventType::Opened, EventType::Clicked].into_iter().chain(further).map(|kind| {
            let (count, mean) = (self.types[kind as usize], of(kind));
            let engages = matches!(kind, EventType::Opened | EventType::Clicked);
            let by_people = mean - scans.rows(kind);
            let lost = if engages || stops { per_breaker * by_people } else { 0.0 };
            let ahead = if kind == EventType::Opened { ahead } else { 0.0 };
            let chance = ahead + scans.variance_of(kind) + mortal.variance + gone.variance(by_people);
            let variance = by_people + chance + breakers * lost * lost + if engages { drifted(by_people) } else { 0.0 };
            let error = if engages { error * by_people } else { mortal.error.max(gone.error) * by_people };
            (
                kind.name(),
                Found {
                    n: count,
                    observed: count.to_string(),
                    expected: format!("{mean:.0}"),
                    test: far(count as f64, mean, variance, error, most.max(lost)),
                },
            )
        });
        board.try_test(Group::Query, "count() by event_type", Found::worst(mail));
        let rare = |group: EventGroup| {
            let rate = law.model().per_day(group);
            Found::worst(EventType::ALL.into_iter().filter(move |kind| kind.group() == group).map(move |kind| {
                let (count, share) = (self.types[kind as usize], expected.of(kind) / user_days as f64);
                let test = Test {
                    statistic: z(count as f64, expected.of(kind), expected.of(kind)),
                    p_value: if rate > 0.0 { binomial(count, user_days, share) } else { f64::from(u8::from(count == 0)) },
                };
                (kind.name(), Found { n: count, observed: count.to_string(), expected: format!("{:.1}", expected.of(kind)), test })
            }))
        };
        let name = "count() of support_ticket, complaint and unsubscribe_request";
        board.try_test(Group::Query, name, rare(EventGroup::Breaker));
        board.try_test(Group::Query, "count() of site_visit, sms_click and product_view", rare(EventGroup::HotPath));
    }
}

/// How far who is dead and whose mailbox is full may move the counts of rows.
#[derive(Default)]
struct Mortal {
    variance: f64,
    /// The most rows that one recipient may add or lack.
    most: f64,
    /// The share of counts that their expectation leaves out.
    error: f64,
}

impl Mortal {
    fn new(law: &Law<'_>, expected: &Volumes) -> Self {
        let Some(own) = &law.config().delivery.attempts else { return Self::default() };
        let (users, days) = (law.config().population.users as f64, f64::from(law.config().window.days));
        let sends = (expected.of(EventType::Sent) + expected.of(EventType::Dropped)) / users;
        let rows = (expected.total() / users).max(sends);
        let dead = own.dead_addresses.as_ref().map_or(0.0, |dead| {
            let share = 1.0 - (1.0 - dead.initial_share) * (-dead.per_day * days).exp();
            share * rows * rows
        });
        // Of a full mailbox each message is deferred again and again.
        let full = own.full_mailboxes.as_ref().map_or((0.0, 0.0), |full| {
            let episodes = full.share * (1.0 + days / full.mean_days);
            let deferrals = sends / days * full.mean_days * law.model().attempts().map_or(0.0, |law| law.outcome(1.0).deferrals);
            (episodes * 2.0 * deferrals * deferrals, 4.0 * deferrals)
        });
        Self { variance: users * (dead + full.0), most: rows.max(full.1), error: EXPECTATION_ERROR }
    }
}

/// How far who leaves may move the counts of rows.
#[derive(Default)]
struct Gone {
    /// Recipients, and the share of their mail that is dropped.
    users: f64,
    share: f64,
    /// The most rows that one recipient may add or lack.
    most: f64,
    /// The share of counts that their expectation leaves out.
    error: f64,
}

impl Gone {
    fn new(law: &Law<'_>, expected: &Volumes) -> Self {
        if law.model().leaving().is_none() {
            return Self::default();
        }
        let users = law.config().population.users as f64;
        let (sent, dropped) = (expected.of(EventType::Sent), expected.of(EventType::Dropped));
        let share = dropped / (sent + dropped).max(f64::MIN_POSITIVE);
        Self { users, share, most: expected.total() / users / (1.0 - share).max(0.01), error: EXPECTATION_ERROR }
    }

    /// Of the number of rows of a kind: a recipient stays for a share of the time, whose variance is greatest if it is all or nothing.
    fn variance(&self, rows: f64) -> f64 {
        if self.share <= 0.0 {
            return 0.0;
        }
        let of_one = rows / self.users / (1.0 - self.share).max(0.01);
        self.users * of_one * of_one * self.share * (1.0 - self.share)
    }
}

/// The rows of scanners in expectation: who is behind one is drawn, and a scan is many rows at once.
struct Scans {
    /// Recipients, and the share of those behind a scanner.
    users: f64,
    share: f64,
    /// How many scans, and of each the `opened` rows and the links.
    count: f64,
    rows: [f64; 2],
}

impl Scans {
    fn new(law: &Law<'_>, delivered: f64) -> Self {
        let users = law.config().population.users as f64;
        law.model().scanners().map_or(Self { users, share: 0.0, count: 0.0, rows: [0.0; 2] }, |own| {
            let count = own.user_share * own.probability * delivered;
            Self { users, share: own.user_share, count, rows: [own.pixel_share, f64::from(own.links)] }
        })
    }

    fn of(&self, kind: EventType) -> f64 {
        match kind {
            EventType::Opened => self.rows[0],
            EventType::Clicked => self.rows[1],
            _ => 0.0,
        }
    }

    fn rows(&self, kind: EventType) -> f64 {
        self.count * self.of(kind)
    }

    /// Rows of one recipient behind a scanner, if a scan has so many.
    fn of_one(&self, rows: f64) -> f64 {
        if self.share > 0.0 { self.count * rows / (self.users * self.share) } else { 0.0 }
    }

    fn variance_with(&self, rows: f64, squared: f64) -> f64 {
        self.users * self.share * (1.0 - self.share) * self.of_one(rows).powi(2) + self.count * squared
    }

    fn variance_of(&self, kind: EventType) -> f64 {
        let rows = self.of(kind);
        self.variance_with(rows, if kind == EventType::Clicked { rows * rows } else { rows })
    }

    /// That of all rows; those of the scanned message hang together with them.
    fn variance(&self) -> f64 {
        let [opened, clicked] = self.rows;
        self.variance_with(opened + clicked, (clicked + 1.0) * (clicked + 9.0))
    }

    fn most(&self) -> f64 {
        self.of_one(self.rows.iter().sum()).max(self.rows[1] + 1.0)
    }
}

fn ticket_hours(law: &Law<'_>) -> i64 {
    let mut kinds = law.model().occasions().flat_map(|occasion| occasion.happenings.iter());
    kinds.find(|kind| kind.event_type == EventType::SupportTicket).map_or(0, |kind| kind.within / HOUR)
}

/// The open rate within ten minutes of a hot path over the rest.
fn impact(near: &Probable, far: &Probable, drift: f64, board: &mut Board) {
    let name = "open rate within 10 minutes of a hot path over the rest";
    let p = (2.0 * near.p_value(drift).min(far.p_value(drift))).min(1.0);
    let (near, far) = (&near.sum, &far.sum);
    if near.tries() == 0 || far.tries() == 0 {
        board.skip(Group::Query, name, "no message is delivered near a hot path");
        return;
    }
    let rate = |hits: f64, of: &PoissonBinomial| hits / of.tries() as f64;
    let ratio = rate(near.hits() as f64, near) / rate(far.hits() as f64, far);
    let expected = rate(near.expected(), near) / rate(far.expected(), far);
    let found = Found {
        n: near.tries(),
        observed: format!("{ratio:.3} times"),
        expected: format!("{expected:.3} times"),
        test: Test { statistic: near.z(), p_value: p },
    };
    board.test(Group::Query, name, found);
}
