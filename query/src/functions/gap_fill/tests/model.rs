//! A second, slow way to the same answer: edges by walking the calendar, rows by looking at all of them.

use jiff::civil::{Date, date};
use jiff::{Span, Timestamp, ToSpan};

use super::*;

/// Widths, as SQL and as steps.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Parts of a local day, microseconds.
    Part(i64),
    /// Whole local days from a Monday on.
    Days(i32),
    Months(i32),
    /// Microseconds from that Monday on, through midnights.
    Through(i64),
}

const WIDTHS: [(&str, Step); 9] = [
    ("20 minutes", Step::Part(20 * MINUTE)),
    ("1 hour", Step::Part(HOUR)),
    ("12 hours", Step::Part(12 * HOUR)),
    ("5 hours", Step::Through(5 * HOUR)),
    ("1 day", Step::Days(1)),
    ("3 days", Step::Days(3)),
    ("1 week", Step::Days(7)),
    ("1 month", Step::Months(1)),
    ("2 months", Step::Months(2)),
];

const MONDAY: Date = date(2000, 1, 3);

fn midnight(day: Date, zone: &TimeZone) -> i64 {
    day.to_zoned(zone.clone()).unwrap().timestamp().as_microsecond()
}

/// All edges from well before 2025 until well after.
fn edges(step: Step, zone: &TimeZone) -> Vec<i64> {
    let days = |from: Date, span: Span| {
        let mut day = from;
        let mut edges = Vec::new();
        while day.year() < 2027 {
            edges.push(day);
            day = day.checked_add(span).unwrap();
        }
        edges
    };
    match step {
        Step::Days(count) => days(MONDAY, count.days()).into_iter().map(|day| midnight(day, zone)).collect(),
        Step::Months(count) => {
            days(date(2000, 1, 1), count.months()).into_iter().map(|day| midnight(day, zone)).collect()
        }
        Step::Through(us) => {
            let from = midnight(MONDAY, &TimeZone::UTC);
            (0..).map(|n| from + n * us).take_while(|edge| *edge < NEW_YEAR + 700 * DAY).collect()
        }
        Step::Part(us) => {
            let days = days(date(2024, 12, 1), 1.day());
            let parts = days.windows(2).flat_map(|pair| {
                let (from, to) = (midnight(pair[0], zone), midnight(pair[1], zone));
                (from..to).step_by(usize::try_from(us).unwrap()).collect::<Vec<_>>()
            });
            parts.collect()
        }
    }
}

/// `signal, bucket, count, mean, held, line` of each bucket of each signal, NULL as nothing.
type Answer = Vec<(String, i64, Option<i64>, [Option<f64>; 3])>;

fn expected(rows: &[Row], edges: &[i64], (from, to): (i64, i64)) -> Answer {
    let inside: Vec<&Row> = rows.iter().filter(|row| from <= row.2 && row.2 < to).collect();
    let mut signals: Vec<&str> = inside.iter().map(|row| row.1).collect();
    signals.sort_unstable();
    signals.dedup();
    let mut answer = Vec::new();
    for signal in signals {
        let buckets: Vec<(i64, i64)> =
            edges.windows(2).map(|pair| (pair[0], pair[1])).filter(|(start, end)| *start < to && from < *end).collect();
        let of = |(start, end): (i64, i64)| -> Vec<&&Row> {
            inside.iter().filter(|row| row.1 == signal && start <= row.2 && row.2 < end).collect()
        };
        let means: Vec<Option<f64>> = buckets
            .iter()
            .map(|bucket| {
                let values: Vec<f64> = of(*bucket).iter().filter_map(|row| row.3).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            })
            .collect();
        for (place, bucket) in buckets.iter().enumerate() {
            let count = i64::try_from(of(*bucket).len()).unwrap();
            let before = (0..=place).rev().find(|at| means[*at].is_some());
            let after = (place..buckets.len()).find(|at| means[*at].is_some());
            let line = before.zip(after).map(|(before, after)| {
                let (from, to) = (means[before].unwrap(), means[after].unwrap());
                let part = (bucket.0 - buckets[before].0) as f64 / (buckets[after].0 - buckets[before].0).max(1) as f64;
                from * (1.0 - part) + to * part
            });
            let held = before.and_then(|at| means[at]);
            answer.push((signal.to_owned(), bucket.0, (count > 0).then_some(count), [means[place], held, line]));
        }
    }
    answer
}

/// With batches of that many rows, so that series and gaps go on from one to the next.
async fn found(bench: &Bench, batch_rows: usize, sql: &str) -> Answer {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
    let mut answer = Vec::new();
    let session = bench.engine.session("test");
    let state = session.context().state_ref();
    let size = batch_rows.to_string();
    state.write().config_mut().options_mut().set("datafusion.execution.batch_size", &size).unwrap();
    for batch in session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")) {
        let signals = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        for row in 0..batch.num_rows() {
            let double = |place: usize| {
                let column = batch.column(place).as_primitive::<Float64Type>();
                column.is_valid(row).then(|| column.value(row))
            };
            let count = batch.column(2).as_primitive::<Int64Type>();
            answer.push((
                signals.as_string::<i32>().value(row).to_owned(),
                batch.column(1).as_primitive::<TimestampMicrosecondType>().value(row),
                count.is_valid(row).then(|| count.value(row)),
                [double(3), double(4), double(5)],
            ));
        }
    }
    answer
}

/// Samples with gaps of any length, some of them without a number.
fn random_rows(random: &mut Random, from: i64, to: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    for signal in ["force", "level", "speed", "torque"] {
        let widest = [HOUR, 9 * HOUR, 5 * DAY][usize::try_from(random.below(3)).unwrap()];
        let mut at = from - random.below(DAY) + random.below(4 * DAY);
        while at < to + DAY && rows.len() < 4_000 {
            let value = (random.below(8) != 0).then(|| random.below(4_000) as f64 / 16.0 - 100.0);
            rows.push(("site/a", signal, at, value, Some(0)));
            at += 1 + random.below(widest);
            if random.below(3) == 0 {
                at -= at % HOUR;
                at += HOUR;
            }
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_that_of_the_model() {
    let mut checked = 0;
    let mut filled = 0;
    for seed in 1..=60_u64 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut below = |limit: usize| usize::try_from(random.below(i64::try_from(limit).unwrap())).unwrap();
        let (width, step) = WIDTHS[below(WIDTHS.len())];
        let zone = ["Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"][below(5)];
        // Around the days on which clocks change, and elsewhere.
        let around =
            ["2025-03-30T00:00:00Z", "2025-10-26T00:00:00Z", "2025-11-02T00:00:00Z", "2025-06-15T00:00:00Z"][below(4)];
        let around = around.parse::<Timestamp>().unwrap().as_microsecond();
        let long = if matches!(step, Step::Part(_) | Step::Through(_)) { 9 } else { 90 };
        let from = around - random.below(long * DAY);
        let to = around + random.below(long * DAY);
        let rows = random_rows(&mut random, from, to);
        // A batch of two rows that wait for their turn counts as much memory as all the groups it was cut from.
        let parallelism = 1 + usize::try_from(seed % 3).unwrap();
        let bench = Bench::with(Limits { parallelism, memory_bytes: 64 << 30, ..Limits::default() });
        bench.put(&rows);
        let sql = format!(
            "SELECT signal, time_bucket_gapfill('{width}', time, '{zone}'), count(*), avg(value), locf(avg(value)), \
             interpolate(avg(value)) FROM samples WHERE {} GROUP BY 1, 2 ORDER BY 1, 2",
            within(from, to)
        );
        let wanted = expected(&rows, &edges(step, &TimeZone::get(zone).unwrap()), (from, to));
        let batch_rows = [2, 7, 64, 8_192][usize::try_from(random.below(4)).unwrap()];
        let got = found(&bench, batch_rows, &sql).await;
        assert_eq!(got.len(), wanted.len(), "seed {seed}: {sql}");
        for (got, wanted) in got.iter().zip(&wanted) {
            assert_eq!((&got.0, got.1, got.2), (&wanted.0, wanted.1, wanted.2), "seed {seed}: {sql}");
            for (got, wanted) in got.3.iter().zip(&wanted.3) {
                let close = got.zip(*wanted).is_none_or(|(got, wanted)| (got - wanted).abs() < 1e-9);
                assert!(got.is_some() == wanted.is_some() && close, "seed {seed}: {got:?}, not {wanted:?}: {sql}");
            }
            checked += 1;
            filled += usize::from(got.2.is_none() && got.3[2].is_some());
        }
    }
    assert!(checked > 5_000 && filled > 500, "{checked} {filled}");
}
