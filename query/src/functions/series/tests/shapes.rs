//! What each function gives, and what it refuses.

use super::*;

/// Equipment `site/b`, one value a minute from `from` on.
fn minutes(signal: &'static str, from: i64, values: &[f64]) -> Vec<Row> {
    let at = |place: usize| from + i64::try_from(place).unwrap() * 60 * SECOND;
    values.iter().enumerate().map(|(place, &value)| ("site/b", signal, at(place), Some(value), Some(0))).collect()
}

#[tokio::test]
async fn a_time_weighted_average_is_stepped_or_sloped() {
    let rows = [
        good("site/b", "level", &[(NEW_YEAR, 0.0), (NEW_YEAR + HOUR / 4, 10.0), (NEW_YEAR + HOUR, 10.0)]),
        good("site/b", "speed", &[(NEW_YEAR, 0.0), (NEW_YEAR + HOUR / 2, 10.0), (NEW_YEAR + HOUR, 10.0)]),
    ];
    let bench = Bench::holding(&rows.concat());
    let window = within(NEW_YEAR, NEW_YEAR + HOUR);
    let ask = async |words: &str| {
        let call = format!("time_weighted_avg('1 hour'{words})");
        bench.ask(&format!("SELECT signal, value, status, percent_good FROM {call} WHERE {window}")).await
    };
    // As the plant declares them, and as the call says.
    assert_eq!(ask("").await, ["level 7.5 Good 100.0", "speed 7.5 Good 100.0"]);
    assert_eq!(ask(", 'stepped'").await, ["level 7.5 Good 100.0", "speed 5.0 Good 100.0"]);
    assert_eq!(ask(", 'sloped'").await, ["level 8.75 Good 100.0", "speed 7.5 Good 100.0"]);
}

#[tokio::test]
async fn interpolation_is_at_the_instants_of_the_grid() {
    let bench = Bench::holding(&good("site/b", "speed", &[(NEW_YEAR, 0.0), (NEW_YEAR + HOUR, 60.0)]));
    let ask = async |from: i64, to: i64| {
        let window = within(NEW_YEAR + from * SECOND, NEW_YEAR + to * SECOND);
        bench.ask(&format!("SELECT time, value, status FROM interpolate('1 minute') WHERE {window}")).await
    };
    let rows = ["2025-01-01T00:10:00Z 10.0 Good", "2025-01-01T00:11:00Z 11.0 Good"];
    assert_eq!(ask(600, 720).await, rows);
    assert_eq!(ask(570, 720).await, rows);
    assert_eq!(ask(600, 661).await, rows);
    assert_eq!(ask(601, 661).await, rows[1..]);
    assert!(ask(601, 659).await.is_empty());
    // The last value is held, before the first there is none.
    assert_eq!(ask(3_600, 3_660).await, ["2025-01-01T01:00:00Z 60.0 Good"]);
    assert_eq!(ask(3_660, 3_720).await, ["2025-01-01T01:01:00Z 60.0 Uncertain"]);
    assert_eq!(ask(-60, 1).await, ["2024-12-31T23:59:00Z  BadNoData", "2025-01-01T00:00:00Z 0.0 Good"]);
}

#[tokio::test]
async fn a_signal_without_samples_before_the_end_is_left_out() {
    let bench = Bench::holding(&good("site/b", "speed", &[(NEW_YEAR, 5.0)]));
    let ask = async |from: i64| {
        let window = within(NEW_YEAR + from, NEW_YEAR + from + HOUR);
        bench.ask(&format!("SELECT time_average2, time_average2_status FROM aggregates() WHERE {window}")).await
    };
    assert_eq!(ask(500 * HOUR).await, ["5.0 Uncertain"]);
    assert!(ask(-HOUR).await.is_empty());
}

/// In Berlin the clocks go forward on 30 March 2025 and back on 26 October.
#[tokio::test]
async fn days_follow_the_clocks() {
    let bench = Bench::holding(&good("site/a", "speed", &[(NEW_YEAR, 5.0)]));
    for (from, to, hours) in [("2025-03-30", "2025-03-31", 23), ("2025-10-26", "2025-10-27", 25)] {
        let window = format!("time >= '{from} 00:00' AND time < '{to} 00:00' AND equipment = 'site/a'");
        let session = bench.engine.session("test");
        session.set_time_zone(oee::bucket::zone("Europe/Berlin").unwrap());
        let count = |rows: Vec<RecordBatch>| rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        let ask = async |function: &str| {
            count(session.query(&format!("SELECT time FROM {function} WHERE {window}")).await.unwrap())
        };
        assert_eq!(ask("aggregates('1 hour')").await, hours);
        assert_eq!(ask("interpolate('1 hour')").await, hours);
        assert_eq!(ask("aggregates('1 day')").await, 1);
    }
    let days = "SELECT time, \"end\", production_day, shift FROM aggregates('day', '2025-01-02T00:00:00Z', \
                '2025-01-03T00:00:00Z') WHERE equipment = 'site/a'";
    assert_eq!(
        bench.ask(days).await,
        [
            "2025-01-02T00:00:00Z 2025-01-02T05:00:00Z 2025-01-01 ",
            "2025-01-02T05:00:00Z 2025-01-03T00:00:00Z 2025-01-02 "
        ]
    );
    let shifts = "SELECT shift, production_day FROM counter_delta('shift', '2025-01-02', '2025-01-03')";
    assert!(bench.refusal(shifts).await.to_string().contains("shift"));
    let shifts = "SELECT shift, time FROM aggregates('shift', '2025-01-02', '2025-01-03') WHERE shift IS NOT NULL";
    assert_eq!(bench.ask(shifts).await, ["early 2025-01-02T05:00:00Z"]);
}

#[tokio::test]
async fn a_counter_counts_by_its_rule() {
    let values = [(NEW_YEAR - HOUR, 97.0), (NEW_YEAR, 99.0), (NEW_YEAR + 1, 2.0), (NEW_YEAR + HOUR, 5.0)];
    let rows = [good("site/a", "pieces", &values), good("site/b", "pieces", &values)];
    let bench = Bench::holding(&rows.concat());
    let window = within(NEW_YEAR, NEW_YEAR + 2 * HOUR);
    let sql = format!("SELECT equipment, value, status FROM counter_delta('1 hour') WHERE {window}");
    // 97 to 99, then over 100 to 2; where no modulus is known, to 0 and to 2.
    let expected = ["site/a 5.0 Good", "site/a 3.0 Good", "site/b 4.0 Good", "site/b 3.0 Good"];
    assert_eq!(bench.ask(&sql).await, expected);
    let sql = format!("SELECT equipment, counter_delta, counter_delta_status FROM aggregates('1 hour') WHERE {window}");
    assert_eq!(bench.ask(&sql).await, expected);
}

#[tokio::test]
async fn a_trend_has_the_samples_that_draw_the_line() {
    let values: Vec<f64> = (0..600).map(|n| f64::from((n * 7_919) % 1_000)).collect();
    let bench = Bench::holding(&minutes("speed", NEW_YEAR, &values));
    let whole = within(NEW_YEAR, NEW_YEAR + 10 * HOUR);
    let got = bench.ask(&format!("SELECT time, value FROM trend(7) WHERE {whole}")).await;
    let mut expected: Vec<String> = Vec::new();
    for part in 0..7 {
        let edge = |part: i64| 10 * HOUR * part / 7;
        let inside = |at: &i64| edge(part) <= *at && *at < edge(part + 1);
        let points: Vec<(i64, f64)> =
            (0..600).map(|n| n * 60 * SECOND).zip(values.iter().copied()).filter(|(at, _)| inside(at)).collect();
        let low = points.iter().copied().reduce(|one, two| if two.1 < one.1 { two } else { one }).unwrap();
        let high = points.iter().copied().reduce(|one, two| if two.1 > one.1 { two } else { one }).unwrap();
        let mut four = vec![points[0], low, high, *points.last().unwrap()];
        four.sort_by_key(|point| point.0);
        four.dedup_by_key(|point| point.0);
        let text = |(at, value): (i64, f64)| format!("{} {value:?}", ::oee::calendar::timestamp(NEW_YEAR + at));
        expected.extend(four.into_iter().map(text));
    }
    assert_eq!(got, expected);
    // More parts than microseconds, and more than samples.
    assert_eq!(
        bench.ask(&format!("SELECT * FROM trend(1000) WHERE {}", within(NEW_YEAR, NEW_YEAR + 5))).await.len(),
        1
    );
    assert_eq!(bench.ask(&format!("SELECT count(*) FROM trend(100000) WHERE {whole}")).await, ["600"]);
    assert_eq!(bench.ask(&format!("SELECT count(*) FROM trend(1) WHERE {whole}")).await, ["3"]);
}

#[tokio::test]
async fn uncertain_samples_are_left_out_unless_they_are_asked_for() {
    let mut rows = minutes("speed", NEW_YEAR, &[1.0, 9.0, 5.0]);
    rows[1].4 = Some(0x4000_0000);
    let bench = Bench::holding(&rows);
    let window = within(NEW_YEAR, NEW_YEAR + 3 * 60 * SECOND);
    for (words, points) in [("", "2"), (", 'use_uncertain'", "3")] {
        let sql = format!("SELECT count(*) FROM trend(1{words}) WHERE {window}");
        assert_eq!(bench.ask(&sql).await, [points]);
    }
    let at = within(NEW_YEAR + 60 * SECOND, NEW_YEAR + 120 * SECOND);
    for (words, value) in [("", "3.0 Uncertain"), (", 'use_uncertain'", "9.0 Uncertain")] {
        let sql = format!("SELECT value, status FROM interpolate('1 minute'{words}) WHERE {at}");
        assert_eq!(bench.ask(&sql).await, [value]);
    }
}

#[tokio::test]
async fn an_as_of_join_takes_what_was_in_force() {
    let mut rows = [
        good("site/a", "force", &[(NEW_YEAR + 10, 1.0), (NEW_YEAR + 20, 2.0), (NEW_YEAR + 30, 3.0)]),
        good("site/a", "speed", &[(NEW_YEAR - 50 * DAY, 7.0), (NEW_YEAR + 20, 8.0), (NEW_YEAR + 29, 9.0)]),
        good("site/b", "force", &[(NEW_YEAR + 5, 4.0)]),
        good("site/b", "speed", &[(NEW_YEAR + 6, 5.0)]),
        good("site/c", "speed", &[(NEW_YEAR + 6, 5.0)]),
        good("site/d", "force", &[(NEW_YEAR + 1, 6.0)]),
    ]
    .concat();
    rows.push(("site/a", "heat", NEW_YEAR + 15, None, Some(0)));
    let bench = Bench::holding(&rows);
    let window = within(NEW_YEAR, NEW_YEAR + 100);
    let sql = format!(
        "SELECT equipment, value, status, other, date_part('microsecond', other_time)::bigint AS us, other_value, \
         other_status FROM asof_join('force', 'speed', 'heat') WHERE {window}"
    );
    let expected = [
        "site/a 1.0 Good speed 0 7.0 Good",
        "site/a 1.0 Good heat   ",
        "site/a 2.0 Good speed 20 8.0 Good",
        "site/a 2.0 Good heat 15  Bad",
        "site/a 3.0 Good speed 29 9.0 Good",
        "site/a 3.0 Good heat 15  Bad",
        "site/b 4.0 Good speed   ",
        "site/b 4.0 Good heat   ",
        "site/d 6.0 Good speed   ",
        "site/d 6.0 Good heat   ",
    ];
    for _ in 0..2 {
        assert_eq!(bench.ask(&sql).await, expected);
        assert_eq!(bench.ask(&format!("{sql} AND equipment = 'site/a' AND other = 'heat'")).await.len(), 3);
        bench.store.flush().unwrap();
    }
    assert!(bench.ask(&sql.replace("'force'", "'nothing'")).await.is_empty());
}

/// More samples than one batch holds, of several equipment, against a search for each of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_as_of_join_is_the_same_as_a_search() {
    let mut rows: Vec<Row> = Vec::new();
    for equipment in ["site/a", "site/b"] {
        let times = |step: i64| move |n: i64| NEW_YEAR + n * step;
        rows.extend((0..20_000).map(times(7)).map(|at| (equipment, "force", at, Some((at % 1_000) as f64), Some(0))));
        rows.extend((0..9_000).map(times(11)).map(|at| (equipment, "speed", at, Some((at % 777) as f64), Some(0))));
    }
    let bench = Bench::holding(&rows);
    let window = within(NEW_YEAR, NEW_YEAR + HOUR);
    let sql = format!("SELECT * FROM asof_join('force', 'speed') WHERE {window}");
    for _ in 0..2 {
        let batches = bench.batches(&sql).await;
        assert!(batches.len() > 1);
        let mut checked = 0;
        for batch in batches {
            let times = |name: &str| {
                let column = batch.column_by_name(name).unwrap();
                column.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap().clone()
            };
            for (time, other) in times("time").iter().zip(times("other_time").iter()) {
                let passed = time.unwrap() - NEW_YEAR;
                assert_eq!(other, Some(NEW_YEAR + (passed - passed % 11).min(8_999 * 11)));
                checked += 1;
            }
        }
        assert_eq!(checked, 40_000);
        bench.store.flush().unwrap();
    }
}

#[tokio::test]
async fn names_in_where_leave_out_the_others() {
    let rows: Vec<Row> = ["site/a", "site/b", "site/bc"]
        .into_iter()
        .flat_map(|equipment| ["speed", "force"].map(|signal| (equipment, signal, NEW_YEAR, Some(1.0), Some(0))))
        .collect();
    let bench = Bench::holding(&rows);
    for (condition, count) in [
        ("true", "6"),
        ("equipment LIKE 'site/b%'", "4"),
        ("equipment = 'site/b' AND signal = 'force'", "1"),
        ("signal IN ('force', 'none')", "3"),
        ("equipment || signal = 'site/aspeed'", "1"),
        ("signal = 'none'", "0"),
        ("(equipment = 'site/a' OR \"end\" IS NULL)", "2"),
    ] {
        for call in ["aggregates('1 hour')", "trend(5)", "interpolate('1 hour')"] {
            if call.starts_with("aggregates") || !condition.contains("end") {
                let window = within(NEW_YEAR, NEW_YEAR + HOUR);
                let sql = format!("SELECT count(*) FROM {call} WHERE {window} AND {condition}");
                assert_eq!(bench.ask(&sql).await, [count], "{sql}");
            }
        }
    }
}

#[tokio::test]
async fn rows_come_in_order_and_are_not_sorted_again() {
    let bench = Bench::holding(&minutes("speed", NEW_YEAR, &[1.0, 2.0]));
    let window = within(NEW_YEAR, NEW_YEAR + HOUR);
    let plan = async |order: &str, names: &str| {
        let sql = format!("EXPLAIN SELECT * FROM aggregates('1 hour') WHERE {window} {names} ORDER BY {order}");
        bench.ask(&sql).await.concat()
    };
    assert!(!plan("equipment, signal, time", "").await.contains("SortExec"));
    assert!(!plan("time", "AND equipment = 'site/b' AND signal = 'speed'").await.contains("SortExec"));
    assert!(plan("time", "").await.contains("SortExec"));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_remedy() {
    let bench = Bench::holding(&minutes("speed", NEW_YEAR, &[1.0]));
    for (sql, words) in [
        ("SELECT * FROM aggregates('1 hour')", "add WHERE time >= … to the query, or write aggregates('1 hour', from"),
        ("SELECT * FROM trend(10) WHERE time < now()", "or write trend(1000, from, to)"),
        ("SELECT * FROM asof_join('a', 'b')", "or write asof_join('signal_a', 'signal_b', from, to)"),
        ("SELECT * FROM interpolate('1 second', '2000-01-01', '2025-01-01')", "at most 1000000 are made"),
        ("SELECT * FROM counter_delta('1 us') WHERE time > '2025-01-01'", "write a wider bucket or a shorter window"),
        ("SELECT * FROM interpolate('shift', '2025-01-01', '2025-01-02')", "not a bucket width"),
        ("SELECT * FROM aggregates('1 hour', stepped => true)", "stepped => true"),
    ] {
        let refused = bench.refusal(sql).await;
        assert!(refused.is_callers(), "{sql}: {refused}");
        assert!(refused.to_string().contains(words), "{sql}: {refused}");
    }
}

/// Buckets that wait for the end of a gap count as memory of the query.
#[tokio::test]
async fn a_long_gap_needs_memory() {
    let day = good("site/b", "speed", &[(NEW_YEAR, 1.0), (NEW_YEAR + DAY - 1, 2.0)]);
    let sql = format!("SELECT count(*) FROM interpolate('1 second') WHERE {}", within(NEW_YEAR, NEW_YEAR + DAY));
    let bench = Bench::holding(&day);
    assert_eq!(bench.ask(&sql).await, ["86400"]);
    assert_eq!(bench.engine.memory_used(), 0);
    let bench = Bench::with(Limits { memory_bytes: 32 << 20, ..Limits::default() });
    bench.put(&day);
    let refused = bench.refusal(&sql).await;
    assert!(matches!(refused, QueryError::Memory(_)), "{refused}");
}

/// The examples of the document run as they stand, and all columns are in it.
#[tokio::test]
async fn the_document_says_what_the_functions_do() {
    const DOCUMENT: &str = include_str!("../../../../../docs/sql.md");
    let bench = Bench::holding(&minutes("speed", NEW_YEAR, &[1.0]));
    for function in Function::ALL {
        let name = function.name();
        let (_, section) =
            DOCUMENT.split_once(&format!("\n### {name}(")).unwrap_or_else(|| panic!("no section {name}"));
        let section = section.split("\n### ").next().unwrap();
        // Functions on machines, units and measurements read more than the samples that are here.
        let on_signals = function.names().contains(&"signal") || function == Function::AsofJoin;
        if on_signals {
            let (_, example) = section.split_once("```sql\n").unwrap_or_else(|| panic!("no example of {name}"));
            let example = example.split("```").next().unwrap();
            assert!(example.contains(&format!("FROM {name}(")), "{example}");
            bench.ask(example).await;
        }
        let same_columns = match function {
            Function::OeeLive => Some(("with the columns of `oee`", Function::Oee)),
            Function::TraceForward => Some(("words and columns are the same", Function::TraceBack)),
            _ => None,
        };
        if let Some((said, other)) = same_columns {
            assert!(section.contains(said) && function.schema() == other.schema(), "{name}");
            continue;
        }
        for field in function.schema().fields() {
            let column = field.name().as_str();
            let base = column.strip_suffix("_status").or_else(|| column.strip_suffix("_time")).unwrap_or(column);
            let said = [column, base, &format!("{base}_value")].map(|name| section.contains(&format!("`{name}`")));
            assert!(said.contains(&true), "{name} says nothing of {column}");
        }
    }
}
