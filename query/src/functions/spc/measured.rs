//! Values as they were measured, chart by chart, in the order of production.

mod excluded;
mod reading;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::StringArray;
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use oee::count::CountRecord;
use oee::plant::Plant;
use oee::spc::ChartKind;
use oee::spc::capability::Spec;

use super::asked::Asked;
use super::frozen::Frozen;
use super::specification::Declared;
use super::{FEW, NAMES, Question};
use crate::error::QueryError;
use crate::functions::gather::among;
use crate::functions::values::{Doubles, Integers, Names, Texts, Times};
pub(super) use excluded::Excluded;
use reading::Reading;

/// Values that agree in these are one chart, unless it is said otherwise.
pub(super) const COLUMNS_OF_CHARTS: [&str; 4] = ["equipment", "characteristic", "product", "operation"];
/// The piece within its run can part charts too: of a tool with several cavities it is the cavity.
pub(super) const PIECE: &str = "piece";
/// What else is known of a value.
pub(in crate::functions) const CONTEXT: [&str; 6] = ["unit", "work_order", "operator", "gauge", "subgroup", "run"];
const MEASUREMENTS: &str = "measurements";
const COUNTS: &str = "counts";

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    batch: u32,
    row: u32,
}

impl Place {
    fn of(batch: usize, row: usize) -> Self {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { batch: number(batch), row: number(row) }
    }
}

/// One value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) time: i64,
    pub(super) value: f64,
    pub(super) piece: i64,
    pub(super) place: Place,
    /// Left out of what limits are estimated from.
    pub(super) excluded: bool,
}

/// What a chart is of, in the order of [`COLUMNS_OF_CHARTS`]: none where values do not agree in it.
pub(super) type Key = [Option<Arc<str>>; 4];

/// What all values of a chart have in common: work order, unit, operator and gauge, as far as these were read.
pub(super) type Common = [Option<String>; 4];

/// The values of one chart.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) key: Key,
    /// In the order of production.
    pub(super) values: Vec<Measured>,
    /// Rows that hold no number, or no result that says whether the unit conforms where that is counted.
    pub(super) texts: usize,
    /// The newest specification that the rows name.
    pub(super) spec: Spec,
}

impl Series {
    /// Which piece all values are of; none where they are of several, or there are none.
    pub(super) fn piece(&self) -> Option<i64> {
        let first = self.values.first()?.piece;
        self.values.iter().all(|value| value.piece == first).then_some(first)
    }
}

/// What of a batch is looked up later.
#[derive(Debug)]
struct Kept {
    /// In the order of [`COLUMNS_OF_CHARTS`].
    charts: [Option<Names>; 4],
    /// In the order of [`CONTEXT`].
    context: [Option<Texts>; 6],
    targets: Option<Doubles>,
    /// Which piece each row is of.
    pieces: Option<Integers>,
    /// The same as text, once that was asked for.
    piece_labels: OnceLock<StringArray>,
    /// How many units the count of each row is of; empty where each value is of one.
    units: Vec<f64>,
}

/// A column that values are looked up in.
#[derive(Debug, Clone, Copy)]
enum Column {
    /// A place in [`COLUMNS_OF_CHARTS`].
    OfCharts(usize),
    /// A place in [`CONTEXT`].
    OfContext(usize),
    Piece,
    Unknown,
}

impl Column {
    fn of(name: &str) -> Self {
        let place = |names: &[&str]| names.iter().position(|known| *known == name);
        place(&COLUMNS_OF_CHARTS)
            .map(Self::OfCharts)
            .or_else(|| place(&CONTEXT).map(Self::OfContext))
            .or_else(|| (name == PIECE).then_some(Self::Piece))
            .unwrap_or(Self::Unknown)
    }
}

impl Kept {
    fn label(&self, column: Column, row: usize) -> Option<&str> {
        match column {
            Column::OfCharts(place) => self.charts.get(place)?.as_ref()?.at(row),
            Column::OfContext(place) => self.context.get(place)?.as_ref()?.at(row),
            Column::Piece => {
                let pieces = self.pieces.as_ref()?;
                Some(self.piece_labels.get_or_init(|| pieces.labels(1)).value(row))
            }
            Column::Unknown => None,
        }
    }

    /// The names of a column whose rows tell them by number.
    fn names(&self, column: Column) -> Option<&Names> {
        match column {
            Column::OfCharts(place) => self.charts.get(place)?.as_ref(),
            Column::OfContext(place) => match self.context.get(place)?.as_ref()? {
                Texts::Numbered(names) => Some(names),
                Texts::Plain(_) => None,
            },
            Column::Piece | Column::Unknown => None,
        }
    }
}

/// What one column says of values.
pub(super) struct Labels<'m> {
    kept: &'m [Kept],
    column: Column,
}

impl<'m> Labels<'m> {
    pub(super) fn at(&self, place: Place) -> Option<&'m str> {
        self.kept.get(place.batch as usize)?.label(self.column, place.row as usize)
    }

    /// Whether it says the same of both.
    pub(super) fn agree(&self, one: Place, other: Place) -> bool {
        // Numbers of names are quicker to compare, but count within their batch.
        if one.batch == other.batch
            && let Some(names) = self.kept.get(one.batch as usize).and_then(|kept| kept.names(self.column))
            && names.key(one.row as usize) == names.key(other.row as usize)
        {
            return true;
        }
        self.at(one) == self.at(other)
    }
}

/// Values of several charts.
#[derive(Debug)]
pub(super) struct Measurements {
    series: Vec<Series>,
    kept: Vec<Kept>,
    /// Short runs: declared specifications, which tell what each product should measure.
    declared: Declared,
}

impl Measurements {
    /// The values that a call is about.
    pub(super) async fn gather<L: Clone + PartialEq>(
        question: &Question<'_>,
        frozen: &Frozen<L>,
    ) -> Result<Self, QueryError> {
        let mut measurements = match &question.asked.signal {
            Some((signal, reduction)) => super::reduced::gather(question, signal, *reduction).await?,
            None if question.asked.counts => Self::of_counts(question).await?,
            None => {
                let excluded = Arc::new(Excluded::gather(question.gather).await?);
                // Units and executions tell what is excluded, and in which order that was made which was measured at the
                // same moment: for that alone they are worth reading.
                if question.context == FEW && excluded.is_empty() {
                    let mut measurements = Self::of_table(question, frozen, &["subgroup"], &excluded).await?;
                    measurements.in_order();
                    if !measurements.has_ties() {
                        return Ok(measurements);
                    }
                }
                Self::of_table(question, frozen, question.context, &excluded).await?
            }
        };
        measurements.in_order();
        if question.asked.kind.is_short_run() {
            measurements.declared = Declared::gather(question).await?;
        }
        Ok(measurements)
    }

    async fn of_table<L: Clone + PartialEq>(
        question: &Question<'_>,
        frozen: &Frozen<L>,
        context: &[&'static str],
        excluded: &Arc<Excluded>,
    ) -> Result<Self, QueryError> {
        let mut filter = question.filter(MEASUREMENTS, NAMES)?;
        let several = question.asked.characteristics.iter().map(String::as_str);
        if question.asked.kind == ChartKind::T2 {
            filter = filter.and(among("characteristic", several));
        }
        let judged = counts_failures(question.asked.kind);
        let mut columns = vec!["time", "value", "lower_limit", "upper_limit", "target", "piece"];
        columns.extend(COLUMNS_OF_CHARTS);
        columns.extend(context);
        let of_subgroups = frozen.columns().filter(|name| CONTEXT.contains(name));
        for name in of_subgroups {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        if judged {
            columns.push("result");
        }
        let begin = |_| Reading::new(&question.asked.by);
        let excluded = Arc::clone(excluded);
        let plant = judged.then(|| Arc::clone(&question.gather.plant));
        let take = move |reading: &mut Reading, batch: &RecordBatch| reading.take(batch, plant.as_deref(), &excluded);
        let parts = question.gather.each_part(MEASUREMENTS, filter, &columns, begin, take).await?;
        let all = parts.into_iter().reduce(Reading::joined);
        let mut measurements = all.unwrap_or_else(|| begin(0)).done();
        if question.asked.by.contains(&PIECE) {
            measurements.part_pieces();
        }
        Ok(measurements)
    }

    /// The values of rows that have just been written.
    pub(super) fn of_rows(
        rows: &[RecordBatch],
        kind: ChartKind,
        plant: &Plant,
        excluded: &Excluded,
    ) -> Result<Self, QueryError> {
        let mut reading = Reading::new(&Asked::new(kind).by);
        for batch in rows {
            reading.take(batch, counts_failures(kind).then_some(plant), excluded)?;
        }
        let mut measurements = reading.done();
        measurements.in_order();
        Ok(measurements)
    }

    /// Scrap among the pieces of `counts`: one value for each record.
    async fn of_counts(question: &Question<'_>) -> Result<Self, QueryError> {
        let columns = ["equipment", "time", "total", "good", "scrap"];
        let mut reading = Reading::new(&question.asked.by);
        let mut stream = question.gather.rows(COUNTS, question.filter(COUNTS, &["equipment"])?, &columns, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            reading.keep(&batch)?;
            let batch_at = reading.kept.len() - 1;
            let times = Times::of(&batch, "time")?;
            let [totals, goods, scraps] = ["total", "good", "scrap"].map(|name| Doubles::of(&batch, name));
            let (totals, goods, scraps) = (totals?, goods?, scraps?);
            let mut units = vec![1.0; batch.num_rows()];
            for row in 0..batch.num_rows() {
                let Some(time) = times.at(row) else { continue };
                let (total, good, scrap) = (totals.at(row), goods.at(row), scraps.at(row));
                let Some(piece) = (CountRecord { time, total, good, scrap, ..CountRecord::default() }).piece() else {
                    continue;
                };
                let chart = reading.chart(batch_at, row);
                let place = Place::of(batch_at, row);
                if let Some(series) = reading.series.get_mut(chart) {
                    if piece.detail().unjudged.is_some() {
                        series.texts += 1;
                        continue;
                    }
                    series.values.push(Measured { time, value: piece.scrap, piece: 1, place, excluded: false });
                }
                if let Some(units) = units.get_mut(row) {
                    *units = piece.total;
                }
            }
            if let Some(kept) = reading.kept.last_mut() {
                kept.units = units;
            }
        }
        Ok(reading.done())
    }

    /// From values that were made elsewhere: for each its chart, its time and the row that tells of it.
    pub(super) fn of_values(
        by: &[&'static str],
        batches: &[RecordBatch],
        values: impl IntoIterator<Item = (usize, usize, i64, f64)>,
    ) -> Result<Self, QueryError> {
        let mut reading = Reading::new(by);
        for batch in batches {
            reading.keep(batch)?;
        }
        for (batch, row, time, value) in values {
            let place = Place::of(batch, row);
            let chart = reading.chart(batch, row);
            if let Some(series) = reading.series.get_mut(chart) {
                series.values.push(Measured { time, value, piece: 1, place, excluded: false });
            }
        }
        Ok(reading.done())
    }

    pub(super) fn series(&self) -> &[Series] {
        &self.series
    }

    /// What a column says of a value.
    pub(super) fn label(&self, place: Place, column: &str) -> Option<&str> {
        self.labels(column).at(place)
    }

    /// What a column says of all values.
    pub(super) fn labels(&self, column: &str) -> Labels<'_> {
        Labels { kept: &self.kept, column: Column::of(column) }
    }

    /// What all values of a chart have in common.
    pub(super) fn common(&self, series: &Series) -> Common {
        ["work_order", "unit", "operator", "gauge"].map(|column| {
            let of_all = self.labels(column);
            let mut labels = series.values.iter().map(|value| of_all.at(value.place));
            let first = labels.next()??;
            labels.all(|label| label == Some(first)).then(|| first.to_owned())
        })
    }

    /// How many units a count is of; 1 of a measurement.
    pub(super) fn units(&self, place: Place) -> f64 {
        let kept = self.kept.get(place.batch as usize);
        kept.and_then(|kept| kept.units.get(place.row as usize)).copied().unwrap_or(1.0)
    }

    /// What is declared of what values should be; nothing where no chart asks for it.
    pub(super) fn declared(&self) -> &Declared {
        &self.declared
    }

    /// What a value should have been, as its row says.
    pub(super) fn target(&self, place: Place) -> Option<f64> {
        self.kept.get(place.batch as usize)?.targets.as_ref()?.at(place.row as usize)
    }

    /// A chart for each piece.
    fn part_pieces(&mut self) {
        let mut parted = Vec::new();
        for series in std::mem::take(&mut self.series) {
            let mut pieces: BTreeMap<i64, Vec<Measured>> = BTreeMap::new();
            series.values.iter().for_each(|value| pieces.entry(value.piece).or_default().push(*value));
            let (key, texts, spec) = (series.key, series.texts, series.spec);
            parted.extend(pieces.into_values().map(|values| Series { key: key.clone(), values, texts, spec }));
        }
        self.series = parted;
    }

    /// Charts by name, values by time; where times agree by piece, unit and run, and where nothing tells them apart by the value:
    /// rows come in any order.
    fn in_order(&mut self) {
        let mut series = std::mem::take(&mut self.series);
        // Charts of pieces are in the order of these.
        series.sort_by(|a, b| a.key.cmp(&b.key));
        let (units, runs) = (self.labels("unit"), self.labels("run"));
        for series in &mut series {
            let by_time = |a: &Measured, b: &Measured| (a.time, a.piece).cmp(&(b.time, b.piece));
            series.values.sort_by(|a, b| {
                let by = |labels: &Labels<'_>| labels.at(a.place).cmp(&labels.at(b.place));
                let of_units = |value: &Measured| self.units(value.place);
                let by_name = || by(&units).then_with(|| by(&runs));
                let by_value = || a.value.total_cmp(&b.value).then_with(|| of_units(a).total_cmp(&of_units(b)));
                by_time(a, b).then_with(by_name).then_with(by_value)
            });
        }
        self.series = series;
    }

    /// Whether anything was measured at the same moment.
    fn has_ties(&self) -> bool {
        let tied = |pair: (&Measured, &Measured)| (pair.0.time, pair.0.piece) == (pair.1.time, pair.1.piece);
        self.series.iter().any(|series| series.values.iter().zip(series.values.iter().skip(1)).any(tied))
    }
}

/// Charts of nonconforming units.
pub(super) fn counts_failures(kind: ChartKind) -> bool {
    matches!(kind, ChartKind::P | ChartKind::Np | ChartKind::LaneyP)
}

#[cfg(test)]
mod tests;
