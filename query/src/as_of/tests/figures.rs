//! Figures of functions: they stay what they were when their time was now.

use crate::fixture::shop::{Shop, Value};
use crate::fixture::{HOUR, NEW_YEAR, Random, SECOND, time};

const STATES: [&str; 3] = ["RUN", "DOWN", "SETUP"];
const MINUTE: i64 = 60 * SECOND;

/// Equipment, signal and time of the samples so far.
type Written = Vec<(&'static str, &'static str, i64)>;

/// Writes from `now` until `until`: samples in the order of their times, corrections of them, and records of any time so far.
fn write(shop: &Shop, random: &mut Random, written: &mut Written, (mut now, until): (i64, i64)) {
    loop {
        now += 1 + random.below(4 * MINUTE);
        if now >= until {
            return;
        }
        shop.at(now);
        let any_time = NEW_YEAR + random.below(now - NEW_YEAR);
        let order = ["WO-1", "WO-2", "WO-3"][usize::try_from(random.below(3)).unwrap()];
        let sample = |(place, signal, at): (&str, &str, i64), value: i64| {
            let number = Value::Number(value as f64);
            let [place, signal] = [place, signal].map(Value::Text);
            shop.put(
                "samples",
                &[("equipment", place), ("signal", signal), ("time", Value::Time(at)), ("value", number)],
            )
        };
        let site = ("equipment", Value::Text("site/a"));
        let source = ("source", Value::Text("operator"));
        match random.below(13) {
            0..4 => {
                let series = if random.below(2) == 0 { ("site", "level") } else { ("site/a", "pieces") };
                written.push((series.0, series.1, now));
                sample((series.0, series.1, now), random.below(100));
            }
            4..6 if !written.is_empty() => {
                let place = random.below(i64::try_from(written.len()).unwrap());
                sample(written[usize::try_from(place).unwrap()], random.below(100));
            }
            6..9 => {
                let start = ("start", Value::Time(NEW_YEAR + (any_time - NEW_YEAR) / (10 * MINUTE) * 10 * MINUTE));
                let state = STATES[usize::try_from(random.below(3)).unwrap()];
                let category = ["run", "unplanned", "changeover"][usize::try_from(random.below(3)).unwrap()];
                let [state, category] = [("state", Value::Text(state)), ("category", Value::Text(category))];
                match random.below(4) {
                    0 => shop.retract("states", &[site, source, start]),
                    _ => shop.put("states", &[site, source, start, state, category]),
                };
            }
            9 => {
                let ideal = ("ideal_cycle_s", Value::Number(random.below(60) as f64));
                shop.put("work_orders", &[("work_order", Value::Text(order)), ideal]);
            }
            10 => {
                let run = [("run", Value::Text(order)), ("work_order", Value::Text(order)), site];
                shop.put("operations", &[run[0], run[1], run[2], ("started", Value::Time(any_time))]);
            }
            11 => {
                let start = ("start", Value::Time(any_time));
                let code = ["jam", "setup"][usize::try_from(random.below(2)).unwrap()];
                let reason = ("reason", Value::Text(code));
                match random.below(4) {
                    0 => shop.put("stop_reasons", &[site, start, reason]),
                    _ => {
                        let end = ("end", Value::Time(any_time + random.below(2 * HOUR)));
                        shop.put("stop_reasons", &[site, start, end, reason])
                    }
                };
            }
            _ if random.below(3) == 0 => {
                shop.store.compact().unwrap();
            }
            _ => shop.store.flush().unwrap(),
        }
    }
}

fn questions(from: i64, to: i64) -> Vec<String> {
    let window = format!("{}, {}", time(from), time(to));
    let call = |call: String, order: &str| format!("SELECT * FROM {call} ORDER BY {order}");
    vec![
        call(format!("oee('1 hour', {window})"), "equipment, time"),
        // Whether the last one is open depends on when it is asked.
        format!("SELECT time, \"end\", equipment, state, category FROM state_timeline({window}) ORDER BY 3, 1"),
        call(format!("aggregates('1 hour', {window})"), "equipment, signal, time"),
        call(format!("time_weighted_avg('30 minutes', {window})"), "equipment, signal, time"),
        call(format!("interpolate('20 minutes', {window})"), "equipment, signal, time"),
        call(format!("counter_delta('1 hour', {window})"), "equipment, signal, time"),
        call(format!("trend(8, {window})"), "equipment, signal, time"),
        call(format!("asof_join('level', 'pieces', {window})"), "equipment, time"),
        call(format!("losses('1 hour', {window})"), "equipment, time, step"),
        call(format!("oee('work_order', {window})"), "equipment, time, work_order"),
        // So it is with the end of a stop, and with how long it lasted.
        format!(
            "SELECT time, start, equipment, state, reason, in_window_s, counted_s FROM stops({window}) ORDER BY 3, 1"
        ),
    ]
}

async fn answers(shop: &Shop, as_of: Option<i64>, questions: &[String]) -> Vec<Vec<String>> {
    let mut answers = Vec::new();
    for sql in questions {
        answers.push(shop.ask(as_of, sql).await);
    }
    answers
}

#[tokio::test]
async fn figures_of_an_earlier_time_stay_what_they_were() {
    let (shop, mut random, mut written) = (Shop::new(), Random(3), Written::new());
    let (mut known, mut start) = (Vec::new(), NEW_YEAR);
    for round in 1..=3 {
        let now = NEW_YEAR + 6 * HOUR + round * 3 * HOUR;
        write(&shop, &mut random, &mut written, (start, now));
        start = now;
        let past = questions(now - 5 * HOUR, now);
        let then = answers(&shop, None, &past).await;
        assert!(then.iter().all(|rows| !rows.is_empty()), "{then:?}");
        for (sql, then) in past.iter().zip(&then) {
            assert_eq!(&shop.ask(Some(now), sql).await, then, "round {round}, at once: {sql}");
        }
        // A window that goes on ends where knowledge does.
        let open: Vec<_> = questions(now - 5 * HOUR, now + HOUR).into_iter().take(4).collect();
        let open_then = answers(&shop, Some(now), &open).await;
        known.extend([(now, past, then), (now, open, open_then)]);
    }
    write(&shop, &mut random, &mut written, (start, start + 3 * HOUR));
    for compacted in [false, true] {
        // The newest of them, then all.
        for (as_of, questions, then) in known.iter().rev().take(if compacted { known.len() } else { 1 }) {
            for (sql, then) in questions.iter().zip(then) {
                assert_eq!(&shop.ask(Some(*as_of), sql).await, then, "compacted {compacted}: {sql}");
            }
        }
        let (_, questions, then) = known.first().unwrap();
        assert_ne!(&answers(&shop, None, questions).await, then, "nothing was corrected");
        shop.store.compact().unwrap();
    }
}

#[tokio::test]
async fn filters_reach_what_holds_the_rows() {
    let shop = Shop::new();
    shop.at(NEW_YEAR);
    for status in ["ok", "hold", "scrap"] {
        shop.put("units", &[("unit", Value::Text("u1")), ("status", Value::Text(status))]);
        shop.store.flush().unwrap();
    }
    let plan = shop.plan(NEW_YEAR, "SELECT status FROM units WHERE unit = 'u1'").await;
    let scans: Vec<&str> = plan.lines().filter(|line| line.contains("DataSourceExec")).collect();
    assert!(scans.iter().all(|scan| scan.contains("unit@0 = u1")), "{plan}");
    let of_history = |scan: &&&str| scan.contains("tables/units_history") && scan.contains("superseded@13 > ");
    assert_eq!(scans.iter().filter(of_history).count(), 1, "{plan}");
    let now = shop.ask(None, "EXPLAIN SELECT status FROM units WHERE unit = 'u1'").await.join("\n");
    assert!(!now.contains("superseded"), "{now}");
}

#[tokio::test]
async fn what_was_open_then_ends_there() {
    let shop = Shop::new();
    shop.at(NEW_YEAR);
    let start = [("equipment", Value::Text("site/a")), ("start", Value::Time(NEW_YEAR)), ("state", Value::Text("RUN"))];
    shop.put("states", &start);
    let window = format!("{}, {}", time(NEW_YEAR), time(NEW_YEAR + 4 * HOUR));
    let sql = format!("SELECT \"end\" = {}, open FROM state_timeline({window})", time(NEW_YEAR + HOUR));
    assert_eq!(shop.ask(Some(NEW_YEAR + HOUR), &sql).await, ["true true"]);
}

#[tokio::test]
async fn the_newest_sample_is_the_one_of_then() {
    let shop = Shop::new();
    let put = |signal, at, value| {
        let names = [("equipment", Value::Text("site")), ("signal", Value::Text(signal))];
        shop.put("samples", &[names[0], names[1], ("time", Value::Time(at)), ("value", Value::Number(value))]);
    };
    shop.at(NEW_YEAR);
    put("level", NEW_YEAR, 1.0);
    let then = NEW_YEAR + 2 * HOUR;
    shop.at(then + 1);
    put("level", NEW_YEAR, 5.0);
    put("new", then + 1, 7.0);
    let window = format!("{}, {}", time(then - HOUR), time(then));
    let sql = format!("SELECT signal, value FROM time_weighted_avg('1 hour', 'stepped', {window})");
    assert_eq!(shop.ask(Some(then), &sql).await, ["level 1.0"]);
}
