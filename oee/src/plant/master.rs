//! The plant as rows of the master data tables.

use super::draft::MICROSTOP_THRESHOLD_S;
use super::{Plant, SignalDef};
use crate::path::parent;
use crate::seconds;
use crate::tables::PLANT_FILES;

/// What the plant file is called, wherever it lies.
const FILE: &str = "plant.toml";

/// A value of a master data row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A double.
    Number(f64),
    /// An integer.
    Integer(i64),
    /// An instant, UTC microseconds.
    Time(i64),
    /// True or false.
    Flag(bool),
}

/// One row: column and value; columns that are not there are NULL.
pub type MasterRow = Vec<(&'static str, Value)>;

/// A row under construction.
#[derive(Default)]
struct Row(MasterRow);

impl Row {
    fn text(mut self, column: &'static str, value: impl Into<String>) -> Self {
        self.0.push((column, Value::Text(value.into())));
        self
    }

    fn maybe_text(self, column: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(column, value),
            None => self,
        }
    }

    fn maybe_number(mut self, column: &'static str, value: Option<f64>) -> Self {
        self.0.extend(value.map(|value| (column, Value::Number(value))));
        self
    }

    fn maybe_time(mut self, column: &'static str, value: Option<i64>) -> Self {
        self.0.extend(value.map(|value| (column, Value::Time(value))));
        self
    }
}

fn max_interval_s(signal: &SignalDef) -> Option<f64> {
    signal.compression.and_then(|compression| compression.limits.max_gap_us()).map(seconds)
}

/// What is as it would be without a word is not in the tables: a plant file that says nothing new makes no new versions of
/// rows that an earlier takt has written.
fn unusual(number: f64, usual: f64) -> Option<f64> {
    (number != usual).then_some(number)
}

impl Plant {
    /// The rows of `equipment`, `signals`, `products`, `characteristics` and `reasons`, and the file as a row of `plant_files`.
    #[must_use]
    pub fn master_rows(&self) -> Vec<(&'static str, Vec<MasterRow>)> {
        let mut reasons: Vec<_> = self.reasons.values().collect();
        reasons.sort_by(|a, b| a.reason.cmp(&b.reason));
        let equipment = self.equipment.iter().map(|e| {
            Row::default()
                .text("equipment", &e.path)
                .maybe_text("parent", parent(&e.path))
                .maybe_text("name", e.name.as_deref())
                .maybe_text("level", e.level.map(super::Level::name))
                .text("zone", &e.zone_name)
                .maybe_text("calendar", e.calendar.as_deref())
                .text("rollup", e.rollup.name())
                .maybe_text("default_product", e.default_product.as_deref())
                .maybe_text("state_map", e.state_map.as_deref())
                .maybe_text("state_source", e.state_source.as_deref())
                .maybe_text("count_source", e.count_source.as_deref())
                .maybe_number(
                    "microstop_threshold_s",
                    unusual(seconds(e.microstop_threshold_us), MICROSTOP_THRESHOLD_S),
                )
                .maybe_number("startup_s", unusual(seconds(e.startup_us), 0.0))
                .maybe_number("cost_per_hour", e.rates.cost_per_hour)
                .maybe_number("energy_price_per_kwh", e.rates.energy_price_per_kwh)
                .0
        });
        let signals = self.signals().into_iter().map(|s| {
            Row::default()
                .text("equipment", &s.equipment)
                .text("signal", &s.signal)
                .maybe_text("uom", s.uom.as_deref())
                .text("interpolation", s.interpolation.name())
                .maybe_text("role", s.role.map(super::Role::name))
                .maybe_text("description", s.description.as_deref())
                .maybe_text("compression", s.compression.map(|c| c.method.name()))
                .maybe_number("compression_deviation", s.compression.map(|c| c.limits.tolerance()))
                .maybe_number("compression_max_interval_s", max_interval_s(s))
                .maybe_text("reason", s.reason.as_deref())
                .0
        });
        let products = self.products.iter().map(|p| {
            Row::default()
                .text("product", &p.product)
                .text("equipment", p.equipment.as_deref().unwrap_or_default())
                .maybe_time("valid_from", p.valid_from)
                .maybe_text("name", p.name.as_deref())
                .maybe_number("ideal_cycle_s", p.ideal_cycle_s)
                .maybe_number("planned_scrap_ratio", p.planned_scrap_ratio)
                .0
        });
        let characteristics = self.characteristics.iter().map(|c| {
            Row::default()
                .text("characteristic", &c.characteristic)
                .text("product", c.product.as_deref().unwrap_or_default())
                .text("operation", c.operation.as_deref().unwrap_or_default())
                .maybe_text("uom", c.uom.as_deref())
                .maybe_number("lower_limit", c.lower_limit)
                .maybe_number("upper_limit", c.upper_limit)
                .maybe_number("target", c.target)
                .maybe_text("on_violation", Some(c.on_violation()).filter(|_| c.hold_on_violation))
                .maybe_text("reaction_plan", c.reaction_plan.as_deref())
                .maybe_text("signal", c.curve.as_ref().map(|curve| curve.signal.as_str()))
                .maybe_text("reduce", c.curve.as_ref().map(|curve| curve.reduction.name()))
                .0
        });
        let reasons = reasons.into_iter().map(|r| {
            Row::default()
                .text("reason", &r.reason)
                .maybe_text("parent", r.parent.as_deref())
                .maybe_text("name", r.name.as_deref())
                .text("category", r.category.name())
                .0
        });
        let file = Row::default().text("name", FILE).text("text", self.text()).0;
        vec![
            (PLANT_FILES.name, vec![file]),
            ("equipment", equipment.collect()),
            ("signals", signals.collect()),
            ("products", products.collect()),
            ("characteristics", characteristics.collect()),
            ("reasons", reasons.collect()),
        ]
    }
}
