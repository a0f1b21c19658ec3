//! The tables of experiments.

use super::columns::RECIPIENT;
use crate::table::{Column, Kind, Table, booleans, codes, dictionary, floats, floats_or_null, uuids};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use populace_core::email::{EmailModel, Experiments, OutcomeTruth, VariantWorth};

/// The names of the tables.
pub(super) const EXPERIMENTS: &str = "experiments";
pub(super) const OUTCOMES: &str = "potential_outcomes";

const EXPERIMENT: Column = Column::new("experiment", Kind::Text, "Name of the experiment");
const VARIANT: Column = Column::new("variant", Kind::Text, "Name of the variant");

/// The columns that decisions have besides, where there are experiments.
pub(super) fn of_decisions() -> [Column; 2] {
    [
        Column::nullable(
            "variant",
            Kind::Json,
            "Experiments that the message is in, each with its variant: a JSON object; null where it is in none, and where none was due to be sent",
        ),
        Column::nullable("variant_propensity", Kind::Float, "P(variant); null likewise"),
    ]
}

/// The tables; `rows_per_actor` is how many messages are expected of one recipient.
pub(super) fn tables(experiments: &Experiments, rows_per_actor: f64) -> [Table; 2] {
    let worth = vec![
        EXPERIMENT,
        VARIANT,
        Column::new("unit", Kind::Text, "What variants are dealt to: `user`, `message`"),
        Column::new("probability", Kind::Float, "P(variant)"),
        Column::new("factor_open", Kind::Float, "Mean factor of the open rate, over people and days"),
        Column::new("factor_click", Kind::Float, "Factor of P(click | open)"),
        Column::new(
            "ate_open",
            Kind::Float,
            "Opens a delivered message of the experiment if all had the variant, less those if all had `control`: over the law of the \
             population, worked out to about 1% of opens",
        ),
        Column::new("ate_click", Kind::Float, "The same of clicks"),
    ];
    let outcomes = vec![
        EXPERIMENT,
        Column::new("message_id", Kind::Uuid, "Id of a message of the experiment"),
        RECIPIENT,
        VARIANT,
        Column::new("factual", Kind::Bool, "Whether it is the variant that the message has"),
        Column::nullable("p_open", Kind::Float, "P(open | delivered) with the variant; null if not delivered"),
        Column::nullable("p_click", Kind::Float, "P(click | open) with the variant; null if not delivered"),
        Column::new("y_open", Kind::Bool, "Whether the recipient opens it with the variant: by the same random words"),
        Column::new("y_click", Kind::Bool, "Whether the recipient clicks in it with the variant"),
    ];
    let variants: usize = experiments.list().iter().map(|of| of.variants.len()).sum();
    [
        Table::new(EXPERIMENTS, true, "One variant of an experiment", worth, 0.0).keyed_by(&["experiment", "variant"]),
        Table::new(
            OUTCOMES,
            true,
            "What one variant of an experiment would have done to one message",
            outcomes,
            rows_per_actor * variants as f64,
        )
        .keyed_by(&["recipient_id", "message_id", "experiment", "variant"])
        .of_actor("recipient_id"),
    ]
}

/// What is written of experiments, and the numbers of their tables.
pub(super) struct ExperimentTables {
    names: ArrayRef,
    variants: ArrayRef,
    /// By experiment and variant, the code of its name.
    codes: Vec<Vec<i32>>,
    /// By exposure, as JSON.
    exposures: ArrayRef,
    propensities: Vec<f64>,
    pub(super) outcomes: usize,
}

impl ExperimentTables {
    pub(super) fn new(experiments: &Experiments, tables: &[Table]) -> Self {
        let mut names: Vec<&str> = experiments.list().iter().flat_map(|of| &of.variants).map(|variant| variant.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let code = |name: &str| names.binary_search(&name).map_or(-1, |place| place as i32);
        Self {
            codes: experiments.list().iter().map(|of| of.variants.iter().map(|variant| code(&variant.name)).collect()).collect(),
            names: dictionary(experiments.list().iter().map(|of| &of.name)),
            variants: dictionary(&names),
            exposures: dictionary(experiments.exposures().iter().map(|exposure| experiments.json(exposure))),
            propensities: experiments.exposures().iter().map(|exposure| exposure.propensity).collect(),
            outcomes: tables.iter().position(|table| table.name == OUTCOMES).expect("experiments have their tables"),
        }
    }

    /// The columns of potential outcomes.
    pub(super) fn outcomes(&self, rows: &[(i32, OutcomeTruth)], recipients: &ArrayRef) -> [(&'static str, ArrayRef); 9] {
        let each = || rows.iter().map(|(_, row)| row);
        let float = |of: &dyn Fn(&OutcomeTruth) -> Option<f64>| {
            let valid = NullBuffer::new(BooleanBuffer::collect_bool(rows.len(), |row| of(&rows[row].1).is_some()));
            floats_or_null(each().map(|row| of(row).unwrap_or(0.0)).collect(), &valid)
        };
        let code = |row: &OutcomeTruth| self.codes[usize::from(row.experiment)][usize::from(row.variant)];
        [
            ("experiment", codes(each().map(|row| i32::from(row.experiment)).collect(), &self.names)),
            ("message_id", uuids(each().flat_map(|row| row.message_id.to_u128().to_be_bytes()).collect())),
            ("recipient_id", codes(rows.iter().map(|(user, _)| *user).collect(), recipients)),
            ("variant", codes(each().map(code).collect(), &self.variants)),
            ("factual", booleans(each().map(|row| row.is_factual).collect())),
            ("p_open", float(&|row| row.p_open)),
            ("p_click", float(&|row| row.p_click)),
            ("y_open", booleans(each().map(|row| row.opens).collect())),
            ("y_click", booleans(each().map(|row| row.clicks).collect())),
        ]
    }

    /// The columns of decisions, by their exposures.
    pub(super) fn decisions(&self, exposures: &[u16]) -> [(&'static str, ArrayRef); 2] {
        let valid = NullBuffer::new(BooleanBuffer::collect_bool(exposures.len(), |row| exposures[row] > 0));
        let code = |exposure: &u16| if *exposure > 0 { i32::from(*exposure) } else { -1 };
        [
            ("variant", codes(exposures.iter().map(code).collect(), &self.exposures)),
            (
                "variant_propensity",
                floats_or_null(exposures.iter().map(|exposure| self.propensities[usize::from(*exposure)]).collect(), &valid),
            ),
        ]
    }
}

/// The rows of variants.
pub(super) fn worth(table: &Table, model: &EmailModel) -> RecordBatch {
    let rows = model.variants();
    let text = |of: fn(&VariantWorth) -> &str| {
        let mut names: Vec<&str> = rows.iter().map(of).collect();
        names.sort_unstable();
        names.dedup();
        codes(rows.iter().map(|row| names.binary_search(&of(row)).map_or(-1, |place| place as i32)).collect(), &dictionary(&names))
    };
    let float = |of: fn(&VariantWorth) -> f64| floats(rows.iter().map(of).collect());
    table.rows(&[
        ("experiment", text(|row| &row.experiment)),
        ("variant", text(|row| &row.variant)),
        ("unit", text(|row| row.unit.name())),
        ("probability", float(|row| row.weight)),
        ("factor_open", float(|row| row.factors[0])),
        ("factor_click", float(|row| row.factors[1])),
        ("ate_open", float(|row| row.ate[0])),
        ("ate_click", float(|row| row.ate[1])),
    ])
}
