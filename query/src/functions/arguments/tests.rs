#![allow(clippy::unwrap_used, reason = "a test may panic")]

use datafusion::prelude::lit;

use super::*;

fn oee(arguments: &[Expr]) -> Result<Arguments> {
    Arguments::read(Function::Oee, arguments, &TimeZone::UTC)
}

#[test]
fn the_cut_is_a_width_a_shift_or_a_day() {
    for (text, expected) in
        [("1 hour", Cut::Width(Width::Micros(3_600_000_000))), ("shift", Cut::Shift), ("day", Cut::Day)]
    {
        assert_eq!(
            oee(&[lit(text)]).unwrap(),
            Arguments::Bound { task: Task::Oee(Grouping::Time(expected)), window: None }
        );
    }
    let refused = oee(&[lit("fortnight")]).unwrap_err().to_string();
    assert!(refused.contains("oee also takes 'shift'"), "{refused}");
}

#[test]
fn a_window_is_given_by_two_times() {
    let window = oee(&[lit("shift"), lit("1970-01-01T00:00:01Z"), lit("1970-01-01T00:00:02Z")]).unwrap();
    assert_eq!(
        window,
        Arguments::Bound { task: Task::Oee(Grouping::Time(Cut::Shift)), window: Some((1_000_000, 2_000_000)) }
    );
    assert!(oee(&[lit("shift"), lit("1970-01-01T00:00:01Z")]).is_err());
    assert!(oee(&[lit("shift"), lit("1970-01-01T00:00:01Z"), lit("1970-01-01T00:00:01Z")]).is_ok());
    let reversed = oee(&[lit("shift"), lit("1970-01-01T00:00:02Z"), lit("1970-01-01T00:00:01Z")]).unwrap_err();
    let expected = "the window of oee ends before it begins: from 1970-01-01T00:00:02Z to 1970-01-01T00:00:01Z";
    assert!(reversed.to_string().contains(expected), "{reversed}");
    assert!(oee(&[lit("shift"), lit("yesterday"), lit("today")]).unwrap_err().to_string().contains("\"yesterday\""));
}

fn read(function: Function, arguments: &[Expr]) -> Result<Arguments> {
    Arguments::read(function, arguments, &TimeZone::UTC)
}

fn refused(function: Function, arguments: &[Expr]) -> String {
    read(function, arguments).unwrap_err().to_string()
}

#[test]
fn words_after_the_bucket_say_how_to_read_signals() {
    let minute = Cut::Width(Width::Micros(60_000_000));
    let stepped = Reading { interpolation: Some(Interpolation::Stepped), use_uncertain: true };
    let (from, to) = (lit("1970-01-01T00:00:01Z"), lit("1970-01-01T00:00:02Z"));
    for function in [Function::Aggregates, Function::TimeWeightedAvg, Function::Interpolate] {
        let plain = read(function, &[lit("1 minute")]).unwrap();
        assert_eq!(plain, Arguments::Bound { task: Task::Buckets(minute, Reading::default()), window: None });
        let words = [lit("1 minute"), lit("stepped"), lit("use_uncertain"), from.clone(), to.clone()];
        let window = Some((1_000_000, 2_000_000));
        let expected = Arguments::Bound { task: Task::Buckets(minute, stepped), window };
        assert_eq!(read(function, &words).unwrap(), expected);
        let wrong = refused(function, &[lit("1 minute"), lit("steped")]);
        assert!(wrong.contains("'stepped'"), "{wrong}");
    }
    assert!(refused(Function::CounterDelta, &[lit("1 minute"), lit("stepped")]).contains("counter_delta takes"));
    let both = [lit("1 minute"), lit("stepped"), lit("sloped")];
    assert!(refused(Function::Aggregates, &both).contains("aggregates takes"));
    assert!(refused(Function::Aggregates, &[lit("fortnight")]).contains("aggregates also takes 'shift' and 'day'"));
    assert!(!refused(Function::Interpolate, &[lit("shift")]).contains("also takes"));
    assert!(refused(Function::Interpolate, &[]).contains("interpolate('1 minute', from, to)"));
}

#[test]
fn a_trend_has_a_number_of_points() {
    let task = Task::Parts(500, Reading { interpolation: None, use_uncertain: true });
    let expected = Arguments::Bound { task, window: None };
    assert_eq!(read(Function::Trend, &[lit(500_i64), lit("use_uncertain")]).unwrap(), expected);
    for wrong in [lit(0_i64), lit(-5_i64), lit(100_001_i64), lit("many")] {
        assert!(refused(Function::Trend, &[wrong]).contains("from 1 to 100000"));
    }
}

#[test]
fn an_as_of_join_has_signals_and_perhaps_a_window() {
    let signals = |names: &[&str]| Task::AsOf(names.iter().map(|name| (*name).to_owned()).collect());
    let two = read(Function::AsofJoin, &[lit("force"), lit("speed")]).unwrap();
    assert_eq!(two, Arguments::Bound { task: signals(&["force", "speed"]), window: None });
    let times = [lit("1970-01-01T00:00:01Z"), lit("1970-01-01T00:00:02Z")];
    let with_times: Vec<Expr> = ["a", "b", "c"].map(lit).into_iter().chain(times.clone()).collect();
    let window = Some((1_000_000, 2_000_000));
    let expected = Arguments::Bound { task: signals(&["a", "b", "c"]), window };
    assert_eq!(read(Function::AsofJoin, &with_times).unwrap(), expected);
    let lonely: Vec<Expr> = std::iter::once(lit("a")).chain(times).collect();
    for wrong in [vec![], vec![lit("a")], lonely, vec![lit("a"); 18], vec![lit("a"), lit(1_i64)]] {
        assert!(refused(Function::AsofJoin, &wrong).contains("asof_join takes"));
    }
}
