//! How the values spread: bins of a histogram and ranked values. What is asked for, and how bins are cut, is what the SPC
//! page does: both show the same.

use super::Failure;
use super::document::reading;
use super::source::Source;
use super::subject::Subject;
use crate::columns::{Doubles, Integers};

const MOST_BINS: f64 = 80.0;
/// Of more values the probability plot shows some, and all at the ends.
const RANKS_SHOWN: i64 = 800;
const ENDS_SHOWN: i64 = 30;

/// How values spread.
#[derive(Debug)]
pub(crate) struct Spread {
    pub(crate) n: i64,
    pub(crate) mean: f64,
    pub(crate) sigma: f64,
    pub(crate) bins: Bins,
    /// How many values are in which bin.
    pub(crate) counts: Vec<(i64, i64)>,
    /// Values with their rank from 1.
    pub(crate) ranked: Vec<(f64, i64)>,
}

/// Bins of equal width.
#[derive(Debug, PartialEq)]
pub(crate) struct Bins {
    pub(crate) start: f64,
    pub(crate) width: f64,
    pub(crate) bins: i64,
    pub(crate) rule: &'static str,
}

/// What bins follow from.
struct Extent {
    n: i64,
    low: f64,
    high: f64,
    quartiles: (f64, f64),
    /// The smallest step between values; 0 where they come in none.
    resolution: f64,
}

impl Bins {
    /// Bins by Freedman and Diaconis (1981), or by Sturges (1926) where the quartiles agree. A width is a whole number of
    /// the steps in which values come, for else some bins hold more steps than others.
    fn of(extent: &Extent) -> Self {
        let Extent { n, low, high, quartiles, resolution } = *extent;
        let range = high - low;
        let between = quartiles.1 - quartiles.0;
        let by_quartiles = between > 0.0;
        let count = n as f64;
        let wanted = if by_quartiles { 2.0 * between / count.cbrt() } else { range / (count.log2().ceil() + 1.0) };
        let mut width = wanted.max(range / MOST_BINS);
        let stepped = resolution > 0.0 && range / resolution < 100_000.0;
        if stepped {
            width = (width / resolution).round().max(1.0) * resolution;
        }
        let start = if stepped { low - resolution / 2.0 } else { low - width / 2.0 };
        let bins = ((high - start) / width).floor() as i64 + 1;
        Self { start, width, bins, rule: if by_quartiles { "Freedman-Diaconis" } else { "Sturges" } }
    }
}

/// How the values spread, or why there is nothing to draw.
pub(crate) async fn read(source: &Source, subject: &Subject) -> Result<Result<Spread, String>, Failure> {
    let numbers = format!("FROM measurements WHERE {}{} AND value IS NOT NULL", subject.named(), subject.in_period());
    let found = source
        .ask(&format!(
            "SELECT count(*) AS n, avg(value) AS mean, stddev(value) AS sigma, min(value) AS low, max(value) AS high, \
               (SELECT min(step) FROM (SELECT value - lag(value) OVER (ORDER BY value) AS step \
                  FROM (SELECT DISTINCT value {numbers}) AS d) AS s WHERE step > 0) AS step {numbers}"
        ))
        .await?;
    let figure = |name: &str| Ok::<_, Failure>(Doubles::of(&found, name)?.at(0));
    let n = Integers::of(&found, "n")?.at(0).unwrap_or(0);
    let (Some(mean), Some(low), Some(high)) = (figure("mean")?, figure("low")?, figure("high")?) else {
        return Ok(Err("there are no numbers in this period".to_owned()));
    };
    let Some(sigma) = figure("sigma")?.filter(|_| n > 1) else {
        return Ok(Err("one value has no spread".to_owned()));
    };
    if low >= high || sigma <= 0.0 {
        return Ok(Err(format!("all {n} values are {}: there is no spread to draw", reading(low, 5))));
    }
    let step = figure("step")?.unwrap_or(0.0);
    let each = (n / RANKS_SHOWN).max(1);
    let quarters = [(n + 3) / 4, (n * 3 + 3) / 4];
    let ranks = source
        .ask(&format!(
            "SELECT value, rank FROM (SELECT value, row_number() OVER (ORDER BY value) AS rank {numbers}) AS r \
             WHERE rank % {each} = 0 OR rank <= {ENDS_SHOWN} OR rank > {} OR rank IN ({}, {}) ORDER BY rank",
            n - ENDS_SHOWN,
            quarters[0],
            quarters[1]
        ))
        .await?;
    let (values, places) = (Doubles::of(&ranks, "value")?, Integers::of(&ranks, "rank")?);
    let ranked: Vec<(f64, i64)> =
        (0..ranks.num_rows()).filter_map(|row| Some((values.at(row)?, places.at(row)?))).collect();
    let quartile = |rank: i64| ranked.iter().find(|(_, place)| *place == rank).map_or(low, |(value, _)| *value);
    let resolution = if step > (high - low) * 1e-9 { step } else { 0.0 };
    let bins =
        Bins::of(&Extent { n, low, high, quartiles: (quartile(quarters[0]), quartile(quarters[1])), resolution });
    let counted = source
        .ask(&format!(
            "SELECT CAST(least({}, greatest(0, floor((value - ({:?})) / {:?}))) AS bigint) AS bin, count(*) AS count \
             {numbers} GROUP BY 1 ORDER BY 1",
            bins.bins - 1,
            bins.start,
            bins.width
        ))
        .await?;
    let (bin, count) = (Integers::of(&counted, "bin")?, Integers::of(&counted, "count")?);
    let counts = (0..counted.num_rows()).filter_map(|row| Some((bin.at(row)?, count.at(row)?))).collect();
    Ok(Ok(Spread { n, mean, sigma, bins, counts, ranked }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(n: i64, low: f64, high: f64, quartiles: (f64, f64), resolution: f64) -> Bins {
        Bins::of(&Extent { n, low, high, quartiles, resolution })
    }

    #[test]
    fn bins_hold_all_values_and_whole_steps() {
        let found = bins(100, 0.0, 10.0, (2.5, 7.5), 0.0);
        assert_eq!(found.rule, "Freedman-Diaconis");
        assert!((found.width - 10.0 / 100_f64.cbrt()).abs() < 1e-12);
        assert!(found.start + found.width * found.bins as f64 > 10.0);
        let stepped = bins(100, 0.0, 10.0, (2.5, 7.5), 1.0);
        assert_eq!((stepped.start, stepped.width, stepped.bins), (-0.5, 2.0, 6));
        let flat = bins(8, 0.0, 4.0, (2.0, 2.0), 0.0);
        assert_eq!((flat.rule, flat.width), ("Sturges", 1.0));
        // No more bins than paper shows.
        assert!(bins(100_000, 0.0, 1000.0, (500.0, 500.1), 0.0).bins <= 82);
    }
}
