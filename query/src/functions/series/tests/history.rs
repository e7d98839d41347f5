//! A window's figures are those of a signal's whole history, wherever its samples are stored.

use super::*;

type Aggregate = (&'static str, fn(&Bucket) -> Figure);

pub(super) const AGGREGATES: [Aggregate; 15] = [
    ("interpolative", Bucket::interpolative),
    ("average", Bucket::average),
    ("time_average", Bucket::time_average),
    ("time_average2", Bucket::time_average2),
    ("minimum", Bucket::minimum),
    ("maximum", Bucket::maximum),
    ("count", Bucket::count),
    ("delta", Bucket::delta),
    ("start_value", Bucket::start),
    ("end_value", Bucket::end),
    ("start_bound", Bucket::start_bound),
    ("end_bound", Bucket::end_bound),
    ("duration_good_s", Bucket::duration_good_us),
    ("percent_good", Bucket::percent_good),
    ("counter_delta", Bucket::counter_delta),
];

/// Samples of one signal with gaps, runs that are not Good, texts, and now and then a step of days.
fn random_samples(random: &mut Random, equipment: &'static str, signal: &'static str) -> Vec<Row> {
    let mut at = NEW_YEAR + random.below(3 * HOUR);
    let widest = [20 * SECOND, HOUR, 7 * HOUR][usize::try_from(random.below(3)).unwrap()];
    let flawed = random.below(3) * 20;
    let mut rows = Vec::new();
    for _ in 0..random.below(80) {
        at += 1 + random.below(widest) + if random.below(40) == 0 { random.below(45 * DAY) } else { 0 };
        // Every other one at a full hour, where edges are.
        let at = if random.below(10) == 0 { at - at % HOUR } else { at };
        let value = (random.below(20) != 0).then(|| random.below(200) as f64 / 4.0);
        let quality = match random.below(100) {
            chance if chance < flawed / 2 => Some(0x4000_0000),
            chance if chance < flawed => Some(0x8000_0000),
            99 => None,
            _ => Some(0),
        };
        rows.push((equipment, signal, at, value, quality));
    }
    rows.sort_by_key(|row| row.2);
    rows.dedup_by_key(|row| row.2);
    rows
}

pub(super) fn method(plant: &Plant, rows: &Row, use_uncertain: bool, stepped: Option<bool>) -> Method {
    let declared = plant.signal(rows.0, rows.1);
    Method {
        stepped: stepped.unwrap_or(declared.interpolation == Interpolation::Stepped),
        treat_uncertain_as_bad: !use_uncertain,
        counter: Some(declared.counter),
    }
}

/// The buckets of all samples of one signal that there are.
pub(super) fn buckets(method: Method, rows: &[Row], bounds: &[i64]) -> Vec<Bucket> {
    let mut series = Series::new(method, Edges::new(bounds).unwrap());
    let mut found = Vec::new();
    for row in rows {
        series.push(row.2, row.3, row.4.map_or(Severity::Good, Severity::of)).unwrap();
        found.extend(std::iter::from_fn(|| series.pop()));
    }
    found.extend(series.finish());
    found
}

/// Sums are of the same terms in the same order, so they are the same to the last digit but where a bound was cut.
pub(super) fn assert_same(place: &str, column: &str, row: usize, batch: &RecordBatch, wanted: Figure) {
    let values = batch.column_by_name(column).unwrap().as_any().downcast_ref::<Float64Array>().unwrap();
    let scale = if column == "duration_good_s" { 1e-6 } else { 1.0 };
    let got = values.is_valid(row).then(|| values.value(row));
    let wanted_value = wanted.value.map(|value| value * scale);
    let close = match (got, wanted_value) {
        (Some(got), Some(wanted)) => (got - wanted).abs() <= 1e-12 * wanted.abs(),
        (got, wanted) => got == wanted,
    };
    assert!(close, "{place} {column}: {got:?}, not {wanted_value:?}");
    let base = column.strip_suffix("_value").unwrap_or(column);
    if let Some(statuses) = batch.column_by_name(&format!("{base}_status")) {
        assert_eq!(array_value_to_string(statuses, row).unwrap(), wanted.status.name(), "{place} {column}");
    }
    if let Some(times) = batch.column_by_name(&format!("{base}_time")) {
        let times = times.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap();
        assert_eq!(times.is_valid(row).then(|| times.value(row)), wanted.time_us, "{place} {column}");
    }
}

async fn check_window(bench: &Bench, place: &str, signals: &[Vec<Row>], from: i64, hours: i64, words: &str) {
    let to = from + hours * HOUR;
    let bounds: Vec<i64> = (0..=hours).map(|hour| from + hour * HOUR).collect();
    let sql = format!("SELECT * FROM aggregates('1 hour'{words}) WHERE {}", within(from, to));
    let answer = bench.batches(&sql).await;
    let mut rows = answer.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    let stepped = if words.contains("'stepped'") { Some(true) } else { words.contains("'sloped'").then_some(false) };
    for signal in signals.iter().filter(|signal| signal.first().is_some_and(|first| first.2 < to)) {
        let method = method(bench.engine.plant(), &signal[0], words.contains("use_uncertain"), stepped);
        for bucket in buckets(method, signal, &bounds) {
            let (batch, row) = rows.next().unwrap_or_else(|| panic!("{place}: a row is missing"));
            let text = |name: &str| array_value_to_string(batch.column_by_name(name).unwrap(), row).unwrap();
            let place = format!("{place} {} {} {}", signal[0].0, signal[0].1, text("time"));
            assert_eq!((text("equipment").as_str(), text("signal").as_str()), (signal[0].0, signal[0].1), "{place}");
            assert_eq!(text("time").parse::<jiff::Timestamp>().unwrap().as_microsecond(), bucket.start_us, "{place}");
            assert_eq!(text("end").parse::<jiff::Timestamp>().unwrap().as_microsecond(), bucket.end_us, "{place}");
            for (name, aggregate) in AGGREGATES {
                assert_same(&place, name, row, batch, aggregate(&bucket));
            }
        }
    }
    assert!(rows.next().is_none(), "{place}: a row too many");
}

/// Stores rows in three parts, of which the first was wrong at first, and the last stays in memory.
fn spread(bench: &Bench, random: &mut Random, signals: &[Vec<Row>]) {
    let mut parts: [Vec<Row>; 3] = Default::default();
    for row in signals.iter().flatten() {
        parts[usize::try_from(random.below(3)).unwrap()].push(*row);
    }
    let wrong: Vec<Row> = parts[0].iter().map(|row| (row.0, row.1, row.2, Some(-1e6), Some(0))).collect();
    for part in [&wrong, &parts[1], &parts[0]] {
        if !part.is_empty() {
            bench.put(part);
            bench.store.flush().unwrap();
        }
    }
    if !parts[2].is_empty() {
        bench.put(&parts[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_of_the_whole_history() {
    for seed in 1..=8 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut signals = Vec::new();
        for equipment in ["elsewhere", "site/a", "site/b"] {
            for signal in ["level", "pieces", "speed"] {
                signals.push(random_samples(&mut random, equipment, signal));
            }
        }
        let bench = Bench::new();
        spread(&bench, &mut random, &signals);
        for stored in ["in parts", "merged"] {
            for words in ["", ", 'use_uncertain'", ", 'stepped'", ", 'sloped', 'use_uncertain'"] {
                let from =
                    NEW_YEAR + (random.below(30) - 4) * HOUR * [1, 24][usize::try_from(random.below(2)).unwrap()];
                let hours = 1 + random.below(50);
                let place = format!("seed {seed} {stored} {words} from {from} {hours} h");
                check_window(&bench, &place, &signals, from, hours, words).await;
            }
            bench.store.flush().unwrap();
            bench.store.compact().unwrap();
        }
    }
}

/// What the figures of a window rest on may be as far away as the data goes.
#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_found_however_far_away() {
    for distance in [SECOND, 2 * HOUR, 3 * DAY, 400 * DAY] {
        let (from, to) = (NEW_YEAR, NEW_YEAR + 2 * HOUR);
        let far = good("site/b", "speed", &[(from - distance, 1.0), (to + distance, 5.0)]);
        let bad = [from - distance / 2, to + distance / 2].map(|at| ("site/b", "speed", at, None, Some(0x8000_0000)));
        for flawed in [false, true] {
            let rows: Vec<Row> = if flawed { far.iter().chain(&bad).copied().collect() } else { far.clone() };
            let bench = Bench::holding(&rows);
            for stored in ["in memory", "in a segment"] {
                let mut ordered = rows.clone();
                ordered.sort_by_key(|row| row.2);
                let place = format!("{distance} {flawed} {stored}");
                check_window(&bench, &place, &[ordered], from, 2, "").await;
                bench.store.flush().unwrap();
            }
        }
    }
}
