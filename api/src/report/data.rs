//! The values themselves: every measurement that is charted, to which point it belongs, and what is excluded.

use std::collections::HashMap;
use std::collections::VecDeque;

use oee::spc::Rational;

use super::Failure;
use super::points::Point;
use super::source::Source;
use super::subject::Subject;
use crate::columns::{Doubles, Integers, Texts, Times};

/// Most values of a report.
const MOST_VALUES: usize = 50_000;

/// A measurement.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) time: i64,
    pub(crate) value: Option<f64>,
    pub(crate) result: Option<String>,
    pub(crate) lower: Option<f64>,
    pub(crate) upper: Option<f64>,
    pub(crate) unit: Option<String>,
    pub(crate) piece: Option<i64>,
    pub(crate) work_order: Option<String>,
    pub(crate) operator: Option<String>,
    pub(crate) gauge: Option<String>,
    pub(crate) equipment: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) run: Option<String>,
    /// What it agrees in with others of its subgroup.
    label: Option<String>,
    /// Number of its point; none where it is in none.
    pub(crate) point: Option<i64>,
}

/// The values of the period, in the order of production.
pub(crate) async fn read(source: &Source, subject: &Subject, points: &[Point]) -> Result<Vec<Measured>, Failure> {
    // What agrees in a column is one subgroup, and the column says which.
    let column = subject.subgroup.as_deref().and_then(|by| match Rational::parse(by) {
        Ok(Rational::Column(column)) => Some(column),
        _ => None,
    });
    let sql = format!(
        "SELECT time, value, result, lower_limit, upper_limit, unit, piece, work_order, operator, gauge, equipment, product, operation, \
           run, {} AS label FROM measurements WHERE {} \
         ORDER BY time, coalesce(piece, 1), unit NULLS FIRST, run NULLS FIRST LIMIT {}",
        column.map_or("NULL", |column| if column == "piece" { "CAST(coalesce(piece, 1) AS varchar)" } else { column }),
        subject.charted(),
        MOST_VALUES + 1
    );
    let found = source.ask(&sql).await?;
    if found.num_rows() > MOST_VALUES {
        return Err(Failure::Unusable(format!(
            "there are more than {MOST_VALUES} values in this period, and a report holds every one; choose a shorter period"
        )));
    }
    let texts = |name: &str| Texts::of(&found, name);
    let numbers = |name: &str| Doubles::of(&found, name);
    let (time, piece) = (Times::of(&found, "time")?, Integers::of(&found, "piece")?);
    let [value, lower, upper] = [numbers("value")?, numbers("lower_limit")?, numbers("upper_limit")?];
    let [result, unit, work_order] = [texts("result")?, texts("unit")?, texts("work_order")?];
    let [operator, gauge, label, run] = [texts("operator")?, texts("gauge")?, texts("label")?, texts("run")?];
    let [equipment, product, operation] = [texts("equipment")?, texts("product")?, texts("operation")?];
    let mut values: Vec<Measured> = (0..found.num_rows())
        .map(|row| Measured {
            time: time.at(row).unwrap_or(0),
            value: value.at(row),
            result: result.owned(row),
            lower: lower.at(row),
            upper: upper.at(row),
            unit: unit.owned(row),
            piece: piece.at(row),
            work_order: work_order.owned(row),
            operator: operator.owned(row),
            gauge: gauge.owned(row),
            equipment: equipment.owned(row),
            product: product.owned(row),
            operation: operation.owned(row),
            run: run.owned(row),
            label: label.owned(row),
            point: None,
        })
        .collect();
    if column.is_some() {
        by_label(&mut values, points)
    } else {
        in_order(&mut values, points)
    }
    Ok(values)
}

/// How many values there are.
pub(crate) async fn count(source: &Source, subject: &Subject) -> Result<i64, Failure> {
    let found = source.ask(&format!("SELECT count(*) AS n FROM measurements WHERE {}", subject.charted())).await?;
    Ok(Integers::of(&found, "n")?.at(0).unwrap_or(0))
}

/// Values of a subgroup follow each other; what is before a subgroup's first one is in none.
fn in_order(values: &mut [Measured], points: &[Point]) {
    let mut rest = values.iter_mut();
    for point in points {
        let mut missing = point.n;
        while missing > 0 {
            let Some(value) = rest.next() else { return };
            if value.time < point.start {
                continue;
            }
            value.point = Some(point.number);
            missing -= 1;
        }
    }
}

/// Values of a subgroup agree in a column, and others may lie between them.
fn by_label(values: &mut [Measured], points: &[Point]) {
    let mut waiting: HashMap<Option<String>, VecDeque<&mut Measured>> = HashMap::new();
    for value in values {
        waiting.entry(value.label.clone()).or_default().push_back(value);
    }
    for point in points {
        let Some(queue) = waiting.get_mut(&point.subgroup) else { continue };
        let mut missing = point.n;
        while missing > 0 {
            let Some(value) = queue.pop_front() else { break };
            if value.time < point.start {
                continue;
            }
            value.point = Some(point.number);
            missing -= 1;
        }
    }
}

/// A measurement that limits are not estimated from, a row of `exclusions`.
#[derive(Debug)]
pub(crate) struct Excluded {
    pub(crate) time: i64,
    pub(crate) unit: Option<String>,
    pub(crate) piece: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) recorded: Option<i64>,
    pub(crate) recorded_by: Option<String>,
    of: [Option<String>; 3],
}

impl Excluded {
    /// Whether it is about a measurement: what it does not name may be anything.
    pub(crate) fn is_about(&self, value: &Measured) -> bool {
        let [equipment, operation, run] = &self.of;
        let names = [
            (equipment, &value.equipment),
            (operation, &value.operation),
            (run, &value.run),
            (&self.unit, &value.unit),
        ];
        self.time == value.time
            && self.piece.is_none_or(|piece| piece == value.piece.unwrap_or(1))
            && names.iter().all(|(name, is)| name.as_deref().is_none_or(str::is_empty) || name == is)
    }
}

/// What is excluded in the period.
pub(crate) async fn exclusions(source: &Source, subject: &Subject) -> Result<Vec<Excluded>, Failure> {
    let found = source
        .ask(&format!(
            "SELECT time, unit, piece, reason, recorded, recorded_by, equipment, operation, run FROM exclusions \
             WHERE {}{} ORDER BY time LIMIT {MOST_VALUES}",
            subject.held(&["equipment", "operation"]),
            subject.in_period()
        ))
        .await?;
    let texts = |name: &str| Texts::of(&found, name);
    let (time, recorded) = (Times::of(&found, "time")?, Times::of(&found, "recorded")?);
    let (unit, piece, reason) = (texts("unit")?, Integers::of(&found, "piece")?, texts("reason")?);
    let (recorded_by, of) = (texts("recorded_by")?, [texts("equipment")?, texts("operation")?, texts("run")?]);
    Ok((0..found.num_rows())
        .map(|row| Excluded {
            time: time.at(row).unwrap_or(0),
            unit: unit.owned(row),
            piece: piece.at(row),
            reason: reason.owned(row),
            recorded: recorded.at(row),
            recorded_by: recorded_by.owned(row),
            of: of.each_ref().map(|names| names.owned(row)),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(time: i64, label: Option<&str>) -> Measured {
        Measured {
            time,
            value: Some(1.0),
            result: None,
            lower: None,
            upper: None,
            unit: Some("U1".to_owned()),
            piece: None,
            work_order: None,
            operator: None,
            gauge: None,
            equipment: Some("lab".to_owned()),
            product: None,
            operation: None,
            run: None,
            label: label.map(str::to_owned),
            point: None,
        }
    }

    fn point(number: i64, start: i64, n: i64, subgroup: Option<&str>) -> Point {
        Point { number, start, n, subgroup: subgroup.map(str::to_owned), ..Point::default() }
    }

    #[test]
    fn values_find_their_points_in_order() {
        let mut values: Vec<Measured> = (0..7).map(|time| value(time, None)).collect();
        // One value before the second subgroup is in none: its limits begin anew there.
        in_order(&mut values, &[point(1, 0, 3, None), point(2, 4, 2, None)]);
        let found: Vec<Option<i64>> = values.iter().map(|value| value.point).collect();
        assert_eq!(found, [Some(1), Some(1), Some(1), None, Some(2), Some(2), None]);
    }

    #[test]
    fn values_that_agree_find_each_other_among_others() {
        let mut values = vec![value(0, Some("a")), value(1, Some("b")), value(2, Some("a")), value(3, None)];
        by_label(&mut values, &[point(1, 0, 2, Some("a")), point(2, 1, 1, Some("b"))]);
        let found: Vec<Option<i64>> = values.iter().map(|value| value.point).collect();
        assert_eq!(found, [Some(1), Some(2), Some(1), None]);
    }

    #[test]
    fn an_exclusion_is_about_what_it_names() {
        let excluded = |time, unit: Option<&str>, piece| Excluded {
            time,
            unit: unit.map(str::to_owned),
            piece,
            reason: None,
            recorded: None,
            recorded_by: None,
            of: [Some(String::new()), None, None],
        };
        assert!(excluded(0, None, None).is_about(&value(0, None)));
        assert!(excluded(0, Some("U1"), Some(1)).is_about(&value(0, None)));
        assert!(!excluded(0, Some("U2"), None).is_about(&value(0, None)));
        assert!(!excluded(0, None, Some(2)).is_about(&value(0, None)));
        assert!(!excluded(1, None, None).is_about(&value(0, None)));
    }
}
