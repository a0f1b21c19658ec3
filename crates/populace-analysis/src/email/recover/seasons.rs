//! What seasons do to the number of sends and to clicks, each over the days without. What they do to opens is in the joint model.

use super::clicks::Ratio;
use super::tally::Tally;
use crate::email::Law;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use populace_core::email::Season;
use std::collections::BTreeMap;

/// How many days of the window have which seasons.
fn days(law: &Law<'_>, season: &Season) -> BTreeMap<u16, f64> {
    let window = law.config().window;
    let mut days = BTreeMap::new();
    for day in 0..window.days {
        *days.entry(season.day(window.start.plus(day as i32)).state).or_default() += 1.0;
    }
    days
}

/// The scheduled sends by which `sends.per_day` is estimated, and of how many days: those that others are compared with, if any.
pub(super) fn plain(law: &Law<'_>, tally: &Tally<'_>) -> (u64, f64) {
    let all = law.model().mean_volume() * f64::from(law.config().window.days);
    let of = |season: &Season| {
        let days = *days(law, season).get(&0)?;
        let volume = season.days().find(|(_, day)| day.state == 0)?.1.volume;
        (volume > 0.0).then(|| (tally.scheduled_in.get(&0).copied().unwrap_or(0), days * volume))
    };
    let season = law.model().effects().season().filter(|_| !law.model().suppresses_sends());
    season.and_then(of).unwrap_or((tally.scheduled, all))
}

pub(super) fn report(law: &Law<'_>, tally: &Tally<'_>, sheet: &mut Sheet) {
    let Some(season) = law.model().effects().season() else { return };
    let days = days(law, season);
    let recognised = tally.has_metadata || law.config().trigger().is_none();
    let click_of: BTreeMap<u16, f64> = season.days().map(|(_, day)| (day.state, day.click)).collect();
    for (state, (label, volume)) in (0..).zip(season.states()).skip(1) {
        let [volumes, clicks] = ["volume", "click"].map(|key| format!("calendar.{label}.{key}"));
        let [here, plain] = [state, 0].map(|state| tally.scheduled_in.get(&state).copied().unwrap_or(0) as f64);
        let [own, others] = [state, 0].map(|state| days.get(&state).copied().unwrap_or(0.0));
        if law.model().suppresses_sends() {
            sheet.skip(volumes, "circuit breakers suppress sends");
        } else if !recognised {
            sheet.skip(volumes, "without the column metadata, scheduled and triggered sends cannot be distinguished");
        } else if here == 0.0 || plain == 0.0 || own == 0.0 || others == 0.0 {
            sheet.skip(volumes, format!("no send on the {own} days of the window, or none on days to compare with"));
        } else {
            let parameter = Parameter::factor(volumes, volume, "scheduled sends a day over those of other days");
            sheet.normal(parameter, Scale::Log, here / own / (plain / others), (here.recip() + plain.recip()).sqrt(), here as u64);
        }
        // Clicks against those that each persona's rate on other days lets expect.
        let mut ratio = Ratio::default();
        for (index, persona) in law.personas().iter().enumerate() {
            let counts = [state, 0].map(|state| tally.clicks_in.get(&(index, state)).copied().unwrap_or_default());
            let of = |state: u16| persona.click_rate / persona.open_rate * click_of.get(&state).unwrap_or(&1.0);
            ratio.add(counts, [state, 0].map(of));
        }
        if !ratio.is_known() {
            sheet.skip(clicks, format!("no click among {} opens", ratio.n));
            continue;
        }
        let parameter = Parameter::factor(clicks, ratio.truth(), "clicks of opens over those of other days, by persona");
        sheet.normal(parameter, Scale::Log, ratio.found(), (ratio.hits.recip() + ratio.variance()).sqrt(), ratio.n);
    }
}
