//! What the scenario says about a message, worked out from the document anew, apart from the simulation: a fault there cannot hide here.

use super::delay::{Delay, DelayLaw};
use super::history::{History, Message, decided_at};
use populace_core::email::{EmailConfig, EmailModel, PersonaConfig};
use populace_core::stream::ActorId;
use populace_core::time::Instant;
use populace_io::tables::email::actor_of;

const HOURS_OF_WEEK: usize = 168;

/// The laws of a document.
pub struct Law<'a> {
    model: &'a EmailModel,
    personas: Vec<Persona>,
    opens: DelayLaw,
    clicks: DelayLaw,
}

/// What is known of a persona.
#[derive(Clone, Debug)]
pub struct Persona {
    /// Its name.
    pub name: String,
    /// P(open | delivered) with all factors neutral.
    pub open_rate: f64,
    /// P(click | delivered) with all factors neutral.
    pub click_rate: f64,
    /// Its share of the population.
    pub share: f64,
    timing: [f64; HOURS_OF_WEEK],
    minute: [f64; 60],
}

/// The named factors of a message's open probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// By the hour of the week.
    pub timing: f64,
    /// By the minute of the hour.
    pub minute: f64,
    /// By the recent sends.
    pub fatigue: f64,
    /// By the minutes since the latest hot path.
    pub hot_path: f64,
}

impl Factors {
    /// Their product.
    pub fn product(&self) -> f64 {
        self.timing * self.minute * self.fatigue * self.hot_path
    }
}

impl<'a> Law<'a> {
    /// The laws of a model's document.
    pub fn new(model: &'a EmailModel) -> Self {
        let config = model.config();
        let slots: f64 = config.personas.values().map(|persona| f64::from(persona.count)).sum();
        let personas = config.personas.iter().map(|(name, persona)| Persona {
            name: name.clone(),
            open_rate: persona.open_rate,
            click_rate: persona.click_rate,
            share: f64::from(persona.count) / slots,
            timing: timing(config, persona),
            minute: minute(config, persona),
        });
        Self { model, personas: personas.collect(), opens: DelayLaw::opens(config), clicks: DelayLaw::clicks(config) }
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
        &self.personas
    }

    /// The persona of a recipient, as an index into [`personas`](Self::personas): recipients take the slots of the document in turn.
    /// `None` for an id that no scenario gives.
    pub fn persona_of(&self, recipient_id: &str) -> Option<usize> {
        actor_of(recipient_id).map(|actor| self.model.persona_of(ActorId(actor)))
    }

    /// The factors of a message that was delivered.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn factors(&self, persona: usize, message: &Message) -> Option<Factors> {
        let config = self.config();
        let (timing, minute) = self.timing_at(persona, decided_at(config, message)?);
        let fatigue = config.fatigue.as_ref().map_or(1.0, |law| {
            let place = (message.recent_sends as usize).min(law.factors.len() - 1);
            law.factors[place]
        });
        let hot_path = match (&config.hot_paths, message.minutes_since_hot_path) {
            (Some(law), Some(minutes)) => (law.boost * (-minutes / law.decay_minutes).exp()).max(law.floor),
            _ => 1.0,
        };
        Some(Factors { timing, minute, fatigue, hot_path })
    }

    /// The timing and the minute factor of a persona at a moment.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn timing_at(&self, persona: usize, moment: Instant) -> (f64, f64) {
        let minute_of_week = self.config().timezone.local(moment).minute_of_week();
        let persona = &self.personas[persona];
        (persona.timing[minute_of_week / 60], persona.minute[minute_of_week % 60])
    }

    /// P(the open is decided for | delivered): the capped product of the persona's open rate, undrifted, and the factors; 0 where
    /// suppressed, `None` where not delivered.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn p_open(&self, persona: usize, message: &Message) -> Option<f64> {
        let product = self.personas[persona].open_rate * self.factors(persona, message)?.product();
        Some(if message.suppressed { 0.0 } else { product.min(self.config().engagement.max_probability) })
    }

    /// P(click | open), undrifted.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn p_click(&self, persona: usize) -> f64 {
        let persona = &self.personas[persona];
        (persona.click_rate / persona.open_rate).min(1.0)
    }

    /// When a persona opens a message that was delivered at `delivered` and whose open is decided for; kinds are personas.
    pub fn open_delay(&self, delivered: Instant) -> Delay<'_> {
        self.opens.after(delivered)
    }

    /// When a message that was opened at `opened` and whose click is decided for is clicked; there is one kind.
    pub fn click_delay(&self, opened: Instant) -> Delay<'_> {
        self.clicks.after(opened)
    }

    /// P(an open that was decided for falls inside a circuit breaker's window, and is therefore dropped), given all the breakers of the
    /// history.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn p_open_dropped(&self, persona: usize, message: &Message, history: &History) -> f64 {
        message.delivered.map_or(0.0, |delivered| self.opens.silenced(persona, delivered, history))
    }

    /// P(a click that was decided for falls inside a circuit breaker's window, and is therefore dropped), given the moment of the open
    /// and all the breakers of the history.
    pub fn p_click_dropped(&self, opened: Instant, history: &History) -> f64 {
        self.clicks.silenced(0, opened, history)
    }
}

/// The timing factor by the hour of the week on the recipients' clock: 1 + k (A / mean(A) − 1), with the mean over the scheduled sends.
fn timing(config: &EmailConfig, persona: &PersonaConfig) -> [f64; HOURS_OF_WEEK] {
    let weight = |hour: usize| {
        let by_day = (usize::from(config.sends.first_hour)..=usize::from(config.sends.last_hour)).contains(&(hour % 24));
        if by_day { 1.0 } else { config.sends.night_weight }
    };
    let attraction = |hour: usize| {
        let peak = persona.peak_hours.is_empty() || persona.peak_hours.iter().any(|label| usize::from(*label) == hour % 24);
        let active = persona.active_days.iter().any(|day| *day as usize == hour / 24);
        (if peak { 1.0 } else { config.timing.off_peak }) * (if active { 1.0 } else { config.timing.inactive_day })
    };
    let weights: f64 = (0..HOURS_OF_WEEK).map(weight).sum();
    let mean = (0..HOURS_OF_WEEK).map(|hour| weight(hour) * attraction(hour)).sum::<f64>() / weights;
    let greatest = (0..HOURS_OF_WEEK).map(attraction).fold(0.0, f64::max) / mean;
    // The largest k ≤ 1 at which open_rate × timing × the allowance for minutes stays within its bound.
    let room = config.timing.max_probability / (persona.open_rate * config.timing.minute_allowance);
    let k = if greatest > 1.0 + 1e-12 { ((room - 1.0) / (greatest - 1.0)).clamp(0.0, 1.0) } else { 0.0 };
    std::array::from_fn(|hour| 1.0 + k * (attraction(hour) / mean - 1.0))
}

/// The minute factor by the minute of the hour.
fn minute(config: &EmailConfig, persona: &PersonaConfig) -> [f64; 60] {
    let Some(law) = &config.minute else { return [1.0; 60] };
    let peaks = persona.peak_minutes.as_ref().unwrap_or(&law.peak_minutes);
    let times = |minutes: &[u8], minute: usize, factor: f64| -> f64 {
        minutes.iter().filter(|label| usize::from(**label) == minute).map(|_| factor).product()
    };
    std::array::from_fn(|minute| times(peaks, minute, law.peak_factor) * times(&law.slow_minutes, minute, law.slow_factor))
}
