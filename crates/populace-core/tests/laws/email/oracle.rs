//! A second opinion on the factors: closed forms worked out from the document, apart from the code of the effects, against which the
//! factors that simulation and analysis share are held over documents and circumstances of every kind.

use super::{email, email_v1, model};
use crate::support::with;
use populace_core::email::{Circumstances, EFFECTS, EmailConfig, EmailModel, Exposed, Person, PersonaConfig};
use populace_core::math;
use populace_core::stream::{ActorId, Purpose, Source, StreamKey, below, unit};
use populace_core::time::{HOUR, Instant, MINUTE};
use serde_json::{Value, json};

/// The factor of an effect.
fn factor(config: &EmailConfig, effect: &str, at: &Circumstances) -> f64 {
    let persona = config.personas.values().nth(usize::from(at.person.persona)).unwrap();
    let minute_of_week = at.clock.minute_of_week();
    match effect {
        "timing" => timing(config, persona, &at.person, minute_of_week / 60),
        "minute" => config.minute.as_ref().map_or(1.0, |law| {
            let minute = minute_of_week % 60;
            let times =
                |minutes: &[u8], factor: f64| factor.powi(minutes.iter().filter(|label| usize::from(**label) == minute).count() as i32);
            let peaks = persona.peak_minutes.as_ref().unwrap_or(&law.peak_minutes);
            times(peaks, law.peak_factor) * times(&law.slow_minutes, law.slow_factor)
        }),
        "fatigue" => config
            .fatigue
            .as_ref()
            .map_or(1.0, |law| *law.factors.get(at.recent_sends as usize).or(law.factors.last()).expect("at least one factor")),
        "hot_path" => match (&config.hot_paths, at.since_interest) {
            (Some(law), Some(minutes)) => f64::max(law.floor, law.boost / math::exp(minutes / law.decay_minutes)),
            _ => 1.0,
        },
        // Its dates have tests of their own.
        "season" => config.calendar.as_ref().map_or(1.0, |_| panic!("no closed form of seasons here")),
        "content" => config.experiments.as_ref().map_or(1.0, |_| panic!("no closed form of experiments here")),
        _ => panic!("no closed form of {effect}"),
    }
}

/// The shift of a habit: habits are those of each persona in turn.
fn shift(config: &EmailConfig, person: &Person) -> usize {
    let shifts = config.people.as_ref().map_or(1, |people| people.peak_shifts.len());
    usize::from(person.habit) % shifts + 24 - shifts / 2
}

/// 1 + k (A / mean(A) − 1), with the mean over the moments of scheduled sends; peak hours are shifted, and k is of the person's own rate.
fn timing(config: &EmailConfig, persona: &PersonaConfig, person: &Person, hour: usize) -> f64 {
    let shift = shift(config, person);
    let by_day = |hour: usize| (usize::from(config.sends.first_hour)..=usize::from(config.sends.last_hour)).contains(&(hour % 24));
    let weight = |hour: usize| if by_day(hour) { 1.0 } else { config.sends.night_weight };
    let attraction = |hour: usize| {
        let peak = persona.peak_hours.is_empty() || persona.peak_hours.iter().any(|label| (usize::from(*label) + shift) % 24 == hour % 24);
        let active = persona.active_days.iter().any(|day| *day as usize == hour / 24);
        (if peak { 1.0 } else { config.timing.off_peak }) * (if active { 1.0 } else { config.timing.inactive_day })
    };
    let mean = (0..168).map(|hour| weight(hour) * attraction(hour)).sum::<f64>() / (0..168).map(weight).sum::<f64>();
    let greatest = (0..168).map(attraction).fold(0.0, f64::max) / mean;
    // The largest k ≤ 1 at which open_rate × timing × the allowance for minutes stays within its bound.
    let room = config.timing.max_probability / (person.open_rate * config.timing.minute_allowance);
    let k = if greatest > 1.0 + 1e-12 { ((room - 1.0) / (greatest - 1.0)).clamp(0.0, 1.0) } else { 0.0 };
    1.0 + k * (attraction(hour) / mean - 1.0)
}

/// Holds the factors of a document against their closed forms in circumstances drawn at random.
fn hold(document: &Value, seed: u64) {
    let model: EmailModel = model(document);
    let mut draws = StreamKey::root(seed, "oracle").actor(ActorId(0)).purpose(Purpose::new(0)).ordinal(0).draws();
    let window = model.effects().interest().map_or(0, |interest| interest.lasts);
    for _ in 0..20_000 {
        let mut next = || draws.next_u64();
        let habit = below(next(), model.habits().len() as u64) as usize;
        let persona = usize::from(model.habits()[habit].persona);
        let own = model.people_differ().then(|| unit(next()));
        let at = Circumstances {
            person: own.map_or_else(|| model.typical(persona), |open_rate| model.person(habit, open_rate, 0.4 * open_rate)),
            clock: Instant((1_759_276_800_000 + below(next(), 40 * 24 * 3_600_000) as i64) * 1_000),
            ahead: 0,
            recent_sends: below(next(), 12) as u32,
            since_interest: (next() % 2 == 0 && window > 0).then(|| unit(next()) * window as f64 / MINUTE as f64),
            suppressed: next() % 8 == 0,
            exposed: Exposed::default(),
        };
        for (about, found) in EFFECTS.iter().zip(model.effects().factors(&at)) {
            let expected = factor(model.config(), about.name, &at);
            assert!((found - expected).abs() < 1e-12, "{}: {found}, expected {expected} of {at:?}", about.name);
        }
    }
}

#[test]
fn factors_are_their_closed_forms() {
    hold(&email(), 1);
    hold(&email_v1(), 2);
    let changes: [&[(&str, Value)]; 8] = [
        &[("/personas/commuter/open_rate", json!(0.1)), ("/personas/commuter/click_rate", json!(0.05))],
        &[("/sends/first_hour", json!(0)), ("/sends/last_hour", json!(23))],
        &[("/sends/first_hour", json!(9)), ("/sends/last_hour", json!(9)), ("/sends/night_weight", json!(0.4))],
        &[("/timing/off_peak", json!(0)), ("/timing/inactive_day", json!(1)), ("/timing/minute_allowance", json!(1.45))],
        &[("/minute/slow_minutes", json!([15, 16, 59])), ("/minute/peak_factor", json!(0.4)), ("/minute/slow_factor", json!(1.7))],
        &[("/fatigue/factors", json!([0.9, 1.2])), ("/fatigue/hours", json!(100)), ("/personas/commuter/peak_minutes", json!([0, 30]))],
        &[("/people", json!({})), ("/timing/off_peak", json!(0.1))],
        &[("/hot_paths/floor", json!(0)), ("/hot_paths/window_minutes", json!(90)), ("/hot_paths/decay_minutes", json!(7.5))],
    ];
    for (seed, changes) in (3..).zip(changes) {
        let mut document = email();
        for (pointer, value) in changes {
            document = with_new(&document, pointer, value.clone());
        }
        hold(&document, seed);
    }
}

/// As [`with`], of a key that may be new.
pub(super) fn with_new(document: &Value, pointer: &str, value: Value) -> Value {
    if document.pointer(pointer).is_some() {
        return with(document, pointer, value);
    }
    let mut document = document.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
    document
}

/// What effects say of themselves.
#[test]
fn effects_name_keys_of_the_document_and_levels_that_multiply_to_their_factors() {
    let document = email();
    let model = model(&document);
    for (about, effect) in EFFECTS.iter().zip(model.effects().each()) {
        for constant in about.constants {
            let value = document.pointer(&format!("/{}", constant.replace('.', "/")));
            assert!(value.is_some_and(Value::is_number), "{constant} is not a number of the document");
        }
        let levels = effect.levels();
        for minute in 0..60 {
            for (recent_sends, since_interest) in (0..6).map(|n| (n, None)).chain((0..30).map(|m| (0, Some(f64::from(m))))) {
                let clock = Instant(4 * 24 * HOUR + minute * MINUTE);
                let at = Circumstances {
                    person: model.typical(3),
                    clock,
                    ahead: 0,
                    recent_sends,
                    since_interest,
                    suppressed: false,
                    exposed: Exposed::default(),
                };
                let applies = |level: &usize| effect.applies(*level, effect.state(&at));
                let of: Vec<usize> = (0..levels.len()).filter(applies).collect();
                if about.name != "timing" && of.iter().all(|level| levels[*level].truth.is_some()) {
                    let product: f64 = of.iter().filter_map(|level| levels[*level].truth).product::<f64>() * effect.neutral();
                    assert!((product - effect.factor(&at)).abs() < 1e-12, "{}: {product} of {at:?}", about.name);
                }
            }
        }
    }
}
