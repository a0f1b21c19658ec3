//! What drift does to the probabilities of opens and clicks: the rates of a recipient are multiplied month by month, and clips at the
//! greatest probability and at one click an open make the mean of the product less than the product of the means.

use crate::email::Message;
use populace_core::email::EmailConfig;
use populace_core::time::Date;

/// Equally likely values of a month's factor, and of one step.
const NODES: usize = 128;
const STEPS: usize = 32;
const MONTHS_OF_YEAR: i32 = 12;

/// The distribution of the factor by which a recipient's rate has drifted, by month.
pub(crate) struct Drift {
    start: i32,
    most_open: f64,
    amplitude: f64,
    months: Vec<Month>,
}

struct Month {
    /// In ascending order; means of equal shares.
    values: Vec<f64>,
    /// Their sums up to each.
    sums: Vec<f64>,
}

impl Month {
    fn new(values: Vec<f64>) -> Self {
        let mut sum = 0.0;
        let sums = values.iter().map(|value| {
            sum += value;
            sum
        });
        Self { sums: sums.collect(), values }
    }

    /// The next month's, after a factor of U(1 − a, 1 + a).
    fn next(&self, amplitude: f64) -> Self {
        let factors = (0..STEPS).map(|step| 1.0 + amplitude * (2.0 * (step as f64 + 0.5) / STEPS as f64 - 1.0));
        let mut values: Vec<f64> = factors.flat_map(|factor| self.values.iter().map(move |value| value * factor)).collect();
        values.sort_unstable_by(f64::total_cmp);
        let size = values.len() / NODES.min(values.len());
        Self::new(values.chunks(size).map(|share| share.iter().sum::<f64>() / share.len() as f64).collect())
    }

    /// E min(most, base × factor).
    fn capped(&self, base: f64, most: f64) -> f64 {
        let below = self.values.partition_point(|value| base * value <= most);
        let sum = below.checked_sub(1).map_or(0.0, |last| self.sums[last]);
        (base * sum + most * (self.values.len() - below) as f64) / self.values.len() as f64
    }

    fn ends(&self) -> (f64, f64) {
        (self.values[0], self.values[self.values.len() - 1])
    }
}

fn month(date: Date) -> i32 {
    let (year, month, _) = date.ymd();
    year * MONTHS_OF_YEAR + month as i32
}

impl Drift {
    pub(crate) fn new(config: &EmailConfig) -> Self {
        let amplitude = config.drift.as_ref().map_or(0.0, |drift| drift.amplitude);
        let start = config.window.start;
        let mut months = vec![Month::new(vec![1.0])];
        if amplitude > 0.0 {
            // Mail of the last day may be delivered on the next.
            let last = month(Date(start.0.saturating_add_unsigned(config.window.days) + 1)) - month(start);
            (0..last).for_each(|_| months.push(months[months.len() - 1].next(amplitude)));
        }
        Self { start: month(start), most_open: config.engagement.max_probability, amplitude, months }
    }

    fn month(&self, message: &Message) -> &Month {
        let date = message.delivered.unwrap_or(message.sent).date();
        let number = usize::try_from(month(date) - self.start).unwrap_or(0);
        &self.months[number.min(self.months.len() - 1)]
    }

    /// P(open), of the product of open rate and factors without drift.
    pub(crate) fn open(&self, message: &Message, product: f64) -> f64 {
        let month = self.month(message);
        if product * month.ends().1 <= self.most_open { product } else { month.capped(product, self.most_open) }
    }

    /// P(click | opened), of the same product and of the click rate over the open rate.
    pub(crate) fn click(&self, message: &Message, product: f64, ratio: f64) -> f64 {
        let month = self.month(message);
        let (least, most) = month.ends();
        if product * most <= self.most_open && ratio * most <= least {
            return ratio;
        }
        let open = |value: &f64| (product * value).min(self.most_open);
        let both = month.values.iter().map(|value| open(value) * month.capped(ratio / value, 1.0)).sum::<f64>();
        let opened = month.values.iter().map(open).sum::<f64>();
        if opened > 0.0 { both / opened } else { ratio.min(1.0) }
    }

    /// The variance of the factor at the end: over m months, (1 + a²/3)^m − 1.
    pub(crate) fn variance(&self) -> f64 {
        (1.0 + self.amplitude * self.amplitude / 3.0).powf((self.months.len() - 1) as f64) - 1.0
    }
}
