//! Sums by unit and operation against plain loops over the rows, in random histories with a seed.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};

use crate::fixture::shop::{Shop, Value};
use crate::fixture::{HOUR, NEW_YEAR, Random, SECOND, time};
use crate::series_runs::mark;

const SIGNALS: [&str; 3] = ["force", "level", "speed"];
const EQUIPMENT: [&str; 2] = ["site", "site/a"];

/// A sample as SQL shows it.
struct Sample {
    equipment: String,
    signal: String,
    time: i64,
    value: Option<f64>,
    unit: String,
    operation: String,
}

/// An execution as SQL shows it.
struct Run {
    equipment: String,
    unit: String,
    operation: String,
    started: i64,
}

/// A question: its SQL, and for each sample the groups it counts in, once for each row that a join makes of it.
struct Question {
    sql: &'static str,
    groups: fn(&Sample, &[Run]) -> Vec<String>,
    /// Whether runs can answer it.
    of_runs: bool,
}

const FIGURES: &str = "count(*), count(s.value), sum(s.value), avg(s.value), min(s.value), max(s.value)";

/// As SQL compares: nothing is equal to NULL, which is read as an empty text.
fn same(one: &str, other: &str) -> bool {
    !one.is_empty() && one == other
}

fn on_unit<'a>(sample: &'a Sample, runs: &'a [Run]) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(|run| same(&run.unit, &sample.unit))
}

const QUESTIONS: [Question; 11] = [
    Question {
        sql: "SELECT s.unit, FIGURES FROM samples s WHERE s.signal = 'force' GROUP BY s.unit",
        groups: |sample, _| if sample.signal == "force" { vec![sample.unit.clone()] } else { vec![] },
        of_runs: true,
    },
    Question {
        sql: "SELECT s.operation || '/' || s.equipment, FIGURES FROM samples s
              WHERE s.time >= FROM AND s.time < TO AND s.operation <> 'OP2' GROUP BY 1",
        groups: |sample, _| match sample.operation.as_str() {
            "" | "OP2" => vec![],
            operation if (FROM..TO).contains(&sample.time) => vec![format!("{operation}/{}", sample.equipment)],
            _ => vec![],
        },
        of_runs: true,
    },
    Question {
        sql: "SELECT s.unit, FIGURES FROM operations o JOIN samples s ON s.unit = o.unit AND s.equipment = o.equipment
              WHERE s.signal = 'level' AND o.operation = 'OP1' GROUP BY s.unit",
        groups: |sample, runs| {
            let runs = on_unit(sample, runs).filter(|run| run.equipment == sample.equipment && run.operation == "OP1");
            runs.filter(|_| sample.signal == "level").map(|run| run.unit.clone()).collect()
        },
        of_runs: true,
    },
    Question {
        sql: "SELECT o.operation, FIGURES FROM samples s JOIN operations o ON s.unit = o.unit AND s.operation < o.operation
              GROUP BY o.operation",
        groups: |sample, runs| {
            let later = |run: &&Run| !sample.operation.is_empty() && sample.operation < run.operation;
            on_unit(sample, runs).filter(later).map(|run| run.operation.clone()).collect()
        },
        of_runs: true,
    },
    Question {
        sql: "SELECT coalesce(o.operation, 'none'), FIGURES FROM samples s
              LEFT JOIN operations o ON s.unit = o.unit AND o.operation = 'OP3' WHERE s.signal <> 'speed' GROUP BY 1",
        groups: |sample, runs| {
            let found: Vec<String> = on_unit(sample, runs)
                .filter(|run| run.operation == "OP3")
                .map(|run| run.operation.clone())
                .collect();
            match (sample.signal.as_str(), found.is_empty()) {
                ("speed", _) => vec![],
                (_, true) => vec!["none".to_owned()],
                _ => found,
            }
        },
        of_runs: true,
    },
    Question {
        sql: "SELECT s.signal, FIGURES FROM samples s
              WHERE s.unit IN (SELECT unit FROM operations WHERE operation = 'OP2') GROUP BY s.signal",
        groups: |sample, runs| match on_unit(sample, runs).any(|run| run.operation == "OP2") {
            true => vec![sample.signal.clone()],
            false => vec![],
        },
        of_runs: true,
    },
    Question {
        sql: "SELECT s.equipment, FIGURES FROM samples s
              WHERE NOT EXISTS (SELECT 1 FROM operations o WHERE o.unit = s.unit AND o.operation = 'OP2')
              GROUP BY s.equipment",
        groups: |sample, runs| match on_unit(sample, runs).any(|run| run.operation == "OP2") {
            true => vec![],
            false => vec![sample.equipment.clone()],
        },
        of_runs: true,
    },
    Question {
        sql: "SELECT o.unit || ' ' || CAST(time_bucket('10 minutes', s.time) AS text), FIGURES FROM samples s
              JOIN operations o ON s.unit = o.unit WHERE o.equipment = 'site' GROUP BY o.unit, time_bucket('10 minutes', s.time)",
        groups: |sample, runs| {
            let bucket = sample.time - (sample.time - NEW_YEAR).rem_euclid(600 * SECOND);
            let shown = jiff::Timestamp::from_microsecond(bucket).unwrap();
            let runs = on_unit(sample, runs).filter(|run| run.equipment == "site");
            runs.map(|run| format!("{} {shown}", run.unit)).collect()
        },
        of_runs: true,
    },
    Question {
        sql: "SELECT o.unit, FIGURES FROM samples s JOIN operations o USING (unit, operation) GROUP BY o.unit",
        groups: |sample, runs| {
            let runs = on_unit(sample, runs).filter(|run| same(&run.operation, &sample.operation));
            runs.map(|run| run.unit.clone()).collect()
        },
        of_runs: true,
    },
    // What only rows tell.
    Question {
        sql: "SELECT o.operation, FIGURES FROM samples s JOIN operations o ON s.unit = o.unit AND s.time >= o.started
              GROUP BY o.operation",
        groups: |sample, runs| {
            on_unit(sample, runs).filter(|run| sample.time >= run.started).map(|run| run.operation.clone()).collect()
        },
        of_runs: false,
    },
    Question {
        sql: "SELECT s.operation, FIGURES FROM operations o LEFT JOIN samples s ON s.unit = o.unit AND s.signal = 'force'
              WHERE s.value > 20 GROUP BY s.operation",
        groups: |sample, runs| match sample.signal == "force" && sample.value > Some(20.0) {
            true => on_unit(sample, runs).map(|_| sample.operation.clone()).collect(),
            false => vec![],
        },
        of_runs: false,
    },
];

const FROM: i64 = NEW_YEAR + 1_234 * SECOND;
const TO: i64 = NEW_YEAR + HOUR;

fn figures(values: &[Option<f64>]) -> String {
    let numbers: Vec<f64> = values.iter().flatten().copied().collect();
    let shown = |number: f64| if numbers.is_empty() { String::new() } else { format!("{number:?}") };
    let sum: f64 = numbers.iter().sum();
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let [sum, mean, low, high] = [sum, sum / numbers.len() as f64, low, high].map(shown);
    format!("{} {} {sum} {mean} {low} {high}", values.len(), numbers.len())
}

/// Samples of two hours, late ones too, and executions that begin, end, move and go.
fn fill(shop: &Shop, random: &mut Random) {
    let pick = |random: &mut Random, names: &[&'static str]| {
        names[usize::try_from(random.below(i64::try_from(names.len()).unwrap())).unwrap()]
    };
    let mut clock = NEW_YEAR;
    for round in 0..6 {
        for _ in 0..12 {
            clock += 1;
            shop.at(clock);
            let started = NEW_YEAR + random.below(7_200) * SECOND;
            let run = format!("run {}", random.below(24));
            let unit = ["U1", "U2", "U3", "a unit with a long name"][usize::try_from(random.below(4)).unwrap()];
            let mut fields = vec![
                ("run", Value::Text(&run)),
                ("equipment", Value::Text(pick(random, &EQUIPMENT))),
                ("started", Value::Time(started)),
                ("completed", Value::Time(started + random.below(900) * SECOND)),
                ("operation", Value::Text(pick(random, &["OP1", "OP2", "OP3"]))),
            ];
            if random.below(8) > 0 {
                fields.push(("unit", Value::Text(unit)));
            }
            match random.below(12) {
                0 => shop.retract("operations", &fields[..1]),
                _ => shop.put("operations", &fields),
            };
        }
        for place in EQUIPMENT {
            for signal in SIGNALS {
                let mut rows = Vec::new();
                let mut at = NEW_YEAR + random.below(3_600) * SECOND;
                // Some payloads name their unit themselves.
                let named = random.below(4) == 0;
                for _ in 0..random.below(300) {
                    at += 1 + random.below(20 * SECOND);
                    let value = match random.below(20) {
                        0 => Value::Null,
                        // Eighths add up exactly in any order.
                        _ => Value::Number(random.below(400) as f64 / 8.0 - 10.0),
                    };
                    let mut fields = vec![
                        ("equipment", Value::Text(place)),
                        ("signal", Value::Text(signal)),
                        ("time", Value::Time(at)),
                        ("value", value),
                    ];
                    if named {
                        let unit = if random.below(3) == 0 { "U9" } else { "U1" };
                        fields.extend([("unit", Value::Text(unit)), ("key_source", Value::Text("explicit"))]);
                    }
                    rows.push(fields);
                }
                let rows: Vec<&[(&str, Value<'_>)]> = rows.iter().map(Vec::as_slice).collect();
                if !rows.is_empty() {
                    clock += 1;
                    shop.at(clock);
                    shop.put_all("samples", &rows);
                }
            }
        }
        match (round, random.below(3)) {
            (5, _) => {}
            (_, 0) => drop(shop.store.compact().unwrap()),
            _ => shop.store.flush().unwrap(),
        }
    }
}

/// Texts between bars, NULL as nothing, as the rows of one column.
async fn rows(shop: &Shop, columns: &[&str], from: &str) -> Vec<Vec<String>> {
    let column = |name: &&str| format!("coalesce(CAST({name} AS text), '')");
    let joined = columns.iter().map(column).collect::<Vec<_>>().join(" || '|' || ");
    let rows = shop.ask(None, &format!("SELECT {joined} FROM {from}")).await;
    rows.iter().map(|row| row.split('|').map(str::to_owned).collect()).collect()
}

fn micros(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_runs_are_those_of_the_rows() {
    for seed in 1..=8 {
        let shop = Shop::new();
        fill(&shop, &mut Random(0x9E37_79B9 * seed));
        let columns = ["equipment", "signal", "time", "value", "unit", "operation"];
        let samples: Vec<Sample> = rows(&shop, &columns, "samples")
            .await
            .into_iter()
            .map(|row| {
                let [equipment, signal, at, value, unit, operation] = row.try_into().unwrap();
                Sample { equipment, signal, time: micros(&at), value: value.parse().ok(), unit, operation }
            })
            .collect();
        let runs = rows(&shop, &["equipment", "unit", "operation", "started"], "operations")
            .await
            .into_iter()
            .map(|row| {
                let [equipment, unit, operation, started] = row.try_into().unwrap();
                Run { equipment, unit, operation, started: micros(&started) }
            })
            .collect::<Vec<_>>();
        assert!(
            samples.iter().any(|sample| sample.unit.is_empty()) && samples.iter().any(|sample| sample.unit == "U9")
        );
        for question in QUESTIONS {
            let mut expected: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
            for sample in &samples {
                for group in (question.groups)(sample, &runs) {
                    expected.entry(group).or_default().push(sample.value);
                }
            }
            let mut expected: Vec<String> =
                expected.into_iter().map(|(group, values)| format!("{group} {}", figures(&values))).collect();
            let sql = question.sql.replace("FIGURES", FIGURES).replace("FROM AND", &format!("{} AND", time(FROM)));
            let sql = sql.replace("< TO", &format!("< {}", time(TO)));
            let mut found = shop.ask(None, &sql).await;
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "seed {seed}: {sql}");
            let plan = shop.ask(None, &format!("EXPLAIN {sql}")).await.join("\n");
            assert_eq!(plan.contains("SeriesRunsExec"), question.of_runs, "{plan}");
        }
    }
}

/// What does not hang on how often a row comes is asked of runs as well.
#[tokio::test(flavor = "multi_thread")]
async fn extremes_of_the_other_side_stay_as_they_are() {
    let shop = Shop::new();
    fill(&shop, &mut Random(77));
    let of = |value: &str, more: &str| {
        format!(
            "SELECT o.unit, min(o.started), max(s.signal), avg({value}){more} FROM samples s
             JOIN operations o ON s.unit = o.unit WHERE s.equipment = 'site' GROUP BY o.unit ORDER BY o.unit"
        )
    };
    let (of_runs, of_rows) = (of("s.value", ""), of("s.value + 0", ""));
    let plan = async |sql: &str| shop.ask(None, &format!("EXPLAIN {sql}")).await.join("\n");
    assert!(plan(&of_runs).await.contains("SeriesRunsExec"));
    assert!(!plan(&of_rows).await.contains("SeriesRunsExec"));
    let found = shop.ask(None, &of_runs).await;
    assert!(found.len() > 2);
    assert_eq!(found, shop.ask(None, &of_rows).await);
    // How often an execution comes does hang on it.
    assert!(!plan(&of("s.value", ", count(o.started)")).await.contains("SeriesRunsExec"));
}

/// A join tells the scan which units it is about: their runs are read, and of pages only those that can hold them.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_narrows_what_is_read() {
    let shop = Shop::new();
    fill(&shop, &mut Random(5));
    shop.store.compact().unwrap();
    let sql = "SELECT count(*) FROM samples s JOIN operations o ON s.unit = o.unit
               WHERE s.signal = 'force' AND o.run = 'run 3'";
    let plan = shop.ask(None, &format!("EXPLAIN ANALYZE {sql}")).await.join("\n");
    let scan = plan.lines().find(|line| line.contains("SeriesScanExec")).unwrap_or_else(|| panic!("{plan}"));
    let rows: i64 = shop.ask(None, sql).await[0].parse().unwrap();
    assert!(scan.contains("DynamicFilter"), "{scan}");
    assert!(rows > 0 && scan.contains(&format!("output_rows={rows},")), "{rows} rows: {scan}");
}

/// Files that are read as a whole are told the times that are wanted, and told once.
#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_time_reach_whole_files() {
    let shop = Shop::new();
    fill(&shop, &mut Random(5));
    shop.store.compact().unwrap();
    let sql = "SELECT unit, avg(value) FROM samples WHERE unit LIKE 'U%' AND time > '2020-01-01 00:00Z' GROUP BY unit";
    let plan = shop.ask(None, &format!("EXPLAIN {sql}")).await.join("\n");
    let (runs, scan) = plan.split_once("SeriesRunsExec").unwrap_or_else(|| panic!("{plan}"));
    assert!(!runs.contains("FilterExec: time"), "{plan}");
    let predicate = scan.split_once(", predicate=").and_then(|(_, rest)| rest.split(", ").next());
    assert_eq!(predicate.map(|predicate| predicate.matches("time@").count()), Some(1), "{plan}");
}

#[test]
fn an_empty_text_begins_another_run_than_none() {
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("a"), None, None, Some(""), Some("")]));
    let mut begins = vec![false; 6];
    mark(&mut begins, &texts).unwrap();
    assert_eq!(begins, [false, false, true, false, true, false]);
}
