#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use crate::fixture::*;

/// Samples in three files: of two machines one a second and half as many, and few that lie beside them too.
fn bench() -> Bench {
    let bench = Bench::new();
    for part in 0..3 {
        let of = |signal, step: i64| {
            let seconds = (0..6_000).map(move |second| 3 * second + part).filter(move |second| second % step == 0);
            seconds.map(move |second| ("site/a", signal, NEW_YEAR + second * SECOND, Some(second as f64), Some(0)))
        };
        let few = of("few", 1_000).map(|row| (row.0, row.1, row.2 + i64::from(row.3 < Some(9_000.0)), row.3, row.4));
        let beside = of("many", 2).map(|row| ("site/b", row.1, row.2, row.3, row.4));
        bench.put(&of("many", 1).chain(few).chain(beside).collect::<Vec<_>>());
        bench.store.flush().unwrap();
    }
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_join_has_not_found_is_asked_of_its_own_side() {
    let bench = bench();
    let few = "(SELECT time FROM samples WHERE signal = 'few')";
    let many = "(SELECT time FROM samples WHERE signal = 'many')";
    let missed = bench.ask(&format!("SELECT count(*) FROM {few} WHERE time NOT IN {many}")).await;
    for sides in [format!("{many} AS m RIGHT JOIN {few} AS f"), format!("{few} AS f LEFT JOIN {many} AS m")] {
        let sql = format!("SELECT count(*) FROM {sides} ON m.time = f.time WHERE m.time IS NULL");
        assert_eq!(bench.ask(&sql).await, missed, "{sql}");
    }
    assert!(missed != ["0"] && missed != ["18"], "{missed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_group_of_a_grouping_set_comes_once() {
    let bench = bench();
    let groups = async |by: &str| -> usize {
        let found = bench
            .ask(&format!("SELECT count(*) FROM (SELECT count(*) FROM samples WHERE signal = 'many' GROUP BY {by})"))
            .await;
        found[0].parse().unwrap()
    };
    let second = "date_trunc('second', time)";
    let expected = groups(&format!("{second}, equipment")).await + groups(second).await + 1;
    assert_eq!(groups(&format!("ROLLUP ({second}, equipment)")).await, expected);
    assert_eq!(expected, 27_000 + 18_000 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_sees_all_rows_however_few_are_asked_for() {
    let bench = bench();
    let sql = "SELECT value, count(*) OVER () FROM samples WHERE signal = 'many' AND equipment = 'site/a' ORDER BY time LIMIT 2";
    assert_eq!(bench.ask(sql).await, ["0.0 18000", "1.0 18000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_side_of_an_outer_join_has_alone_is_no_constant_behind_it() {
    let bench = bench();
    // Three of the few of the first three thousand seconds have one among the many, and the others none.
    let few = "(SELECT time, value FROM samples WHERE signal = 'few') AS f";
    let many = "(SELECT time, quality FROM samples WHERE signal = 'many' AND value < 3000 AND equipment = 'site/b' AND quality = 0) AS m";
    let found = "f.value IN (9000, 10000, 11000)";
    for join in [
        format!("{few} LEFT JOIN {many} ON m.time = f.time - interval '9000 seconds' AND {found}"),
        format!("{many} RIGHT JOIN {few} ON m.time = f.time - interval '9000 seconds' AND {found}"),
    ] {
        let sql = format!("SELECT f.value, m.quality FROM {join} ORDER BY m.quality, f.value LIMIT 4");
        let answer = bench.ask(&sql).await;
        let answer: Vec<&str> = answer.iter().map(|row| row.trim_end()).collect();
        assert_eq!(answer, ["9000.0 0", "10000.0 0", "11000.0 0", "0.0"], "{sql}");
        let sql = format!(
            "SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY m.quality ORDER BY f.value) AS n FROM {join}) AS x WHERE n = 1"
        );
        assert_eq!(bench.ask(&sql).await, ["2"], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_of_one_value_each_do_not_share_what_a_limit_has_found() {
    let bench = bench();
    let branch = |signal: &str| format!("SELECT time, signal, value FROM samples WHERE signal = '{signal}'");
    let sql = format!("{} UNION ALL {} ORDER BY signal DESC, time DESC LIMIT 1", branch("few"), branch("many"));
    let named = "SELECT 'b' AS source, time FROM samples UNION ALL SELECT 'a', time FROM samples ORDER BY source, time DESC LIMIT 1";
    for _ in 0..20 {
        let answer = bench.ask(&format!("SELECT signal FROM ({sql}) AS x")).await;
        assert_eq!(answer, ["many"], "{sql}");
        assert_eq!(bench.ask(&format!("SELECT source FROM ({named}) AS x")).await, ["a"], "{named}");
    }
}
