//! What a record must not say: what is impossible, or of something that there is not.

use jiff::Timestamp;
use oee::plant::Plant;
use oee::spc::t2::T2Limits;
use oee::spc::{ChartKind, Companion, Limits, Parameters, Rational, RuleSet};
use oee::state::Category;

use super::{RecordTable, refusal};
use crate::batch::RecordRow;
use crate::column::Cell;
use crate::keying::Keyer;
use crate::quarantine::Refusal;
use crate::route::unknown_equipment;

impl RecordTable {
    /// What the fields of one record say together must be possible.
    pub(super) fn check_sense(&self, row: &RecordRow) -> Result<(), Refusal> {
        for (start, end) in [("started", "completed"), ("start", "end")] {
            if let (Cell::Time(from), Cell::Time(to)) = (self.cell(row, start), self.cell(row, end))
                && to < from
            {
                return Err(refusal(format!("`{end}` lies before `{start}`")));
            }
        }
        if let Cell::Double(quantity) = self.cell(row, "quantity")
            && *quantity < 0.0
        {
            return Err(refusal("`quantity` is less than 0"));
        }
        if self.table.name == "counts" {
            let count = |name: &str| match self.cell(row, name) {
                Cell::Double(pieces) => Some(*pieces),
                _ => None,
            };
            if let Some(name) =
                ["total", "good", "scrap", "rework"].iter().find(|name| count(name).is_some_and(|n| n < 0.0))
            {
                return Err(refusal(format!("`{name}` is less than 0")));
            }
            if let (Some(total), Some(good), Some(scrap)) = (count("total"), count("good"), count("scrap"))
                && (total - good - scrap).abs() > 1e-9 * total.abs().max(1.0)
            {
                return Err(refusal(format!(
                    "`total` is {total}, but `good` {good} and `scrap` {scrap} make {}; send two of the three",
                    good + scrap
                )));
            }
            for part in ["good", "scrap", "rework"] {
                if let (Some(total), Some(pieces)) = (count("total"), count(part))
                    && pieces > total
                {
                    return Err(refusal(format!("`{part}` is {pieces}, more than the `total` of {total}")));
                }
            }
        }
        if let Cell::Double(ideal_s) = self.cell(row, "ideal_cycle_s")
            && *ideal_s <= 0.0
        {
            return Err(refusal("`ideal_cycle_s` is not more than 0: write seconds for one piece, or leave it out"));
        }
        if !row.deleted {
            self.check_governed(row)?;
        }
        if self.table.name == "states" {
            self.check_word(row, "kind", &["change", "interval"])?;
            let categories = Category::ALL.map(Category::name);
            self.check_word(row, "category", &categories)?;
        }
        Ok(())
    }

    /// Who decides on limits of control charts says why, and what cannot be drawn is no limit.
    fn check_governed(&self, row: &RecordRow) -> Result<(), Refusal> {
        let governs = ["control_limits", "exclusions"].contains(&self.table.name);
        if governs && self.text(row, "reason").is_none_or(|reason| reason.trim().is_empty()) {
            return Err(refusal(format!("`{}` needs the field `reason`: say why", self.table.name)));
        }
        if self.table.name == "events" && self.text(row, "kind") == Some("release") {
            let missing = ["unit", "message"].into_iter().find(|name| self.text(row, name).is_none_or(str::is_empty));
            return match missing {
                Some(name) => Err(refusal(format!("a release needs the field `{name}`: which unit, and why"))),
                None => Ok(()),
            };
        }
        if self.table.name != "control_limits" {
            return Ok(());
        }
        let chart = ChartKind::parse(self.text(row, "chart").unwrap_or_default());
        if chart == Ok(ChartKind::T2) {
            return self.check_model(row);
        }
        let (Cell::Double(centre), Cell::Double(sigma)) = (self.cell(row, "centre"), self.cell(row, "sigma")) else {
            return Err(refusal("`control_limits` needs the fields `centre` and `sigma`"));
        };
        let number = |name: &str, usual: f64| match self.cell(row, name) {
            Cell::Double(value) => *value,
            _ => usual,
        };
        let usual = Parameters::default();
        let parameters = Parameters {
            width: number("width", usual.width),
            lambda: number("lambda", usual.lambda),
            k: number("k", usual.k),
            h: number("h", usual.h),
            headstart: number("headstart", usual.headstart),
            // What is no number of subgroups is none that a chart can have.
            span: match self.cell(row, "span") {
                Cell::Integer(span) => usize::try_from(*span).unwrap_or(0),
                _ => usual.span,
            },
            ..usual
        };
        let wrong = |error: oee::spc::Error| refusal(format!("`control_limits`: {error}"));
        let limits = chart.and_then(|chart| Limits::known(chart, *centre, *sigma, parameters)).map_err(wrong)?;
        if limits.kind == ChartKind::ShortRunZ {
            return Err(refusal(
                "`control_limits`: short_run_z divides by sigma of each product, which its values tell and which would move with them: \
                 freeze short_run_deviation, or a chart of each product",
            ));
        }
        if *sigma <= 0.0 {
            return Err(refusal(format!("`control_limits`: sigma is {sigma}: limits without a width judge nothing")));
        }
        self.text(row, "rules").map(RuleSet::parse).transpose().map_err(wrong)?;
        self.text(row, "subgroup").map(Rational::parse).transpose().map_err(wrong)?;
        let companion = self.text(row, "companion").map(Companion::parse).transpose().map_err(wrong)?;
        if let Some(companion) = companion
            && !limits.kind.companions().contains(&companion)
        {
            let known: Vec<&str> = limits.kind.companions().iter().map(|companion| companion.name()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(" or ") };
            let (kind, companion) = (limits.kind.name(), companion.name());
            return Err(refusal(format!("`control_limits`: {kind} has no chart {companion} below it; it has {known}")));
        }
        match self.cell(row, "subgroups") {
            Cell::Integer(count) if *count < 0 => {
                Err(refusal(format!("`control_limits`: `subgroups` is {count}: so many cannot be estimated from")))
            }
            _ => Ok(()),
        }
    }

    /// Limits of several characteristics together.
    fn check_model(&self, row: &RecordRow) -> Result<(), Refusal> {
        let wrong = |error: oee::spc::Error| refusal(format!("`control_limits`: {error}"));
        let Some(model) = self.text(row, "model") else {
            return Err(refusal(
                "`control_limits` of t2 need the field `model`: take it from spc_limits('t2', 'characteristics=…')",
            ));
        };
        let limits = T2Limits::parse(model).map_err(wrong)?;
        self.text(row, "subgroup").map(Rational::parse).transpose().map_err(wrong)?;
        let names = self.text(row, "characteristic").unwrap_or_default();
        let (named, known) = (names.split(',').count(), limits.means.len());
        if named == known {
            return Ok(());
        }
        Err(refusal(format!(
            "`control_limits`: `characteristic` {names:?} names {named}, and the model is of {known}: name them all, as in `bore, length`"
        )))
    }

    fn check_word(&self, row: &RecordRow, name: &str, words: &[&str]) -> Result<(), Refusal> {
        match self.text(row, name) {
            Some(word) if !words.contains(&word) => {
                Err(refusal(format!("`{name}` is `{word}`; it can be {}", words.join(", "))))
            }
            _ => Ok(()),
        }
    }

    /// An execution that begins says of what: one of nothing would hide those that are in force.
    pub(super) fn check_execution(&self, row: &RecordRow) -> Result<(), Refusal> {
        let is_there = |name: &str| match self.cell(row, name) {
            Cell::Null => false,
            Cell::Text(text) => !text.is_empty(),
            _ => true,
        };
        let begins = self.table.name == "operations" && !row.deleted && is_there("started");
        // With an identity of its own the rest may follow; what is over already is pieces of the default product.
        let begins = begins && !is_there("run") && !is_there("completed");
        if begins && !["work_order", "unit", "operation", "product"].into_iter().any(is_there) {
            return Err(refusal("an execution of nothing: say `work_order`, `unit`, `operation` or `product`"));
        }
        Ok(())
    }

    /// An execution does not end before it began, whichever of both came first: what is known of it already counts as said.
    pub(crate) fn check_end(&self, row: &RecordRow, keyer: &Keyer) -> Result<(), Refusal> {
        let is_said = |name: &str| self.place(name).is_some_and(|place| row.present & (1 << place) != 0);
        if self.table.name != "operations" || row.deleted || is_said("started") == is_said("completed") {
            return Ok(());
        }
        let executions = keyer.executions();
        let Some(known) = self.text(row, "run").and_then(|run| executions.get(run)) else { return Ok(()) };
        let (from, to) = match (self.cell(row, "started"), self.cell(row, "completed")) {
            (Cell::Time(from), _) => (*from, known.completed),
            (_, Cell::Time(to)) => (known.started, Some(*to)),
            _ => return Ok(()),
        };
        if to.is_none_or(|to| from <= to) {
            return Ok(());
        }
        let instant =
            |us: Option<i64>| us.and_then(|us| Timestamp::from_microsecond(us).ok()).map(|time| time.to_string());
        Err(refusal(format!(
            "`completed` lies before `started`: {} and {} of run `{}`",
            instant(to).unwrap_or_default(),
            instant(Some(from)).unwrap_or_default(),
            known.run
        )))
    }

    pub(super) fn check_equipment(&self, row: &RecordRow, plant: &Plant) -> Result<(), Refusal> {
        let declares = self.table.name == "equipment";
        match self.text(row, "equipment") {
            Some(path)
                if ["states", "counts"].contains(&self.table.name)
                    && !row.deleted
                    && plant.equipment(path).is_some_and(|equipment| !equipment.is_machine) =>
            {
                Err(refusal(format!(
                    "`{path}` has equipment below it, and its states and counts are those of that: send them for a machine, or \
                     give `{path}` the level \"work_unit\" in plant.toml"
                )))
            }
            // What an equipment has left behind can be retracted after it is gone.
            Some(path) if !declares && !row.deleted && !path.is_empty() && plant.equipment(path).is_none() => {
                Err(unknown_equipment(path))
            }
            _ => Ok(()),
        }
    }

    /// A reason that somebody picks is one of those that there are.
    pub(super) fn check_reason(&self, row: &RecordRow, plant: &Plant) -> Result<(), Refusal> {
        if self.table.name != "stop_reasons" || row.deleted {
            return Ok(());
        }
        match self.text(row, "reason") {
            None => Err(refusal("`stop_reasons` needs the field `reason`, or `\"deleted\": true`")),
            Some(code) if plant.reason_category(code).is_none() => Err(refusal(format!(
                "the reason `{code}` is not declared: add it to [[reasons]] in plant.toml, or pick one of them"
            ))),
            Some(_) => Ok(()),
        }
    }
}
