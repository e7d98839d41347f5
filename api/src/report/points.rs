//! The points of the chart, the limits that hold now, and where limits come from.

use super::Failure;
use super::asked::quoted;
use super::source::Source;
use super::subject::{Subject, instant_sql};
use crate::columns::{Doubles, Integers, Texts, Times};

/// Most points of a report: of more it could not be read, and memory is bounded.
const MOST_POINTS: usize = 50_000;
/// What violations of the chart below are called: they flag that chart.
const OF_COMPANION: [&str; 4] = ["R limits", "S limits", "MR limits", "C- limits"];

/// A point, as `spc` gives it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Point {
    pub(crate) number: i64,
    pub(crate) time: i64,
    pub(crate) start: i64,
    pub(crate) equipment: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) work_order: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) operator: Option<String>,
    pub(crate) gauge: Option<String>,
    pub(crate) run: Option<String>,
    pub(crate) subgroup: Option<String>,
    pub(crate) n: i64,
    pub(crate) main: Plotted,
    pub(crate) below: Plotted,
    pub(crate) companion: Option<String>,
    pub(crate) sigma: Option<f64>,
    pub(crate) z: Option<f64>,
    pub(crate) phase: Option<String>,
    pub(crate) excluded: bool,
    pub(crate) rules: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) lower_limit: Option<f64>,
    pub(crate) upper_limit: Option<f64>,
    pub(crate) limits: String,
    pub(crate) reason: Option<String>,
}

/// What one of the two charts shows of a point.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Plotted {
    pub(crate) value: Option<f64>,
    pub(crate) centre: Option<f64>,
    pub(crate) lcl: Option<f64>,
    pub(crate) ucl: Option<f64>,
}

/// How a point is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Limit,
    Pattern,
}

impl Plotted {
    pub(crate) fn is_outside(&self) -> bool {
        let Some(value) = self.value else { return false };
        self.ucl.is_some_and(|limit| value > limit) || self.lcl.is_some_and(|limit| value < limit)
    }
}

impl Point {
    fn violated(&self) -> impl Iterator<Item = &str> {
        self.rules.as_deref().unwrap_or_default().split(", ").filter(|name| !name.is_empty())
    }

    /// How the chart marks it.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.violated()
            .any(|name| !OF_COMPANION.contains(&name))
            .then(|| if self.main.is_outside() { Mark::Limit } else { Mark::Pattern })
    }

    /// How the chart below marks it.
    pub(crate) fn mark_below(&self) -> Option<Mark> {
        self.violated().any(|name| OF_COMPANION.contains(&name)).then_some(Mark::Limit)
    }

    pub(crate) fn is_flagged(&self) -> bool {
        self.rules.is_some()
    }
}

/// The points, in order.
pub(crate) async fn read(source: &Source, subject: &Subject) -> Result<Vec<Point>, Failure> {
    let sql = format!("SELECT * FROM {} ORDER BY point LIMIT {}", subject.spc(), MOST_POINTS + 1);
    let found = source.ask(&sql).await?;
    if found.num_rows() > MOST_POINTS {
        return Err(Failure::Unusable(format!(
            "the chart has more than {MOST_POINTS} points; choose a shorter period, or larger subgroups"
        )));
    }
    let texts = |name: &str| Texts::of(&found, name);
    let numbers = |name: &str| Doubles::of(&found, name);
    let flags = |name: &str| Integers::of(&found, name);
    let plotted = |value: &str, before: &str| -> Result<[Doubles; 4], Failure> {
        let of = |name: &str| numbers(&format!("{before}{name}"));
        Ok([numbers(value)?, of("centre")?, of("lcl")?, of("ucl")?])
    };
    let (main, below) = (plotted("value", "")?, plotted("companion_value", "companion_")?);
    let at = |columns: &[Doubles; 4], row: usize| {
        let [value, centre, lcl, ucl] = columns.each_ref().map(|column| column.at(row));
        Plotted { value, centre, lcl, ucl }
    };
    let (time, start, number, n) =
        (Times::of(&found, "time")?, Times::of(&found, "start")?, flags("point")?, flags("n")?);
    let [equipment, product, operation] = [texts("equipment")?, texts("product")?, texts("operation")?];
    let work_order = texts("work_order")?;
    let [unit, operator, gauge, run] = [texts("unit")?, texts("operator")?, texts("gauge")?, texts("run")?];
    let [subgroup, companion, phase] = [texts("subgroup")?, texts("companion")?, texts("phase")?];
    let [rules, message, limits, reason] = [texts("rules")?, texts("message")?, texts("limits")?, texts("reason")?];
    let [sigma, z] = [numbers("sigma")?, numbers("z")?];
    let [lower_limit, upper_limit] = [numbers("lower_limit")?, numbers("upper_limit")?];
    let excluded = flags("excluded")?;
    Ok((0..found.num_rows())
        .map(|row| Point {
            number: number.at(row).unwrap_or(0),
            time: time.at(row).unwrap_or(0),
            start: start.at(row).unwrap_or(0),
            equipment: equipment.owned(row),
            product: product.owned(row),
            operation: operation.owned(row),
            work_order: work_order.owned(row),
            unit: unit.owned(row),
            operator: operator.owned(row),
            gauge: gauge.owned(row),
            run: run.owned(row),
            subgroup: subgroup.owned(row),
            n: n.at(row).unwrap_or(0),
            main: at(&main, row),
            below: at(&below, row),
            companion: companion.owned(row),
            sigma: sigma.at(row),
            z: z.at(row),
            phase: phase.owned(row),
            excluded: excluded.at(row) == Some(1),
            rules: rules.owned(row),
            message: message.owned(row),
            lower_limit: lower_limit.at(row),
            upper_limit: upper_limit.at(row),
            limits: limits.owned(row).unwrap_or_default(),
            reason: reason.owned(row),
        })
        .collect())
}

/// The limits that hold now, as `spc_limits` gives them.
#[derive(Debug, Default)]
pub(crate) struct Now {
    pub(crate) measurements: i64,
    pub(crate) main: Plotted,
    pub(crate) below: Plotted,
    pub(crate) companion: Option<String>,
    pub(crate) mean: Option<f64>,
    pub(crate) sigma: Option<f64>,
    pub(crate) estimated_from: Option<i64>,
    pub(crate) rules: Option<String>,
    pub(crate) parameters: Option<String>,
    pub(crate) reason: Option<String>,
}

/// None where nothing was measured.
pub(crate) async fn limits_now(source: &Source, subject: &Subject) -> Result<Option<Now>, Failure> {
    let found = source.ask(&format!("SELECT * FROM {} LIMIT 1", subject.spc_limits())).await?;
    if found.num_rows() == 0 {
        return Ok(None);
    }
    let number = |name: &str| Ok::<_, Failure>(Doubles::of(&found, name)?.at(0));
    let integer = |name: &str| Ok::<_, Failure>(Integers::of(&found, name)?.at(0));
    let text = |name: &str| Ok::<_, Failure>(Texts::of(&found, name)?.owned(0));
    Ok(Some(Now {
        measurements: integer("measurements")?.unwrap_or(0),
        main: Plotted { value: None, centre: number("centre")?, lcl: number("lcl")?, ucl: number("ucl")? },
        below: Plotted {
            value: None,
            centre: number("companion_centre")?,
            lcl: number("companion_lcl")?,
            ucl: number("companion_ucl")?,
        },
        companion: text("companion")?,
        mean: number("mean")?,
        sigma: number("sigma")?,
        estimated_from: integer("estimated_from")?,
        rules: text("rules")?,
        parameters: text("parameters")?,
        reason: text("reason")?,
    }))
}

/// Frozen limits, a row of `control_limits`.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) valid_from: i64,
    pub(crate) centre: Option<f64>,
    pub(crate) sigma: Option<f64>,
    pub(crate) subgroups: Option<i64>,
    pub(crate) approved_by: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) recorded: Option<i64>,
    pub(crate) recorded_by: Option<String>,
}

/// The frozen limits of this chart that judge one of the points.
pub(crate) async fn frozen(source: &Source, subject: &Subject, points: &[Point]) -> Result<Vec<Frozen>, Failure> {
    let mut starts: Vec<i64> = points.iter().filter_map(|point| frozen_from(&point.limits)).collect();
    starts.dedup();
    starts.sort_unstable();
    starts.dedup();
    if starts.is_empty() {
        return Ok(Vec::new());
    }
    let starts: Vec<String> = starts.into_iter().map(instant_sql).collect();
    let held = subject.held(&["equipment", "product", "operation"]);
    // Of rows with the same time the one that says more of what it is for was used.
    let found = source
        .ask(&format!(
            "SELECT valid_from, centre, sigma, subgroups, approved_by, reason, recorded, recorded_by FROM ( \
               SELECT *, row_number() OVER (PARTITION BY valid_from ORDER BY \
                 CASE WHEN coalesce(equipment, '') = '' THEN 1 ELSE 0 END \
                 + CASE WHEN coalesce(product, '') = '' THEN 1 ELSE 0 END \
                 + CASE WHEN coalesce(operation, '') = '' THEN 1 ELSE 0 END) AS place \
               FROM control_limits WHERE {held} AND chart = {} AND valid_from IN ({})) AS l \
             WHERE place = 1 ORDER BY valid_from",
            quoted(subject.kind.name()),
            starts.join(", ")
        ))
        .await?;
    let texts = |name: &str| Texts::of(&found, name);
    let numbers = |name: &str| Doubles::of(&found, name);
    let (valid_from, recorded) = (Times::of(&found, "valid_from")?, Times::of(&found, "recorded")?);
    let (centre, sigma, subgroups) = (numbers("centre")?, numbers("sigma")?, Integers::of(&found, "subgroups")?);
    let (approved_by, reason, recorded_by) = (texts("approved_by")?, texts("reason")?, texts("recorded_by")?);
    Ok((0..found.num_rows())
        .map(|row| Frozen {
            valid_from: valid_from.at(row).unwrap_or(0),
            centre: centre.at(row),
            sigma: sigma.at(row),
            subgroups: subgroups.at(row),
            approved_by: approved_by.owned(row),
            reason: reason.owned(row),
            recorded: recorded.at(row),
            recorded_by: recorded_by.owned(row),
        })
        .collect())
}

/// From when limits are frozen, where `limits` of a point says so.
pub(crate) fn frozen_from(limits: &str) -> Option<i64> {
    let rest = limits.strip_prefix("frozen from ")?;
    let end = rest.find('Z')? + 1;
    rest.get(..end)?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_marked_on_the_chart_that_it_violates() {
        let outside = Plotted { value: Some(5.0), ucl: Some(4.0), ..Plotted::default() };
        let point = |rules: Option<&str>, main| Point { rules: rules.map(str::to_owned), main, ..Point::default() };
        assert_eq!(point(Some("N1, N2"), outside).mark(), Some(Mark::Limit));
        assert_eq!(point(Some("N2"), Plotted::default()).mark(), Some(Mark::Pattern));
        assert_eq!(point(Some("MR limits"), outside).mark(), None);
        assert_eq!(point(Some("MR limits"), outside).mark_below(), Some(Mark::Limit));
        assert_eq!(point(None, outside).mark(), None);
    }

    #[test]
    fn frozen_limits_say_from_when() {
        let words = "frozen from 2026-11-25T06:00:00Z, approved by A: Zeit";
        assert_eq!(frozen_from(words), Some(1_795_586_400_000_000));
        assert_eq!(frozen_from("estimated from these 9 subgroups"), None);
    }
}
