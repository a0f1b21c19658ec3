//! What a report holds: the same structure in `report.json` and inside the page, which draws from nothing else.

use serde::Serialize;

/// A report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this structure.
    pub version: u32,
    /// What was looked at.
    pub run: Run,
    /// The run that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Run>,
    /// The run in a few numbers.
    pub facts: Vec<Fact>,
    /// What `verify` found; `None` where it was not run.
    pub verdicts: Option<Verdicts>,
    /// Scores that were given, each with its ceilings.
    pub scores: Vec<Score>,
    /// The figures, by topic.
    pub sections: Vec<Section>,
    /// What is left out, and why.
    pub notes: Vec<String>,
}

/// What was looked at.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// Name of the scenario.
    pub name: String,
    /// `email`, `traces` or `churn`.
    pub family: String,
    /// What the scenario says of itself.
    pub description: Option<String>,
    /// The seed, as text: it may pass what JavaScript can hold. `None` of a user's own files.
    pub seed: Option<String>,
    /// Users of the population.
    pub users: Option<u64>,
    /// First day and number of days, of the scenario.
    pub window: Option<Days>,
    /// Digest of the scenario.
    pub scenario_digest: Option<String>,
    /// The engine that wrote the run.
    pub engine_version: Option<String>,
    /// The tables, with their rows and digests.
    pub tables: Vec<Table>,
    /// How often a law clipped a value, by what was clipped.
    pub clipped: Vec<(String, u64)>,
    /// What `generate` warned of.
    pub warnings: Vec<String>,
}

/// A span of days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Days {
    /// The first, `YYYY-MM-DD`.
    pub start: String,
    /// How many.
    pub days: u32,
}

/// A table of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name, such as `truth/users`.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The digest of its values.
    pub digest: String,
}

/// How a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A whole number.
    Count,
    /// A fraction, shown as a percentage.
    Share,
    /// A plain number.
    Number,
}

/// A number of the run at a glance.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// What it counts.
    pub name: String,
    /// The number.
    pub value: f64,
    /// How it is shown.
    pub format: Format,
    /// Its unit, such as `s`; may be empty.
    pub unit: String,
    /// What the scenario expects, if that is known in closed form.
    pub expected: Option<f64>,
    /// The standard error of the number, actors being a sample; `None` where it has none.
    pub standard_error: Option<f64>,
    /// The same of the run that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Other>,
}

/// A number of a second run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Other {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// By how many standard errors of the difference it is greater than the first run's.
    pub z: Option<f64>,
}

impl Fact {
    /// A fact without unit or expectation.
    pub fn new(name: &str, value: f64, format: Format) -> Self {
        Self { name: name.into(), value, format, unit: String::new(), expected: None, standard_error: None, other: None }
    }

    /// With its unit.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = unit.into();
        self
    }

    /// With its standard error.
    #[must_use]
    pub fn spread(mut self, standard_error: Option<f64>) -> Self {
        self.standard_error = standard_error;
        self
    }

    /// With what the scenario expects.
    #[must_use]
    pub fn expected(mut self, expected: Option<f64>) -> Self {
        self.expected = expected;
        self
    }
}

/// What `verify` found.
#[derive(Clone, Debug, Serialize)]
pub struct Verdicts {
    /// How many checks hold.
    pub passed: u64,
    /// How many fail.
    pub failed: u64,
    /// How many could not be made.
    pub skipped: u64,
    /// The checks, failures first.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it belongs to.
    pub group: String,
    /// What it checks.
    pub name: String,
    /// `pass`, `fail` or `skip`.
    pub verdict: String,
    /// What was found and what was expected, in words.
    pub detail: String,
}

/// A score with its ceilings.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// The file it was read from.
    pub file: String,
    /// What was predicted.
    pub task: String,
    /// The same in a sentence.
    pub label: String,
    /// How many predictions were scored.
    pub n: u64,
    /// The metrics, each with what could be attained.
    pub metrics: Vec<Metric>,
    /// Calibration of the predictions, if the scorecard has it.
    pub figures: Vec<Figure>,
    /// What the scorecard says besides.
    pub notes: Vec<String>,
}

/// One metric of a model beside its floor and its ceilings.
#[derive(Clone, Debug, Serialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it is.
    pub meaning: String,
    /// Of the model.
    pub model: Option<f64>,
    /// Of what anybody can say without a model.
    pub base: Option<f64>,
    /// Of the best prediction from what the data shows.
    pub observable: Option<f64>,
    /// Of the best prediction of somebody who knows the truth.
    pub latent: Option<f64>,
    /// Share of the gain over the base line that the best from the data has.
    pub attained_observable: Option<f64>,
    /// Share of the gain over the base line that the truth itself has.
    pub attained_latent: Option<f64>,
}

/// Figures on one topic.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Anchor.
    pub id: String,
    /// Heading.
    pub title: String,
    /// One paragraph on what the section shows.
    pub text: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

impl Section {
    /// A section of the figures that there are; `None` where there are none.
    pub fn new(id: &str, title: &str, text: &str, figures: Vec<Option<Figure>>) -> Option<Self> {
        let figures: Vec<Figure> = figures.into_iter().flatten().collect();
        (!figures.is_empty()).then(|| Self { id: id.into(), title: title.into(), text: text.into(), figures })
    }
}

/// A figure: one plot, or several of which one is chosen.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Anchor, unique in the report.
    pub id: String,
    /// Heading.
    pub title: String,
    /// One sentence that says what is to be seen, without the plot.
    pub caption: String,
    /// Whether it takes the full width.
    pub wide: bool,
    /// What the choice among the panels chooses, such as `Persona`; empty where there is one panel.
    pub choice: String,
    /// The plots.
    pub panels: Vec<Panel>,
}

impl Figure {
    /// A figure of one plot.
    pub fn new(id: &str, title: &str, caption: impl Into<String>, plot: Plot) -> Self {
        let panels = vec![Panel { name: String::new(), plot }];
        Self { id: id.into(), title: title.into(), caption: caption.into(), wide: false, choice: String::new(), panels }
    }

    /// A figure with a choice of plots.
    pub fn choice(id: &str, title: &str, caption: impl Into<String>, choice: &str, panels: Vec<Panel>) -> Self {
        Self { id: id.into(), title: title.into(), caption: caption.into(), wide: false, choice: choice.into(), panels }
    }

    /// Over the full width.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.wide = true;
        self
    }
}

/// One plot of a figure.
#[derive(Clone, Debug, Serialize)]
pub struct Panel {
    /// Its name among the others.
    pub name: String,
    /// What is drawn.
    pub plot: Plot,
}

/// What is drawn.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Plot {
    /// Lines, points and bars over an axis.
    Chart(Chart),
    /// Values on a grid, several maps one above the other.
    Heat(Heat),
    /// States and the transitions between them.
    Graph(Graph),
    /// Five quantiles by category.
    Boxes(Boxes),
    /// Spans of time in lanes.
    Spans(Spans),
}

/// An axis.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Axis {
    /// What it measures.
    pub label: String,
    /// Its unit, such as `s`; may be empty.
    pub unit: String,
    /// Whether the values are fractions shown as percentages.
    pub share: bool,
    /// Whether it is logarithmic.
    pub log: bool,
    /// Its categories; empty of a numeric axis.
    pub categories: Vec<String>,
    /// Categories that belong together, such as the hours of a day: a name for each run of equal length; empty where there are none.
    pub groups: Vec<String>,
    /// Least value shown.
    pub min: Option<f64>,
    /// Greatest value shown.
    pub max: Option<f64>,
}

impl Axis {
    /// A numeric axis.
    pub fn number(label: &str, unit: &str) -> Self {
        Self { label: label.into(), unit: unit.into(), ..Self::default() }
    }

    /// An axis of fractions.
    pub fn share(label: &str) -> Self {
        Self { label: label.into(), share: true, min: Some(0.0), ..Self::default() }
    }

    /// An axis of categories.
    pub fn categories(label: &str, categories: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { label: label.into(), categories: categories.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// From and to given values.
    #[must_use]
    pub fn between(mut self, min: f64, max: f64) -> Self {
        (self.min, self.max) = (Some(min), Some(max));
        self
    }

    /// From 0 on.
    #[must_use]
    pub fn from_zero(mut self) -> Self {
        self.min = Some(0.0);
        self
    }
}

/// Lines, points and bars over an axis.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Chart {
    /// Across.
    pub x: Axis,
    /// Up; categories, if there are any, are those of `x`.
    pub y: Axis,
    /// What is drawn, the first at the back.
    pub series: Vec<Series>,
    /// Lines at a value of `x`, and spans of it.
    pub marks: Vec<Mark>,
    /// Whether categories run down and values across.
    pub horizontal: bool,
    /// Whether bars stand on one another.
    pub stacked: bool,
    /// What the line y = x means, where it is drawn.
    pub diagonal: Option<String>,
}

/// What a series is: it decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Of the data.
    Observed,
    /// A second one of the data.
    Second,
    /// A third one of the data.
    Third,
    /// Of the truth or the law.
    Truth,
    /// Estimated from the data alone.
    Estimate,
    /// For comparison.
    Reference,
    /// What went well.
    Good,
    /// What was slow.
    Slow,
    /// What timed out.
    Timeout,
    /// What was refused.
    Refused,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// A line from point to point.
    Line,
    /// A dashed line.
    Dashed,
    /// A line that keeps its value up to the next point.
    Step,
    /// Points.
    Points,
    /// Bars.
    Bars,
    /// A tick across the bar.
    Ticks,
}

/// A series.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// How it is drawn.
    pub draw: Draw,
    /// Places on a numeric `x`; empty where the place is the index of a category.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub x: Vec<f64>,
    /// Values; none where there is nothing to show.
    pub y: Vec<Option<f64>>,
    /// Lower ends of the 95% bands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub low: Vec<Option<f64>>,
    /// Upper ends of the 95% bands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub high: Vec<Option<f64>>,
    /// How many observations each value rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub n: Vec<u64>,
    /// What each point is, where its place does not say it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Series {
    /// A series over categories.
    pub fn new(name: &str, role: Role, draw: Draw, y: Vec<Option<f64>>) -> Self {
        Self { name: name.into(), role, draw, x: Vec::new(), y, low: Vec::new(), high: Vec::new(), n: Vec::new(), names: Vec::new() }
    }

    /// At places of a numeric axis.
    #[must_use]
    pub fn at(mut self, x: impl IntoIterator<Item = f64>) -> Self {
        self.x = x.into_iter().collect();
        self
    }
}

/// A line at a value of `x`, or a span of it.
#[derive(Clone, Debug, Serialize)]
pub struct Mark {
    /// Where it begins.
    pub from: f64,
    /// Where it ends; a line has none.
    pub to: Option<f64>,
    /// What it says.
    pub label: String,
}

/// Values on a grid.
#[derive(Clone, Debug, Serialize)]
pub struct Heat {
    /// Across.
    pub x: Axis,
    /// Down, the first at the top.
    pub y: Axis,
    /// The maps, the first at the top.
    pub maps: Vec<Map>,
}

/// What the colours of a map mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Multiples of a mean, from an eighth to eight times: colours diverge from 1.
    Multiple,
    /// Standard errors, from −4 to 4: colours diverge from 0.
    StandardErrors,
}

/// One map of a grid.
#[derive(Clone, Debug, Serialize)]
pub struct Map {
    /// Its name.
    pub name: String,
    /// What its colours mean.
    pub scale: Scale,
    /// Rows of values, as `y` and `x` say.
    pub rows: Vec<Vec<Option<f64>>>,
}

/// States and the transitions between them.
#[derive(Clone, Debug, Serialize)]
pub struct Graph {
    /// The states.
    pub nodes: Vec<Node>,
    /// The transitions.
    pub edges: Vec<Edge>,
}

/// A state.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// `entry`, `exit` or `state`.
    pub role: String,
    /// Its layer, from 0: how far from an entry.
    pub layer: f64,
    /// Its place within the layer, centred on 0.
    pub place: f64,
    /// How often it was visited.
    pub visits: u64,
    /// Share of sessions that began there, learned.
    pub entry: f64,
    /// Share of sessions that begin there in truth.
    pub true_entry: Option<f64>,
}

/// A transition.
#[derive(Clone, Debug, Serialize)]
pub struct Edge {
    /// Index of the state left.
    pub from: usize,
    /// Index of the state entered.
    pub to: usize,
    /// How often it was seen.
    pub n: u64,
    /// Its share among the transitions out of `from`.
    pub learned: f64,
    /// Its standard error, of the true probability where that is known.
    pub standard_error: f64,
    /// The true probability.
    #[serde(rename = "true")]
    pub truth: Option<f64>,
}

/// Five quantiles by category.
#[derive(Clone, Debug, Serialize)]
pub struct Boxes {
    /// Categories.
    pub x: Axis,
    /// Values.
    pub y: Axis,
    /// Of the data: 5%, 25%, 50%, 75% and 95% by category.
    pub observed: Vec<Option<[f64; 5]>>,
    /// The same of the law.
    pub truth: Vec<Option<[f64; 5]>>,
    /// How many observations each rests on.
    pub n: Vec<u64>,
}

/// Spans of time in lanes.
#[derive(Clone, Debug, Serialize)]
pub struct Spans {
    /// Time.
    pub x: Axis,
    /// Names of the lanes, from the top.
    pub lanes: Vec<String>,
    /// The spans.
    pub spans: Vec<Span>,
}

/// A span of time.
#[derive(Clone, Debug, Serialize)]
pub struct Span {
    /// Index of its lane.
    pub lane: usize,
    /// When it begins.
    pub start: f64,
    /// When it ends.
    pub end: f64,
    /// What it is.
    pub role: Role,
    /// What it was, in words.
    pub label: String,
}
