#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fixture::*;

const SERIES: [(&str, &str); 4] = [("site/a", "fast"), ("site/a", "slow"), ("site/b", "fast"), ("site/c", "rare")];

/// What is stored: the newest value of each sample.
type Model = BTreeMap<(&'static str, &'static str, i64), Option<f64>>;

fn value(random: &mut Random) -> Option<f64> {
    match random.below(20_000) {
        0 => Some(f64::INFINITY),
        1..200 => None,
        // Eighths add up exactly in any order.
        _ => Some(random.below(4_000) as f64 / 8.0 - 100.0),
    }
}

fn rows(random: &mut Random, series: usize, from: i64, count: i64) -> Vec<Row> {
    let step = [300_000, 9 * SECOND, SECOND, 2 * HOUR][series];
    let mut at = from;
    let (equipment, signal) = SERIES[series];
    let row = |_| {
        at += 1 + random.below(step);
        (equipment, signal, at, value(random), Some(0))
    };
    (0..count).map(row).collect()
}

/// Samples of two days in several segments and in memory, some of them late, sent again or corrected.
fn fill(bench: &Bench, random: &mut Random) -> Model {
    let mut model = Model::new();
    let put = |model: &mut Model, rows: Vec<Row>| {
        bench.put(&rows);
        model.extend(rows.into_iter().map(|row| ((row.0, row.1, row.2), row.3)));
    };
    for round in 0..4 {
        for series in 0..SERIES.len() {
            let from = NEW_YEAR + round * 9 * HOUR + random.below(12 * HOUR) - 3 * HOUR;
            let count = random.below(if series == 3 { 60 } else { 6_000 });
            put(&mut model, rows(random, series, from, count));
        }
        for _ in 0..random.below(3) {
            let place = usize::try_from(random.below(i64::try_from(model.len()).unwrap())).unwrap();
            let (&(equipment, signal, at), _) = model.iter().nth(place).unwrap();
            put(&mut model, vec![(equipment, signal, at, value(random), Some(0))]);
        }
        match random.below(4) {
            0 => drop(bench.store.compact().unwrap()),
            1 | 2 => bench.store.flush().unwrap(),
            _ => {}
        }
    }
    model
}

/// How a question groups: its SQL, and the group of a sample as a text.
struct Question {
    groups: &'static str,
    group: fn(&str, &str, i64) -> String,
}

fn floor(at: i64, width: i64) -> Timestamp {
    const MONDAY: i64 = 946_857_600_000_000;
    Timestamp::from_microsecond(at - (at - MONDAY).rem_euclid(width)).unwrap()
}

fn text(at: Timestamp) -> String {
    at.to_string()
}

const QUESTIONS: [Question; 8] = [
    Question { groups: "signal", group: |_, signal, _| signal.to_owned() },
    Question { groups: "equipment, signal", group: |equipment, signal, _| format!("{equipment} {signal}") },
    Question { groups: "time_bucket('1 hour', time)", group: |_, _, at| text(floor(at, HOUR)) },
    Question {
        groups: "equipment, time_bucket('90 minutes', time)",
        group: |equipment, _, at| format!("{equipment} {}", text(floor(at, 90 * 60 * SECOND))),
    },
    Question {
        groups: "signal, equipment, time_bucket('20 seconds', time)",
        group: |equipment, signal, at| format!("{signal} {equipment} {}", text(floor(at, 20 * SECOND))),
    },
    Question {
        groups: "signal, date_trunc('day', time)",
        group: |_, signal, at| format!("{signal} {}", text(floor(at, DAY))),
    },
    Question {
        groups: "time_bucket('1 day', time, 'America/New_York')",
        group: |_, _, at| {
            let zone = TimeZone::get("America/New_York").unwrap();
            let day = Timestamp::from_microsecond(at).unwrap().to_zoned(zone).start_of_day().unwrap();
            text(day.timestamp())
        },
    },
    Question { groups: "split_part(equipment, '/', 2)", group: |equipment, _, _| equipment[5..].to_owned() },
];

/// What plans show of cells that are known, and of rows that are added up as they are read.
const CELLS: &str = "DataSourceExec: partitions=1";
const RUNS: &str = "SeriesRunsExec";

const FIGURES: &str = "count(*), count(value), sum(value), avg(value), min(value), max(value)";

fn figures(values: &[Option<f64>]) -> String {
    let numbers: Vec<f64> = values.iter().flatten().copied().collect();
    let shown = |number: f64| if numbers.is_empty() { String::new() } else { format!("{number:?}") };
    let sum: f64 = numbers.iter().sum();
    let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
    let figures = [
        values.len().to_string(),
        numbers.len().to_string(),
        shown(sum),
        shown(sum / numbers.len() as f64),
        shown(numbers.iter().copied().fold(low, f64::min)),
        shown(numbers.iter().copied().fold(high, f64::max)),
    ];
    figures.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_cells_are_those_of_the_rows() {
    let (mut summed, mut runs) = (0, 0);
    for seed in 1..=6 {
        let random = &mut Random(0x9E37_79B9 * seed);
        let bench = Bench::new();
        let model = fill(&bench, random);
        for question in QUESTIONS {
            for filtered in 0..5 {
                let (from, to) = (NEW_YEAR + random.below(20 * HOUR), NEW_YEAR + 20 * HOUR + random.below(40 * HOUR));
                let hour = |at: i64| at - at % HOUR;
                let (condition, from, to, only) = match filtered {
                    0 => ("true".to_owned(), i64::MIN, i64::MAX, ""),
                    1 => (within(from, to), from, to, ""),
                    2 => {
                        (format!("signal = 'fast' AND {}", within(hour(from), hour(to))), hour(from), hour(to), "fast")
                    }
                    3 => ("signal <> 'slow' AND substr(signal, 2, 2) = 'as'".to_owned(), i64::MIN, i64::MAX, "fast"),
                    _ => (format!("time > {} AND signal IN ('fast', 'no')", time(from)), from + 1, i64::MAX, "fast"),
                };
                let mut expected: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
                for (&(equipment, signal, at), &value) in &model {
                    if from <= at && at < to && (only.is_empty() || only == signal) {
                        expected.entry((question.group)(equipment, signal, at)).or_default().push(value);
                    }
                }
                let mut expected: Vec<String> =
                    expected.into_iter().map(|(group, values)| format!("{group} {}", figures(&values))).collect();
                let groups = question.groups;
                let sql = format!("SELECT {groups}, {FIGURES} FROM samples WHERE {condition} GROUP BY {groups}");
                let mut found = bench.ask(&sql).await;
                found.sort();
                expected.sort();
                let wrong = found.iter().zip(&expected).find(|(found, expected)| found != expected);
                assert_eq!((wrong, found.len()), (None, expected.len()), "seed {seed}: {sql}");
                let plan = bench.ask(&format!("EXPLAIN {sql}")).await.join("\n");
                summed += usize::from(plan.contains(CELLS));
                runs += usize::from(plan.contains(RUNS));
            }
        }
    }
    // Not where most rows are in memory still, or corrected.
    assert!(summed > 60, "only {summed} of 240 questions were answered from cells");
    assert_eq!(runs, 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_nothing_is_nought() {
    let bench = Bench::new();
    let random = &mut Random(7);
    bench.put(&rows(random, 0, NEW_YEAR, 5_000));
    bench.store.flush().unwrap();
    for condition in ["signal = 'none'", "time < '2024-01-01'", "signal = 'fast' AND time < '2024-01-01'"] {
        let sql =
            format!("SELECT count(*), count(value), sum(value), avg(value), min(value) FROM samples WHERE {condition}");
        assert_eq!(bench.ask(&sql).await, ["0 0   "], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_questions_read_the_rows() {
    let bench = Bench::new();
    let random = &mut Random(7);
    let mut rows = rows(random, 0, NEW_YEAR, 5_000);
    rows.iter_mut().for_each(|row| row.3 = row.3.filter(|value| value.is_finite()));
    bench.put(&rows);
    bench.store.flush().unwrap();
    let known = |plan: Vec<String>| plan.join("\n").contains(CELLS);
    // Read once, so that the outline is known.
    bench.ask("SELECT count(value) FROM samples").await;
    assert!(known(bench.ask("EXPLAIN SELECT count(value) FROM samples").await));
    assert!(known(
        bench
            .ask("EXPLAIN SELECT s.signal, avg(value) FROM samples s WHERE s.equipment LIKE 'site/%' GROUP BY 1")
            .await
    ));
    for sql in [
        "SELECT count(DISTINCT value) FROM samples",
        "SELECT count(value) FILTER (WHERE value > 0) FROM samples",
        "SELECT count(*) FROM samples WHERE value > 0",
        "SELECT count(*) FROM samples WHERE quality = 0",
        "SELECT stddev(value) FROM samples",
        "SELECT value, count(*) FROM samples GROUP BY value",
        "SELECT date_part('hour', time), count(*) FROM samples GROUP BY 1",
        "SELECT signal, time_bucket('1 hour', time), count(*) FROM samples GROUP BY GROUPING SETS (1, 2)",
        "SELECT count(*) FROM samples WHERE time != '2025-01-01'",
        "SELECT count(*) FROM (SELECT * FROM samples LIMIT 10) s",
        "SELECT count(*) FROM samples_history",
    ] {
        let Ok(plan) = bench.engine.session("test").query(&format!("EXPLAIN {sql}")).await else { continue };
        let plan: Vec<String> = plan.iter().map(|batch| format!("{batch:?}")).collect();
        assert!(!plan.join("\n").contains(RUNS), "{sql}");
    }
    let seconds = "EXPLAIN SELECT time_bucket('1 second', time), avg(value) FROM samples GROUP BY 1";
    let plan = bench.ask(seconds).await.join("\n");
    assert!(plan.contains(RUNS) && !plan.contains(CELLS), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_on_names_are_asked_of_series_not_of_rows() {
    let bench = Bench::new();
    let random = &mut Random(7);
    for series in 0..SERIES.len() {
        bench.put(&rows(random, series, NEW_YEAR, 5_000));
    }
    bench.store.flush().unwrap();
    bench.ask("SELECT count(value) FROM samples").await;
    let filters = |plan: &str| plan.lines().filter(|line| line.contains("FilterExec")).count();
    for (sql, left) in [
        ("SELECT time, value FROM samples WHERE signal = 'fast' AND equipment LIKE '%/a'", 0),
        ("SELECT time, value FROM samples WHERE length(signal) = 4 AND equipment <> 'site/a'", 0),
        ("SELECT time, value FROM samples WHERE signal = 'fast' AND value > 0", 1),
        ("SELECT signal, avg(value) FROM samples WHERE signal = 'fast' AND time > '2025-01-01 00:20Z' GROUP BY 1", 0),
    ] {
        let plan = bench.ask(&format!("EXPLAIN {sql}")).await.join("\n");
        assert_eq!((filters(&plan), plan.contains("SeriesScanExec")), (left, true), "{sql}: {plan}");
        assert!(!plan.contains("FilterExec: signal"), "{plan}");
        assert_eq!(plan.contains("within=time"), sql.contains("time >"), "{sql}: {plan}");
    }
    let of = |condition: &str| format!("SELECT count(value) FROM samples WHERE {condition} AND value > -1e9");
    let found = bench.ask(&of("length(signal) = 4 AND equipment = 'site/a'")).await;
    assert_eq!(found, bench.ask(&of("signal IN ('fast', 'slow') AND equipment = 'site/a'")).await);
    // What is known only while the plan runs, or not of every series, is asked of the rows.
    let least = "SELECT count(value) FROM samples WHERE signal = (SELECT min(signal) FROM samples)";
    assert_eq!(bench.ask(least).await, bench.ask("SELECT count(value) FROM samples WHERE signal = 'fast'").await);
    let short_of = "SELECT count(value) FROM samples WHERE signal = 'x' AND CAST(signal AS BIGINT) = 1";
    assert_eq!(bench.ask(short_of).await, ["0"]);
}

/// Rows that a question reads, as its plan tells.
async fn rows_read(bench: &Bench, sql: &str) -> u64 {
    let plan = bench.ask(&format!("EXPLAIN {sql}")).await.join("\n");
    let scans = plan.split("SeriesScanExec: ").skip(1).map(|scan| {
        let (_, rows) = scan.split_once("rows=").unwrap();
        rows.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse::<u64>().unwrap()
    });
    scans.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_comes_late_dirties_its_own_cell_alone() {
    const HOURS: i64 = 6;
    let bench = Bench::new();
    let mut model = Model::new();
    let mut put = |rows: &[Row]| {
        bench.put(rows);
        model.extend(rows.iter().map(|row| ((row.0, row.1, row.2), row.3)));
        let mut sums: BTreeMap<(&str, i64), (i64, f64)> = BTreeMap::new();
        for ((_, signal, at), value) in &model {
            let (count, sum) = sums.entry((signal, (at - NEW_YEAR) / HOUR)).or_default();
            (*count, *sum) = (*count + 1, *sum + value.unwrap());
        }
        sums.into_values().map(|(count, sum)| format!("{count} {sum:?}")).collect::<Vec<String>>()
    };
    let signals = |second: i64| {
        ["fast", "slow"].map(|signal| ("site/a", signal, NEW_YEAR + second * SECOND, Some(second as f64), Some(0)))
    };
    let told = put(&(0..HOURS * 3_600).flat_map(signals).collect::<Vec<Row>>());
    bench.store.compact().unwrap();
    let figures = "SELECT signal, time_bucket('1 hour', time) AS hour, count(*) AS rows, sum(value) AS total \
                   FROM samples GROUP BY signal, hour";
    let sql = format!("SELECT rows, total FROM ({figures}) ORDER BY signal, hour");
    let late = ("site/a", "fast", NEW_YEAR + HOUR + 1, Some(0.5), Some(0));
    let corrected = ("site/a", "slow", NEW_YEAR + 3 * HOUR, Some(-7.0), Some(0));
    // What a file knows of its cells is read behind the first question.
    assert_eq!((bench.ask(&sql).await, rows_read(&bench, &sql).await), (told, 0));
    let told = put(&[late]);
    assert_eq!((bench.ask(&sql).await, rows_read(&bench, &sql).await), (told, 3_600));
    let told = put(&[corrected]);
    assert_eq!((bench.ask(&sql).await, rows_read(&bench, &sql).await), (told.clone(), 7_200));
    bench.store.flush().unwrap();
    // A row of its own stands beside the cell it falls into, a corrected one is in it; of so small a file all rows are read.
    assert_eq!((bench.ask(&sql).await, rows_read(&bench, &sql).await), (told.clone(), 3_602));
    bench.store.compact().unwrap();
    assert_eq!((bench.ask(&sql).await, rows_read(&bench, &sql).await), (told, 0));
}
