use super::*;

const NOW: i64 = 1_795_248_000_000_000;

#[test]
fn the_window_is_closed_at_both_ends() {
    let window = Window::new(&Limits::default());
    let earliest = 946_684_800_000_000;
    for (time, fits) in [
        (NOW, true),
        (NOW + 600_000_000, true),
        (NOW + 600_000_001, false),
        (earliest, true),
        (earliest - 1, false),
        (i64::MAX, false),
        (i64::MIN, false),
    ] {
        assert_eq!(window.check(time, NOW).is_ok(), fits, "{time}");
    }
    let refusal = window.check(NOW + 31_536_000_000_000, NOW).unwrap_err();
    assert!(refusal.reason.contains("more than 600 s ahead"), "{}", refusal.reason);
    assert!(window.check(12_500_000, NOW).unwrap_err().reason.contains("before 2000"));
}

#[test]
fn rows_that_the_store_would_remove_are_not_let_in() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = Retention::new(|table| (table == "counts").then(|| days(30)));
    let window = Window::new(&Limits { retention, ..Limits::default() });
    let age = 30 * 86_400_000_000;
    for (table, time, fits) in
        [("counts", NOW - age, true), ("counts", NOW - age - 1, false), ("samples", NOW - 100 * age, true)]
    {
        assert_eq!(window.check_kept(table, time, || NOW).is_ok(), fits, "{table} {time}");
    }
    let refusal = window.check_kept("counts", 0, || NOW).unwrap_err();
    assert_eq!(refusal.kind, "retention");
    assert!(refusal.reason.contains("30 days") && refusal.reason.contains("retention.counts"), "{}", refusal.reason);
}

#[test]
fn arrival_times_strictly_increase_even_when_the_clock_steps_back() {
    let clock = ArrivalClock::default();
    let times: Vec<i64> = [10, 10, 10, 5, 100, 50].into_iter().map(|arrival| clock.tick(arrival)).collect();
    assert_eq!(times, [10, 11, 12, 13, 100, 101]);
}
