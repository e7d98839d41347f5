//! Figures of many samples are the same whether these come one by one or summed up by outlines.

use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};

use super::history::{AGGREGATES, assert_same, buckets, method};
use super::*;
use crate::catalog::View;
use crate::context::ContextCache;

/// The columns that take no step of a counter.
const COLUMNS: &str = "time, \"end\", interpolative, interpolative_status, average, average_status, time_average, \
    time_average_status, time_average2, time_average2_status, minimum, minimum_status, minimum_time, maximum, \
    maximum_status, maximum_time, count, count_status, delta, delta_status, start_value, start_status, start_time, \
    end_value, end_status, end_time, start_bound, start_bound_status, end_bound, end_bound_status, duration_good_s, \
    percent_good";

/// Two days of a signal, with gaps and with hours in which some samples are not Good.
fn dense(random: &mut Random, equipment: &'static str, signal: &'static str) -> Vec<Row> {
    let widest = [3 * SECOND, 5 * SECOND, 10 * SECOND][usize::try_from(random.below(3)).unwrap()];
    let (mut at, mut rows) = (NEW_YEAR - 3 * HOUR + random.below(HOUR), Vec::new());
    while at < NEW_YEAR + 45 * HOUR {
        let bad_hour = (at / HOUR) % 7 == 3;
        let quality = match random.below(200) {
            0 if bad_hour => Some(0x8000_0000),
            1..100 => None,
            _ => Some(0),
        };
        let value = (!bad_hour || random.below(500) != 0).then(|| random.below(2_000) as f64 / 8.0 - 30.0);
        rows.push((equipment, signal, at, value, quality));
        at += 1 + random.below(widest) + if random.below(3_000) == 0 { random.below(5 * HOUR) } else { 0 };
    }
    rows
}

/// Stores rows in the order of time as they would come, but for some that come late, come again, or were wrong at first.
fn arrive(bench: &Bench, random: &mut Random, signals: &[Vec<Row>], in_memory: bool) {
    let all: Vec<Row> = signals.iter().flatten().copied().collect();
    let wrong: Vec<Row> =
        all.iter().filter(|_| random.below(30_000) == 0).map(|row| (row.0, row.1, row.2, Some(-1e6), row.4)).collect();
    // Of some hours of one signal every other sample.
    let hours = NEW_YEAR + 5 * HOUR..NEW_YEAR + 12 * HOUR;
    let is_other = |row: &Row, place: usize| {
        (row.0, row.1) == ("site/b", "level") && hours.contains(&row.2) && place.is_multiple_of(2)
    };
    let late = all.iter().enumerate().map(|(place, row)| random.below(10_000) == 0 || is_other(row, place));
    let is_late: Vec<bool> = late.collect();
    let mut from = NEW_YEAR - DAY;
    while from < NEW_YEAR + 3 * DAY {
        let to = from + HOUR + random.below(20 * HOUR);
        let on_time = all.iter().zip(&is_late).filter(|(row, late)| !**late && (from..to).contains(&row.2));
        let mut part: Vec<Row> = on_time.map(|(row, _)| *row).collect();
        part.iter_mut().for_each(|row| {
            if let Some(wrong) = wrong.iter().find(|wrong| (wrong.0, wrong.1, wrong.2) == (row.0, row.1, row.2)) {
                *row = *wrong;
            }
        });
        if !part.is_empty() {
            bench.put(&part);
            bench.store.flush().unwrap();
        }
        from = to;
    }
    let is_wrong = |row: &Row| wrong.iter().any(|wrong| (wrong.0, wrong.1, wrong.2) == (row.0, row.1, row.2));
    let late = all.iter().zip(&is_late).filter(|(row, late)| **late || is_wrong(row));
    bench.put(&late.map(|(row, _)| *row).collect::<Vec<_>>());
    if !in_memory {
        bench.store.flush().unwrap();
    }
}

/// How many samples outlines sum up, and how many have to be read besides.
async fn summed_up(bench: &Bench) -> Option<(u64, u64)> {
    let view = View::new(bench.store.snapshot(), Arc::new(ContextCache::default()));
    let filter: Expr = ident("time").gt(lit(0));
    let known = view.present(SAMPLES).unwrap().known_courses(&filter, |_, _| Ok(true)).await.unwrap()?;
    let left = known.left.values().flatten().map(|rows| rows.count() as u64).sum();
    Some((known.of_series.values().flatten().map(|(rows, _)| rows).sum(), left))
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_of_every_sample() {
    for seed in 1..=4 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut signals = Vec::new();
        for equipment in ["site/a", "site/b"] {
            for signal in ["level", "speed"] {
                signals.push(dense(&mut random, equipment, signal));
            }
        }
        let bench = Bench::new();
        arrive(&bench, &mut random, &signals, seed % 2 == 0);
        for stored in ["as it came", "merged"] {
            let (known, left) = summed_up(&bench).await.unwrap();
            assert!(known > 10_000 && left > 0, "seed {seed} {stored}: {known} and {left}");
            for words in ["", ", 'use_uncertain'", ", 'stepped'", ", 'sloped'"] {
                let from = NEW_YEAR - HOUR + random.below(4) * HOUR + random.below(2) * random.below(HOUR);
                let width = [1, 6, 24][usize::try_from(random.below(3)).unwrap()];
                let to = from + (1 + random.below(40)) * HOUR;
                let place = format!("seed {seed} {stored} {words} {width} h from {from} to {to}");
                check(&bench, &place, &signals, (from, to), width, words).await;
                check_trend(&bench, &place, &signals, (from, to), 1 + random.below(30)).await;
            }
            bench.store.flush().unwrap();
            bench.store.compact().unwrap();
        }
    }
}

async fn check(bench: &Bench, place: &str, signals: &[Vec<Row>], (from, to): (i64, i64), width: i64, words: &str) {
    let sql = format!("SELECT {COLUMNS} FROM aggregates('{width} hours'{words}) WHERE {}", within(from, to));
    let answer = bench.batches(&sql).await;
    let sql = format!("SELECT value, status FROM time_weighted_avg('{width} hours'{words}) WHERE {}", within(from, to));
    let averages = bench.ask(&sql).await;
    let mut rows = answer.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    let (mut count, stepped) =
        (0, words.contains("'stepped'").then_some(true).or(words.contains("'sloped'").then_some(false)));
    for signal in signals {
        let bounds = bounds_of(&answer, count, to);
        for bucket in
            buckets(method(bench.engine.plant(), &signal[0], words.contains("use_uncertain"), stepped), signal, &bounds)
        {
            let (batch, row) = rows.next().unwrap_or_else(|| panic!("{place}: a row is missing"));
            let place = format!("{place} {} {} {}", signal[0].0, signal[0].1, bucket.start_us);
            for (name, aggregate) in AGGREGATES.iter().filter(|(name, _)| *name != "counter_delta") {
                assert_same(&place, name, row, batch, aggregate(&bucket));
            }
            let average = bucket.time_average2();
            let text = &averages[count];
            let (value, status) = text.rsplit_once(' ').unwrap();
            assert_eq!(status, average.status.name(), "{place}");
            let close = match (value.parse::<f64>(), average.value) {
                (Ok(got), Some(wanted)) => (got - wanted).abs() <= 1e-12 * wanted.abs(),
                (got, wanted) => got.is_ok() == wanted.is_some(),
            };
            assert!(close, "{place}: {value}, not {average:?}");
            count += 1;
        }
    }
    assert!(rows.next().is_none() && averages.len() == count, "{place}: a row too many");
}

/// The edges of the buckets of the signal that begins with a row.
fn bounds_of(answer: &[RecordBatch], first: usize, to: i64) -> Vec<i64> {
    let times = |name: &'static str| {
        let columns = answer.iter().map(move |batch| batch.column_by_name(name).unwrap());
        columns
            .flat_map(|column| column.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap().values().to_vec())
    };
    let mut bounds: Vec<i64> = Vec::new();
    for (start, end) in times("time").zip(times("end")).skip(first) {
        if bounds.is_empty() {
            bounds.push(start);
        }
        bounds.push(end);
        if end == to {
            break;
        }
    }
    bounds
}

async fn check_trend(bench: &Bench, place: &str, signals: &[Vec<Row>], (from, to): (i64, i64), parts: i64) {
    let sql = format!("SELECT time, value FROM trend({parts}) WHERE {}", within(from, to));
    let bounds: Vec<i64> = (0..=parts).map(|part| from + (to - from) * part / parts).collect();
    let mut wanted = Vec::new();
    for signal in signals {
        let method = Method { stepped: false, treat_uncertain_as_bad: true, counter: None };
        for bucket in buckets(method, signal, &bounds) {
            let Some(extent) = bucket.extent() else { continue };
            let mut points =
                [extent.first, extent.minimum, extent.maximum, extent.last].map(|it| (it.time_us, it.value));
            points.sort_by_key(|point| point.0);
            let mut points = points.to_vec();
            points.dedup_by_key(|point| point.0);
            wanted.extend(points);
        }
    }
    let mut found = Vec::new();
    for batch in bench.batches(&sql).await {
        let times = batch.column(0).as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap();
        let values = batch.column(1).as_any().downcast_ref::<Float64Array>().unwrap();
        found.extend(times.values().iter().copied().zip(values.values().iter().copied()));
    }
    assert_eq!(found, wanted, "{place}: {parts} parts");
}
