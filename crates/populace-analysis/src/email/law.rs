//! What the scenario says about a message, given its circumstances as the events tell them: the factors are those of the simulation,
//! which the tests of the core hold against closed forms of their own.

use super::delay::{Delay, DelayLaw};
use super::drift::Drift;
use super::history::{History, Message, circumstances};
use populace_core::email::laws::Expectation;
use populace_core::email::{Address, Circumstances, Clock, Effects, EmailConfig, EmailModel, Factors, Mailbox, Person, Persona};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::Instant;
use populace_io::tables::email::actor_of;

/// The laws of a document.
pub struct Law<'a> {
    model: &'a EmailModel,
    /// Of the seed that dealt the personas, if it is known.
    key: Option<StreamKey>,
    opens: DelayLaw,
    clicks: DelayLaw,
    drift: Drift,
}

impl<'a> Law<'a> {
    /// The laws of a model's document; `seed` is that of the data, where it is known.
    pub fn new(model: &'a EmailModel, seed: Option<u64>) -> Self {
        let key = seed.map(|seed| StreamKey::root(seed, EmailModel::NAME));
        Self { model, key, opens: DelayLaw::opens(model), clicks: DelayLaw::clicks(model), drift: Drift::new(model.config()) }
    }

    /// The document.
    pub fn config(&self) -> &EmailConfig {
        self.model.config()
    }

    /// The model.
    pub fn model(&self) -> &EmailModel {
        self.model
    }

    /// The personas, in the order of the document.
    pub fn personas(&self) -> &[Persona] {
        self.model.personas()
    }

    /// Who a recipient is, by the seed. `None` for an id that no scenario gives, and without a seed.
    pub fn person_of(&self, recipient_id: &str) -> Option<Person> {
        Some(self.model.person_of(self.key?, ActorId(actor_of(recipient_id)?)))
    }

    /// The persona of a recipient, as an index into [`personas`](Self::personas), where [`person_of`](Self::person_of) is one.
    pub fn persona_of(&self, recipient_id: &str) -> Option<usize> {
        self.person_of(recipient_id).map(|person| person.persona.into())
    }

    /// Whether a recipient's client opens messages ahead, by the seed; `false` where [`persona_of`](Self::persona_of) is `None`.
    pub fn is_opened_ahead(&self, recipient_id: &str) -> bool {
        let actor = actor_of(recipient_id).map(ActorId);
        self.key.zip(actor).is_some_and(|(key, actor)| self.model.is_opened_ahead(key, actor))
    }

    /// The variants that a recipient has in experiments which deal them to recipients, by the seed; `None` where there are none, and where
    /// [`persona_of`](Self::persona_of) is.
    pub fn dealt(&self, recipient_id: &str) -> Option<Vec<u8>> {
        let experiments = self.model.effects().experiments()?;
        Some(experiments.dealt(&self.key?.actor(ActorId(actor_of(recipient_id)?))))
    }

    /// The address of a recipient, by the seed; `None` where addresses do not matter, and where [`persona_of`](Self::persona_of) is.
    pub fn address_of(&self, recipient_id: &str) -> Option<Address> {
        self.model.address_of(self.key?, ActorId(actor_of(recipient_id)?))
    }

    /// A recipient's mailbox, by the seed; `None` where [`persona_of`](Self::persona_of) is.
    pub fn mailbox_of(&self, recipient_id: &str) -> Option<Mailbox> {
        Some(self.model.mailbox_of(self.key?, ActorId(actor_of(recipient_id)?)))
    }

    /// Whether a scanner stands before a recipient's mailbox, by the seed; `false` where [`persona_of`](Self::persona_of) is `None`.
    pub fn is_scanned(&self, recipient_id: &str) -> bool {
        let actor = actor_of(recipient_id).map(ActorId);
        self.key.zip(actor).is_some_and(|(key, actor)| self.model.is_scanned(key, actor))
    }

    /// The expected volumes: of the personas that the seed deals, or on average over seeds.
    pub fn expectation(&self) -> Expectation {
        self.key.map_or_else(|| Expectation::new(self.model), |key| Expectation::under(self.model, key))
    }

    /// Scheduled sends to expect of a recipient over the window, if circuit breakers stop none.
    pub fn scheduled(&self) -> f64 {
        let config = self.config();
        config.sends.per_day * self.model.mean_volume() * f64::from(config.window.days)
    }

    /// The circumstances of a message that was delivered.
    pub fn circumstances(&self, person: &Person, message: &Message) -> Option<Circumstances> {
        circumstances(self.model, person, message)
    }

    /// The factors of a message that was delivered, as in [`EFFECTS`](populace_core::email::EFFECTS).
    pub fn factors(&self, person: &Person, message: &Message) -> Option<Factors> {
        Some(self.model.effects().factors(&self.circumstances(person, message)?))
    }

    /// The timing factor of a person at a moment.
    pub fn timing_at(&self, person: &Person, moment: Instant) -> f64 {
        let clock = self.model.clock(person.zone.zone);
        self.model.effects().timing_at(person, clock.local(moment), clock.ahead(moment))
    }

    /// P(the open is decided for | delivered): the capped product of the person's open rate, undrifted, and the factors; 0 where
    /// suppressed, `None` where not delivered.
    pub fn p_open(&self, person: &Person, message: &Message) -> Option<f64> {
        let product = Effects::product(person.open_rate, &self.factors(person, message)?);
        Some(if message.suppressed { 0.0 } else { product.min(self.config().engagement.max_probability) })
    }

    /// As [`p_open`](Self::p_open), and P(click | open), on average over what drift may have made of the recipient's rates.
    pub(crate) fn drifted(&self, person: &Person, message: &Message) -> Option<(f64, f64)> {
        let Person { open_rate, click_rate, .. } = *person;
        let product = Effects::product(open_rate, &self.factors(person, message)?);
        let p_open = if message.suppressed { 0.0 } else { self.drift.open(message, product) };
        let ratio = click_rate / open_rate * self.click_factor(person, message);
        Some((p_open, self.drift.click(message, product, ratio)))
    }

    /// How rates drift.
    pub(crate) fn drift(&self) -> &Drift {
        &self.drift
    }

    /// P(click | open) of a message that was delivered, undrifted.
    pub fn p_click(&self, person: &Person, message: &Message) -> f64 {
        let Person { open_rate, click_rate, .. } = *person;
        (click_rate / open_rate * self.click_factor(person, message)).min(1.0)
    }

    /// The effects' factor of P(click | open).
    pub(super) fn click_factor(&self, person: &Person, message: &Message) -> f64 {
        self.circumstances(person, message).map_or(1.0, |at| self.model.effects().click_factor(&at))
    }

    /// When a message is opened that was delivered at `delivered` in a zone and whose open is decided for; kinds are habits.
    pub fn open_delay(&self, zone: u8, delivered: Instant) -> Delay<'_> {
        self.opens.after(self.model.clock(zone), delivered)
    }

    /// As [`open_delay`](Self::open_delay), of one person.
    pub(crate) fn open_delay_of(&self, person: &Person, delivered: Instant) -> Delay<'_> {
        self.opens.of_kind(person.habit.into(), self.model.clock(person.zone.zone), delivered)
    }

    /// When a message that was opened at `opened` and whose click is decided for is clicked; there is one kind.
    pub fn click_delay(&self, opened: Instant) -> Delay<'_> {
        self.clicks.after(self.any_clock(), opened)
    }

    /// A clock for what does not depend on the hour.
    fn any_clock(&self) -> Clock<'_> {
        Clock::Fixed(self.config().timezone)
    }

    /// P(an open that was decided for falls inside a circuit breaker's window, and is therefore dropped), given all the breakers of the
    /// history.
    pub fn p_open_dropped(&self, person: &Person, message: &Message, history: &History) -> f64 {
        message
            .delivered
            .map_or(0.0, |delivered| self.opens.silenced(person.habit.into(), self.model.clock(person.zone.zone), delivered, history))
    }

    /// P(a click that was decided for falls inside a circuit breaker's window, and is therefore dropped), given the moment of the open
    /// and all the breakers of the history.
    pub fn p_click_dropped(&self, opened: Instant, history: &History) -> f64 {
        self.clicks.silenced(0, self.any_clock(), opened, history)
    }
}
