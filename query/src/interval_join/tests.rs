use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::fixture::{Bench, Random, good};

/// A session that plans joins by stretches, or as DataFusion does.
fn session(by_stretches: bool, partitions: usize, collect: bool) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(partitions);
    // Either way to bring equal keys together.
    let most = if collect { usize::MAX } else { 0 };
    config.options_mut().optimizer.hash_join_single_partition_threshold = most;
    config.options_mut().optimizer.hash_join_single_partition_threshold_rows = most;
    let mut state = SessionStateBuilder::new().with_config(config).with_default_features();
    if by_stretches {
        state = state.with_physical_optimizer_rule(Arc::new(IntervalJoins));
    }
    SessionContext::new_with_state(state.build())
}

fn machine(random: &mut Random) -> Option<&'static str> {
    [Some("press"), Some("weld"), Some("paint, where names are longer"), None][random.below(4) as usize]
}

fn times(random: &mut Random, count: usize) -> Vec<Option<i64>> {
    (0..count).map(|_| (random.below(12) > 0).then(|| random.below(400) as i64 - 20)).collect()
}

fn time_column(times: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
}

/// Rows `(machine, start, "end", row)`: short, long, empty, inside out, of one moment, and open ones.
fn stretches(random: &mut Random, count: usize) -> RecordBatch {
    let machines: StringArray = (0..count).map(|_| machine(random)).collect();
    let starts = times(random, count);
    let ends = starts.iter().map(|start| {
        let length = [3, 3, 30, 400][random.below(4) as usize];
        start.map(|start| start + random.below(length) as i64 - 1).filter(|_| random.below(6) > 0)
    });
    let ends = time_column(ends.collect());
    let columns: [(&str, ArrayRef); 4] = [
        ("machine", Arc::new(machines)),
        ("start", time_column(starts)),
        ("end", ends),
        ("row", Arc::new(Int64Array::from_iter_values(0..count as i64))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// Rows `(machine, time, value)`, in no order.
fn samples(random: &mut Random, count: usize) -> RecordBatch {
    let machines: StringArray = (0..count).map(|_| machine(random)).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("machine", Arc::new(machines)),
        ("time", time_column(times(random, count))),
        ("value", Arc::new(Int64Array::from_iter_values(0..count as i64))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

async fn answer(session: &SessionContext, sql: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in session.sql(sql).await.unwrap().collect().await.unwrap() {
        for row in 0..batch.num_rows() {
            let texts = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
            rows.push(texts.collect::<Vec<_>>().join(" "));
        }
    }
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn joins_by_stretches_answer_what_trying_every_pair_does() {
    let bounds = [
        "s.time >= t.start AND s.time < t.\"end\"",
        "s.time > t.start AND t.\"end\" >= s.time",
        "s.time BETWEEN t.start AND t.\"end\"",
        "t.start <= s.time AND (t.\"end\" IS NULL OR s.time < t.\"end\")",
        "s.time >= t.start AND s.time < coalesce(t.\"end\", TIMESTAMP '2100-01-01T00:00:00Z')",
        "s.time >= t.start AND s.time < t.\"end\" AND (s.value + t.row) % 3 = 0",
        "s.time >= t.start AND s.time + INTERVAL '5 microseconds' < t.\"end\" AND s.value > t.row",
    ];
    let (mut compared, mut by_stretches) = (0, 0);
    for seed in 0..40_u64 {
        let random = &mut Random(seed + 1);
        let (many, more) = (random.below(120) as usize, random.below(400) as usize);
        let (stretches, samples) = (stretches(random, many), samples(random, more));
        let batches = |all: &RecordBatch, size: usize| -> Vec<Vec<RecordBatch>> {
            let parts = (0..all.num_rows()).step_by(size).map(|at| all.slice(at, size.min(all.num_rows() - at)));
            vec![parts.collect()]
        };
        let [stock, ours] = [false, true].map(|by_stretches| {
            let session = session(by_stretches, 1 + (seed % 3) as usize, seed % 2 == 0);
            for (name, all) in [("t", &stretches), ("s", &samples)] {
                let table = MemTable::try_new(all.schema(), batches(all, 50)).unwrap();
                session.register_table(name, Arc::new(table)).unwrap();
            }
            session
        });
        for within in bounds {
            // With the stretches in memory, and with the samples.
            for tables in ["s JOIN t", "t JOIN s", "s LEFT JOIN t", "t LEFT JOIN s"] {
                let sql = format!("SELECT s.value, t.row FROM {tables} ON s.machine = t.machine AND {within}");
                let expected = answer(&stock, &sql).await;
                assert_eq!(answer(&ours, &sql).await, expected, "seed {seed}: {sql}");
                compared += expected.len();
                let plan = answer(&ours, &format!("EXPLAIN {sql}")).await.concat();
                by_stretches += usize::from(plan.contains("IntervalJoinExec"));
            }
        }
    }
    assert!(compared > 50_000 && by_stretches > 400, "{compared} rows, {by_stretches} joins by stretches");
}

#[test]
fn stretches_around_a_moment_are_all_that_there_are() {
    for seed in 0..400_u64 {
        let random = &mut Random(seed + 1);
        let all: Vec<(i64, i64, u32)> = (0..random.below(700) as u32)
            .map(|row| {
                let first = random.below(1_000) as i64;
                let length = [2, 2, 2, 20, 900][random.below(5) as usize];
                (first, first + random.below(length) as i64 - 1, row)
            })
            .collect();
        let stretches = stretches::Stretches::new(all.clone());
        let (mut place, mut from) = (0, 0);
        for _ in 0..200 {
            // Mostly the next moment, sometimes one far away.
            from = if random.below(10) == 0 { random.below(1_000) as i64 } else { from + random.below(6) as i64 };
            let to = from + [0, 0, 0, 7][random.below(4) as usize];
            let mut found = Vec::new();
            stretches.around(from, to, &mut place, &mut found);
            let mut expected: Vec<_> = all.iter().filter(|(first, last, _)| *first <= from && to <= *last).collect();
            expected.sort_unstable();
            assert_eq!(found, expected.into_iter().map(|(_, _, row)| *row).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn samples_are_joined_with_the_step_they_lie_in() {
    let mut rows = good("press", "force", &[(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)]);
    rows.extend(good("press", "step", &[(15, 100.0), (30, 200.0)]));
    let bench = Bench::holding(&rows);
    let sql = "SELECT f.value, t.step FROM samples f JOIN ( \
               SELECT equipment, value AS step, time AS start, lead(time) OVER (PARTITION BY equipment ORDER BY time) AS until \
               FROM samples WHERE signal = 'step') t \
               ON f.equipment = t.equipment AND f.time >= t.start AND (t.until IS NULL OR f.time < t.until) \
               WHERE f.signal = 'force' ORDER BY 1";
    assert_eq!(bench.ask(sql).await, ["2.0 100.0", "3.0 200.0", "4.0 200.0"]);
    let plan = bench.ask(&format!("EXPLAIN {sql}")).await.concat();
    assert!(plan.contains("IntervalJoinExec"), "{plan}");
}
