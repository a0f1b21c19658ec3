//! What a report says of mail: one pass over the events, recipient by recipient.

mod blasts;
mod deliveries;
mod draw;
mod experiments;
mod leaving;
mod people;
mod policy;
mod scanners;

use crate::email::delay::microseconds;
use crate::email::history::{circumstances, decided_at};
use crate::email::{History, Law, Message, columns_for};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::report::Found;
use crate::report::figure::{Fact, Format};
use crate::report::measure::{Rate, Sketch, Spread};
use crate::source::{As, Columns, Side, Source, Want};
use crate::stats::{Merge, Sum, entry, merge_fields};
use crate::watch::Watch;
use arrow_array::RecordBatch;
use blasts::Blasts;
use deliveries::Deliveries;
use leaving::Leavers;
use people::OwnRates;
use populace_core::email::laws::{Cell, Volumes};
use populace_core::email::{Chart, EmailConfig, EmailModel, EventType, Group, HOURS_OF_WEEK, MONDAY, Person, Points};
use populace_core::time::{DAY, HOUR, Instant, MINUTE};
use populace_io::catalogue;
use populace_io::document::{Request, Resolved, Source as Document};
use std::collections::BTreeMap;

const MICROSECONDS: f64 = 1e6;
/// Hours of a bin around circuit breakers.
const BREAKER_BIN: i64 = 12;
/// Hours before the start of a circuit breaker that are shown.
const BREAKER_BEFORE: i64 = 72;
/// Hours after its start that are shown.
const BREAKER_AFTER: i64 = 288;
/// Bins of the predicted probability.
const CALIBRATION_BINS: usize = 20;
/// Days beyond these are not drawn day by day.
const MOST_DAYS: usize = 4_000;
/// Campaigns beyond these are counted as one.
const MOST_CAMPAIGNS: usize = 10_000;
/// Ends of the bins of open and click delays, minutes; the last bin has no end.
/// Those of opens, where they may take longer than two days.
const LONG_DELAYS: &[f64] = &[15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1_440.0, 2_880.0, 5_760.0, 10_080.0, 20_160.0];
const DELAYS: [&[f64]; 2] =
    [&[15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1_440.0, 2_880.0], &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0]];

/// What was counted.
struct Gathered<'a> {
    model: &'a EmailModel,
    config: &'a EmailConfig,
    law: Option<&'a Law<'a>>,
    /// Names of the personas; the last is of recipients whose persona is not known.
    names: Vec<String>,
    funnels: Vec<Funnel>,
    /// Events by day since 1970 and type: sent, delivered, opened, clicked.
    days: BTreeMap<i32, [u64; 4]>,
    /// Opens by persona and hour of the week.
    engagement: Vec<[u64; HOURS_OF_WEEK]>,
    /// Expected opens by habit and hour of the week of delivery; the last is of recipients that are not known.
    open_mass: Vec<[Sum; HOURS_OF_WEEK]>,
    /// Opens of messages by persona, kind of day (0 of Monday to Friday) and hour of the decision.
    by_hour: Vec<[[Rate; 24]; 2]>,
    /// Latencies, seconds, by minute of the hour and by hour of sending on the provider's clock.
    latency_by_minute: Vec<Sketch>,
    latency_by_hour: Vec<Sketch>,
    /// How many messages each kind of congestion had, by minute and by hour.
    cells_by_minute: Vec<[u64; 8]>,
    cells_by_hour: Vec<[u64; 8]>,
    /// Charts of effects, each with its place among them, and the opens by the points of each.
    charts: Vec<(usize, Chart)>,
    chart_rates: Vec<Vec<Rate>>,
    /// Opens by time around the start of a circuit breaker, by its length in hours.
    breakers: BTreeMap<i64, Vec<Rate>>,
    breaker_windows: BTreeMap<i64, u64>,
    calibration: Vec<Rate>,
    /// Opens by campaign.
    campaigns: BTreeMap<String, Rate>,
    /// Delays of opens and of clicks that no circuit breaker could silence, by bin, and what is expected of them.
    delays: [Vec<u64>; 2],
    /// The ends of the bins.
    ends: [&'static [f64]; 2],
    delay_mass: [Vec<Sum>; 2],
    /// Of a recipient: sent; delivered of sent; opened of delivered; clicked of opened; circuit breakers; hot paths.
    spreads: [Spread; 6],
    breaker_events: u64,
    interests: u64,
    orphans: u64,
    repeats: u64,
    recipients: u64,
    /// Recipients whose client opens ahead.
    opened_ahead: u64,
    /// Opens by the hour of the recipients' clock: by their own clients, and by those that open ahead.
    open_hours: [[u64; 24]; 2],
    /// Opens by zone and hour: of the recipients' clock, and of UTC.
    zone_hours: Vec<[[u64; 24]; 2]>,
    /// Where people differ.
    own_rates: Option<OwnRates>,
    deliveries: Deliveries,
    blasts: Blasts,
    leavers: Leavers,
    clicks: scanners::Clicks,
    variants: experiments::Variants,
}

merge_fields!(Gathered<'_> {
    funnels, days, engagement, open_mass, by_hour, latency_by_minute, latency_by_hour, cells_by_minute, cells_by_hour, chart_rates,
    breakers, breaker_windows, calibration, campaigns, delays, delay_mass, spreads, breaker_events, interests, orphans, repeats, recipients,
    opened_ahead, open_hours, clicks, zone_hours, own_rates, deliveries, blasts, leavers, variants,
} same { model, config, law, names, charts, ends });

impl Observer for Gathered<'_> {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        if let Some(events) = &actor[0] {
            let of = if self.law.is_some() { History::new } else { History::of_any };
            self.recipient(&of(self.model, events), events);
        }
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        self.combine(later);
        Ok(())
    }
}

/// One persona's messages.
#[derive(Clone, Copy, Default)]
struct Funnel {
    recipients: u64,
    sent: u64,
    delivered: u64,
    /// Of delivered messages.
    opens: Rate,
    /// Of delivered messages.
    clicks: Rate,
}

merge_fields!(Funnel { recipients, sent, delivered, opens, clicks });

/// The facts and sections of mail, and what is to be said of them.
pub(crate) fn figures(source: &Source, document: Option<&Resolved>, watch: &Watch<'_>) -> Result<Found, AnalysisError> {
    let model: Option<EmailModel> = document.map(catalogue::model).transpose()?;
    let seed = document.and_then(|document| source.seed(document));
    let law = model.as_ref().map(|model| Law::new(model, seed));
    if let Some(model) = &model {
        let mut found = sections(source, law.as_ref(), model, watch)?;
        match document.map_or(Ok(None), |document| policy::section(source, document, watch)) {
            Ok(section) => found.sections.extend(section),
            Err(error) if error.is_interrupted() => return Err(error),
            // What was changed by hand can be shown without what is told of its policy.
            Err(error) => found.notes.push(format!("The figures of the policy are left out: {error}.")),
        }
        return Ok(found);
    }
    let standard: EmailModel = catalogue::model(&catalogue::resolve(&Request::new(Document::Named("email")))?)?;
    sections(source, None, &standard, watch)
}

fn sections(source: &Source, law: Option<&Law<'_>>, standard: &EmailModel, watch: &Watch<'_>) -> Result<Found, AnalysisError> {
    let model = law.map_or(standard, Law::model);
    let wants = [&columns_for(model)[..], &[Want::optional("campaign_id", As::Text)]].concat();
    let inputs = Inputs::joined("recipient_id", [Side { table: "events", wants: &wants, time: Some("timestamp") }]);
    let gathered = pass::run(source, &inputs, watch, "counting", || Gathered::new(standard, law))?;
    if gathered.orphans > 0 && gathered.days.is_empty() && gathered.breaker_events + gathered.interests == 0 {
        return Err(AnalysisError::input(format!(
            "events: none of the {} events can be used: they are of an unknown type or have no message_id, and a report of nothing would be \
             empty\nhint: the types are {}",
            gathered.orphans,
            EventType::NAMES.join(", ")
        )));
    }
    let whole = source.manifest().is_some_and(|manifest| manifest.identity.count.is_none());
    let expected = law.filter(|_| whole).map(of_people);
    let facts = gathered.facts(expected.as_ref());
    let notes = gathered.notes();
    Ok(Found { facts, sections: draw::sections(&gathered), notes })
}

/// The expected volumes without the rows of scanners, which count nowhere but in their own figure.
fn of_people(law: &Law<'_>) -> Volumes {
    let mut expected = law.expectation().total();
    let scans = law.model().scanners().map_or([0.0; 2], |scanners| scanners.rows(expected.of(EventType::Delivered)));
    for (kind, rows) in [EventType::Opened, EventType::Clicked].into_iter().zip(scans) {
        expected.events[kind as usize] -= rows;
    }
    expected
}

impl<'a> Gathered<'a> {
    fn new(model: &'a EmailModel, law: Option<&'a Law<'a>>) -> Self {
        let mut names: Vec<String> = law.map_or(&[][..], Law::personas).iter().map(|persona| persona.name.replace('_', " ")).collect();
        let others = match law {
            Some(law) if law.model().machine_opens().is_some() => "opened ahead by their clients",
            Some(_) => "unknown",
            None => "all recipients",
        };
        names.push(others.into());
        let personas = names.len();
        let charts = model.effects().each().into_iter().enumerate().filter_map(|(effect, of)| {
            let chart = of.chart()?;
            Some((effect, chart))
        });
        let charts: Vec<(usize, Chart)> = charts.collect();
        let points = |(_, chart): &(usize, Chart)| match &chart.points {
            Points::Named(names) => names.len(),
            Points::Steps { width, end, .. } => (end / width).ceil() as usize + 1,
        };
        let chart_rates = charts.iter().map(|chart| vec![Rate::default(); points(chart)]).collect();
        let lengths = model.occasion(Group::Breaker).into_iter().flat_map(|breakers| breakers.happenings.iter());
        let lengths = lengths.map(|kind| kind.within / HOUR);
        let bins = ((BREAKER_BEFORE + BREAKER_AFTER) / BREAKER_BIN) as usize;
        let [opens, clicks] = DELAYS;
        let is_long = opens.last().is_some_and(|last| model.config().longest_open_delay() > *last);
        let ends = [if is_long { LONG_DELAYS } else { opens }, clicks];
        Self {
            model,
            config: model.config(),
            law,
            names,
            funnels: vec![Funnel::default(); personas],
            days: BTreeMap::new(),
            engagement: vec![[0; HOURS_OF_WEEK]; personas],
            open_mass: vec![[Sum::default(); HOURS_OF_WEEK]; law.map_or(0, |law| law.model().habits().len()) + 1],
            by_hour: vec![[[Rate::default(); 24]; 2]; personas],
            latency_by_minute: vec![Sketch::default(); 60],
            latency_by_hour: vec![Sketch::default(); 24],
            cells_by_minute: vec![[0; 8]; 60],
            cells_by_hour: vec![[0; 8]; 24],
            charts,
            chart_rates,
            breakers: lengths.map(|hours| (hours, vec![Rate::default(); bins])).collect(),
            breaker_windows: BTreeMap::new(),
            calibration: vec![Rate::default(); CALIBRATION_BINS],
            campaigns: BTreeMap::new(),
            delays: ends.map(|ends| vec![0; ends.len() + 1]),
            delay_mass: ends.map(|ends| vec![Sum::default(); ends.len() + 1]),
            ends,
            spreads: Default::default(),
            breaker_events: 0,
            interests: 0,
            orphans: 0,
            repeats: 0,
            recipients: 0,
            opened_ahead: 0,
            open_hours: [[0; 24]; 2],
            zone_hours: vec![[[0; 24]; 2]; model.zones().map_or(0, |zones| zones.list().len())],
            own_rates: law.filter(|law| law.model().people_differ()).map(|_| OwnRates::new()),
            deliveries: Deliveries::default(),
            blasts: Blasts::new(model),
            leavers: Leavers::new(law),
            clicks: scanners::Clicks::default(),
            variants: experiments::Variants::new(model),
        }
    }

    fn recipient(&mut self, history: &History, events: &RecordBatch) {
        let unknown = self.names.len() - 1;
        self.clicks.add(self.config, history, events);
        // Whether and when a recipient opens whose client opens ahead shows in no row: they are a group of their own.
        let is_ahead = history.is_opened_ahead();
        self.opened_ahead += u64::from(is_ahead);
        let known = self.law.filter(|_| !is_ahead).and_then(|law| law.person_of(&history.recipient_id));
        let persona = known.map_or(unknown, |person| person.persona.into());
        let zone = self.law.and_then(|law| law.person_of(&history.recipient_id)).map_or(0, |person| person.zone.zone);
        self.recipients += 1;
        self.orphans += history.orphans;
        self.repeats += history.repeats;
        self.breaker_events += history.breakers.len() as u64;
        self.interests += history.interests.len() as u64;
        self.funnels[persona].recipients += 1;
        if let Some((law, person)) = self.law.zip(known.as_ref()) {
            self.own_rates(law, person, history);
        }
        self.deliveries.add(self.config, self.law, history);
        history.messages.iter().for_each(|message| self.blasts.add(self.law, message));
        let mut expected = Vec::with_capacity(history.messages.len());
        let campaigns = events.text("campaign_id");
        if let Some((law, leaving)) = self.law.and_then(|law| Some((law, law.model().leaving()?))) {
            self.leavers.add(law, leaving, history, campaigns);
        }
        let [mut delivered, mut opened, mut clicked] = [0; 3];
        for message in &history.messages {
            let message = &Message { opened: message.opened.or(message.machine_opened), ..*message };
            self.hours(zone, message);
            let law = self.law.zip(known.as_ref());
            let probability = law.and_then(|(law, person)| {
                let decided = law.p_open(person, message)?;
                Some(decided * (1.0 - law.p_open_dropped(person, message, history)))
            });
            expected.push(probability);
            self.count(persona, zone, message);
            if message.delivered.is_some() && is_ahead {
                self.funnels[persona].opens.add(message.opened.is_some(), None);
                self.funnels[persona].clicks.add(message.clicked.is_some(), None);
                delivered += 1;
                opened += u64::from(message.opened.is_some());
                clicked += u64::from(message.opened.and(message.clicked).is_some());
            } else if message.delivered.is_some() {
                let p_click = law.map(|(law, person)| law.p_click(person, message));
                self.opens(persona, known.as_ref(), message, [probability, p_click]);
                if campaigns.is_valid(message.sent_row) {
                    self.campaign(campaigns.value(message.sent_row)).add(message.opened.is_some(), probability);
                }
                self.delays(known.as_ref(), message, history);
                delivered += 1;
                opened += u64::from(message.opened.is_some());
                clicked += u64::from(message.opened.and(message.clicked).is_some());
            }
        }
        let sent = history.messages.len() as u64;
        let counts = [
            (sent, 1),
            (delivered, sent),
            (opened, delivered),
            (clicked, opened),
            (history.breakers.len() as u64, 1),
            (history.interests.len() as u64, 1),
        ];
        self.spreads.iter_mut().zip(counts).for_each(|(spread, (x, y))| spread.add(x, y));
        if !is_ahead {
            self.variants.add(self.model, history);
            self.around_breakers(history, &expected);
        }
    }

    /// How much of its mail a recipient opens, against what people of its persona do.
    fn own_rates(&mut self, law: &Law<'_>, person: &Person, history: &History) {
        let Some(rates) = &mut self.own_rates else { return };
        let typical = law.model().typical(person.persona.into());
        let kept = |message: &Message| Some(law.p_open(&typical, message)? * (1.0 - law.p_open_dropped(&typical, message, history)));
        let alike: Vec<f64> = history.messages.iter().filter_map(kept).collect();
        rates.add(history.messages.iter().filter(|message| message.opened.is_some()).count(), &alike);
    }

    /// The hours of opens, by recipients' own clients and by those that open ahead.
    fn hours(&mut self, zone: u8, message: &Message) {
        if let Some(opened) = message.opened {
            let hour = self.model.clock(zone).local(opened).hour();
            self.open_hours[usize::from(message.machine_opened.is_some())][usize::from(hour)] += 1;
            // What a machine fetches tells of the phone's charger, not of the zone's mornings.
            let by_people = self.law.is_some() && message.machine_opened.is_none();
            if let Some([local, utc]) = self.zone_hours.get_mut(usize::from(zone)).filter(|_| by_people) {
                local[usize::from(hour)] += 1;
                utc[usize::from(opened.hour())] += 1;
            }
        }
    }

    /// Events by day, engagement by the hour of the week, latency.
    fn count(&mut self, persona: usize, zone: u8, message: &Message) {
        let moments = [Some(message.sent), message.delivered, message.opened, message.clicked];
        for (kind, moment) in moments.iter().enumerate() {
            if let Some(moment) = moment {
                self.days.entry(moment.date().0).or_default()[kind] += 1;
            }
        }
        if let Some(opened) = message.opened {
            self.engagement[persona][self.model.clock(zone).local(opened).minute_of_week() / 60] += 1;
        }
        self.funnels[persona].sent += 1;
        let Some(delivered) = message.delivered else { return };
        self.funnels[persona].delivered += 1;
        let local = self.config.esp_timezone.local(message.sent);
        let (minute, hour) = (usize::from(local.minute()), usize::from(local.hour()));
        let seconds = delivered.since(message.sent) as f64 / MICROSECONDS;
        if message.blast.is_some() || message.delivered_row.is_none_or(|row| row == message.sent_row) {
            // It waited in a queue, or its time of sending is not known, or not that of its delivery.
            return;
        }
        if message.deferrals > 0 {
            // Its latency is that of its retries.
            return;
        }
        self.latency_by_minute[minute].add(seconds);
        self.latency_by_hour[hour].add(seconds);
        if let Some(law) = self.law {
            let cell = cell_index(law.model().latency_cell(message.sent));
            self.cells_by_minute[minute][cell] += 1;
            self.cells_by_hour[hour][cell] += 1;
        }
    }

    /// A delivered message: whether it was opened, by all that matters.
    fn opens(&mut self, persona: usize, known: Option<&Person>, message: &Message, [p_open, p_click]: [Option<f64>; 2]) {
        let opened = message.opened.is_some();
        // What is looked at of somebody unknown depends on no persona.
        let person = known.copied().unwrap_or_else(|| self.model.typical(0));
        if let Some(delivered) = message.delivered {
            let local = self.model.clock(person.zone.zone).local(delivered);
            let habit = known.map_or(self.open_mass.len() - 1, |person| person.habit.into());
            self.open_mass[habit][local.minute_of_week() / 60].add(p_open.unwrap_or(0.0));
        }
        let Some(at) = circumstances(self.model, &person, message) else { return };
        self.funnels[persona].opens.add(opened, p_open);
        self.funnels[persona].clicks.add(message.clicked.is_some(), p_open.zip(p_click).map(|(open, click)| open * click));
        self.by_hour[persona][usize::from(at.clock.weekday() >= 5)][usize::from(at.clock.hour())].add(opened, p_open);
        if message.suppressed {
            return;
        }
        let effects = self.model.effects().each();
        for ((effect, _), rates) in self.charts.iter().zip(&mut self.chart_rates) {
            rates[effects[*effect].point(&at)].add(opened, p_open);
        }
        if let Some(probability) = p_open {
            let bin = (probability * CALIBRATION_BINS as f64) as usize;
            self.calibration[bin.min(CALIBRATION_BINS - 1)].add(opened, p_open);
        }
    }

    fn campaign(&mut self, id: &str) -> &mut Rate {
        let id = if self.campaigns.len() < MOST_CAMPAIGNS || self.campaigns.contains_key(id) { id } else { "others" };
        entry(&mut self.campaigns, id)
    }

    /// How long the open and the click took.
    fn delays(&mut self, known: Option<&Person>, message: &Message, history: &History) {
        let moments = [message.delivered.zip(message.opened), message.opened.zip(message.clicked)];
        let longest = [self.config.longest_open_delay(), self.config.click_delays.max_minutes].map(microseconds);
        for (step, moments) in moments.into_iter().enumerate() {
            let Some((from, to)) = moments else { continue };
            if history.suppressed_after(from).next().is_some_and(|(begin, _)| begin < from.plus(longest[step])) {
                continue;
            }
            let ends = self.ends[step];
            let bin = ends.partition_point(|end| from.plus(microseconds(*end)) < to);
            self.delays[step][bin] += 1;
            if let Some((law, person)) = self.law.zip(known) {
                let (delay, of) =
                    if step == 0 { (law.open_delay_of(person, from), usize::from(person.habit)) } else { (law.click_delay(from), 0) };
                let mut before = 0.0;
                for (mass, end) in self.delay_mass[step].iter_mut().zip(ends.iter().map(Some).chain([None])) {
                    let until = end.map_or(1.0, |end| delay.cdf(of, from.plus(microseconds(*end))));
                    mass.add(until - before);
                    before = until;
                }
            }
        }
    }

    /// The messages around each stretch of suppression that is as long as one circuit breaker.
    fn around_breakers(&mut self, history: &History, expected: &[Option<f64>]) {
        for (start, end) in history.suppressed_after(Instant(i64::MIN)) {
            let hours = end.since(start) / HOUR;
            let Some(rates) = self.breakers.get_mut(&hours).filter(|_| end.since(start) % HOUR == 0) else { continue };
            *self.breaker_windows.entry(hours).or_default() += 1;
            // Delivery follows sending by minutes, so that the day before is early enough to look from.
            let from = history.messages.partition_point(|message| message.sent < start.plus(-BREAKER_BEFORE * HOUR - DAY));
            for (message, expected) in history.messages[from..].iter().zip(&expected[from..]) {
                if message.sent >= start.plus(BREAKER_AFTER * HOUR) {
                    break;
                }
                let Some(decided) = decided_at(self.config, message) else { continue };
                let place = decided.since(start) + BREAKER_BEFORE * HOUR;
                if let Some(rate) = usize::try_from(place.div_euclid(BREAKER_BIN * HOUR)).ok().and_then(|bin| rates.get_mut(bin)) {
                    rate.add(message.opened.is_some(), *expected);
                }
            }
        }
    }

    fn total(&self) -> Funnel {
        self.funnels.iter().fold(Funnel::default(), |mut total, funnel| {
            total.combine(*funnel);
            total
        })
    }

    fn facts(&self, expected: Option<&Volumes>) -> Vec<Fact> {
        let total = self.total();
        let of = |kind: EventType| expected.map(|volumes| volumes.of(kind));
        let ratio = |part: EventType, whole: EventType| Some(of(part)? / of(whole)?);
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let mut latency = Sketch::default();
        self.latency_by_hour.iter().for_each(|hour| latency.merge(hour));
        let count = |name: &str, value: u64, expected| Fact::new(name, value as f64, Format::Count).expected(expected);
        let mut facts = vec![
            count("messages sent", total.sent, of(EventType::Sent)).spread(self.spreads[0].of_sum()),
            Fact::new("delivered, of sent", share(total.delivered, total.sent), Format::Share)
                .expected(ratio(EventType::Delivered, EventType::Sent))
                .spread(self.spreads[1].of_ratio()),
            Fact::new("opened, of delivered", share(total.opens.hits, total.delivered), Format::Share)
                .expected(ratio(EventType::Opened, EventType::Delivered))
                .spread(self.spreads[2].of_ratio()),
            Fact::new("clicked, of opened", share(total.clicks.hits, total.opens.hits), Format::Share)
                .expected(ratio(EventType::Clicked, EventType::Opened))
                .spread(self.spreads[3].of_ratio()),
            count("circuit breakers", self.breaker_events, expected.map(|volumes| volumes.of_group(Group::Breaker)))
                .spread(self.spreads[4].of_sum()),
            count("hot paths", self.interests, expected.map(|volumes| volumes.of_group(Group::HotPath))).spread(self.spreads[5].of_sum()),
        ];
        if self.model.leaving().is_some() {
            facts.push(count("unsubscribed", self.leavers.unsubscribes(), of(EventType::Unsubscribed)));
        }
        if let Some(median) = latency.quantile(0.5) {
            facts.push(Fact::new("median latency", median, Format::Number).spread(latency.of_median()).unit("s"));
        }
        facts
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.law.is_none() {
            notes.push("There is no scenario.yaml beside the data: true curves and personas, which need it, are left out.".to_owned());
        }
        if self.opened_ahead > 0 {
            notes.push(format!(
                "The clients of {} recipients open messages ahead: nobody can see whether and when they open. They are a group of their own, \
                 without true curves.",
                self.opened_ahead
            ));
        }
        if self.clicks.recipients > 0 {
            notes.push(format!(
                "{} recipients are behind scanners, which visit every link: their rows count in the figure of clicks by scanners alone.",
                self.clicks.recipients
            ));
        }
        let unknown = self.funnels.last().map_or(0, |funnel| funnel.recipients) - self.opened_ahead;
        if self.law.is_some() && unknown > 0 {
            notes.push(format!("{unknown} recipients are not of the scenario: they count as persona `unknown`, without true curves."));
        }
        if self.orphans > 0 {
            notes.push(format!("{} events were left out: of an unknown type, or of a message that was never sent.", self.orphans));
        }
        if self.repeats > 0 {
            notes.push(format!("{} events were left out: duplicates of an earlier event.", self.repeats));
        }
        if self.days.len() > MOST_DAYS {
            notes.push(format!("The {} days are too many to be drawn one by one: events by day are left out.", self.days.len()));
        }
        notes
    }

    /// What a row of recipients is.
    fn who(&self) -> &'static str {
        if self.law.is_some() { "Persona" } else { "Recipients" }
    }

    /// The personas that have recipients, by index.
    fn present(&self) -> Vec<usize> {
        (0..self.names.len()).filter(|&persona| self.funnels[persona].recipients > 0).collect()
    }
}

fn cell_index(cell: Cell) -> usize {
    usize::from(cell.top) | usize::from(cell.batch) << 1 | usize::from(cell.weekend) << 2
}

fn cell_of(index: usize) -> Cell {
    Cell { top: index & 1 > 0, batch: index & 2 > 0, weekend: index & 4 > 0 }
}

/// The hours of the week in which a persona's opens are expected, given how many are expected, by habit, of deliveries in each.
fn expected_opens(law: &Law<'_>, persona: usize, masses: &[[Sum; HOURS_OF_WEEK]]) -> Vec<f64> {
    /// Places within the hour of delivery that stand for all.
    const PLACES: i64 = 4;
    // By how much the recipients' clock is ahead of UTC.
    let clock = law.model().clock(law.model().typical(persona).zone.zone).local(MONDAY).since(MONDAY);
    let hours = (law.config().longest_open_delay() / 60.0).ceil() as i64 + 1;
    let mut opens = vec![0.0; HOURS_OF_WEEK];
    let of_persona = law.model().habits().iter().enumerate().filter(|(_, habit)| usize::from(habit.persona) == persona);
    let masses = of_persona
        .flat_map(|(habit, _)| masses[habit].iter().copied().map(Sum::value).enumerate().map(move |(hour, mass)| (habit, hour, mass)));
    for (habit, hour, mass) in masses.filter(|(.., mass)| *mass > 0.0) {
        for place in 0..PLACES {
            let minute = 60.0 * (place as f64 + 0.5) / PLACES as f64;
            let delivered = MONDAY.plus(hour as i64 * HOUR + (minute * MINUTE as f64) as i64 - clock);
            let delay = law.open_delay_of(&law.model().person(habit, 1.0, 1.0), delivered);
            let cdf = |ahead: i64| delay.cdf(habit, delivered.plus(ahead * HOUR - (minute * MINUTE as f64) as i64));
            let mut before = 0.0;
            for ahead in 1..=hours {
                let until = cdf(ahead);
                opens[(hour + ahead as usize - 1) % HOURS_OF_WEEK] += mass * (until - before) / PLACES as f64;
                before = until;
            }
        }
    }
    opens
}

/// The factor by the clock alone of each hour of a persona's week, the mean over its minutes.
fn true_week(law: &Law<'_>, persona: usize) -> Vec<f64> {
    let typical = law.model().typical(persona);
    let at = |minute: usize| law.model().effects().by_clock(1.0, &typical, MONDAY.plus(minute as i64 * MINUTE), 0);
    (0..HOURS_OF_WEEK).map(|hour| (0..60).map(|minute| at(60 * hour + minute)).sum::<f64>() / 60.0).collect()
}
