use super::{BadLimits, Compression, DeadBand, Kept, Limits, Method, Sample, SwingingDoor};
use crate::seeded::Seeded;
use crate::series::NotAscending;

const GOOD: &str = "good";
const BAD: &str = "bad";

type Mark = &'static str;

fn sample(time_us: i64, value: impl Into<Option<f64>>, mark: Mark) -> Sample<Mark> {
    Sample { time_us, value: value.into(), mark }
}

/// Good samples, one in a microsecond.
fn series(values: &[f64]) -> Vec<Sample<Mark>> {
    values.iter().zip(0..).map(|(&value, time_us)| sample(time_us, value, GOOD)).collect()
}

fn limits(tolerance: f64, max_gap_us: Option<i64>) -> Limits {
    Limits::new(tolerance, max_gap_us).expect("limits")
}

fn dead_band(limits: Limits, samples: &[Sample<Mark>]) -> Vec<Sample<Mark>> {
    let mut filter = DeadBand::new(limits);
    samples.iter().flat_map(|&sample| filter.push(sample).expect("ascending")).collect()
}

fn swinging_door(limits: Limits, samples: &[Sample<Mark>]) -> Vec<Sample<Mark>> {
    let mut filter = SwingingDoor::new(limits);
    let mut kept: Vec<_> = samples.iter().flat_map(|&sample| filter.push(sample).expect("ascending")).collect();
    kept.extend(filter.finish());
    kept
}

fn times(kept: &[Sample<Mark>]) -> Vec<i64> {
    kept.iter().map(|sample| sample.time_us).collect()
}

fn both(limits: Limits, samples: &[Sample<Mark>]) -> (Vec<i64>, Vec<i64>) {
    (times(&dead_band(limits, samples)), times(&swinging_door(limits, samples)))
}

#[test]
fn limits_that_cannot_be_are_refused() {
    assert_eq!(Limits::new(-0.1, None), Err(BadLimits::Tolerance(-0.1)));
    assert_eq!(Limits::new(f64::INFINITY, None), Err(BadLimits::Tolerance(f64::INFINITY)));
    assert!(matches!(Limits::new(f64::NAN, None), Err(BadLimits::Tolerance(tolerance)) if tolerance.is_nan()));
    assert_eq!(Limits::new(0.0, Some(0)), Err(BadLimits::MaxGap(0)));
    assert_eq!(limits(0.5, Some(7)).tolerance().to_bits(), 0.5_f64.to_bits());
    assert_eq!(limits(0.5, Some(7)).max_gap_us(), Some(7));
}

#[test]
fn a_change_of_status_is_kept() {
    let mut samples = series(&[1.0; 8]);
    samples[3].mark = BAD;
    samples[4].mark = BAD;
    // The door also keeps the last sample of each status, or a line would lead from one into the other.
    assert_eq!(both(limits(9.0, None), &samples), (vec![0, 3, 5], vec![0, 2, 3, 4, 5, 7]));
}

#[test]
fn a_change_to_no_number_and_back_is_kept() {
    let mut samples = series(&[1.0; 8]);
    samples[3..6].iter_mut().for_each(|sample| sample.value = None);
    assert_eq!(both(limits(9.0, None), &samples), (vec![0, 3, 6], vec![0, 2, 3, 5, 6, 7]));
}

#[test]
fn another_text_is_kept() {
    let texts = ["RUN", "RUN", "RUN", "HELD", "HELD", "RUN"];
    let samples: Vec<_> = texts.into_iter().zip(0..).map(|(text, time_us)| sample(time_us, None, text)).collect();
    assert_eq!(both(limits(9.0, None), &samples), (vec![0, 3, 5], vec![0, 2, 3, 4, 5]));
}

#[test]
fn what_is_not_finite_is_kept() {
    let samples = series(&[1.0, 1.0, f64::NAN, f64::NAN, f64::INFINITY, f64::INFINITY, 1.0, 1.0]);
    assert_eq!(both(limits(9.0, None), &samples), (vec![0, 2, 3, 4, 5, 6], vec![0, 1, 2, 3, 4, 5, 6, 7]));
}

#[test]
fn a_step_that_overflows_is_kept() {
    let samples = series(&[f64::MAX, f64::MIN, f64::MIN, f64::MIN]);
    assert_eq!(both(limits(9.0, None), &samples), (vec![0, 1], vec![0, 1, 3]));
}

#[test]
fn the_tolerance_itself_is_within_and_the_next_number_is_not() {
    let beyond = 0.1_f64.next_up();
    assert_eq!(times(&dead_band(limits(0.1, None), &series(&[0.0, 0.1, -0.1, beyond]))), [0, 3]);
    // The sample in the middle is within a tenth of the line.
    assert_eq!(times(&swinging_door(limits(0.1, None), &series(&[0.0, 0.0, 0.2]))), [0, 2]);
    assert_eq!(times(&swinging_door(limits(0.1, None), &series(&[0.0, 0.0, -0.2]))), [0, 2]);
    assert_eq!(times(&swinging_door(limits(0.1, None), &series(&[0.0, 0.0, 2.0 * beyond]))), [0, 1, 2]);
    assert_eq!(times(&swinging_door(limits(0.1, None), &series(&[0.0, 0.0, -2.0 * beyond]))), [0, 1, 2]);
}

#[test]
fn a_long_gap_is_broken() {
    let samples = series(&[1.0; 12]);
    assert_eq!(both(limits(9.0, Some(4)), &samples), (vec![0, 4, 8], vec![0, 4, 8, 11]));
    // A silence of the signal cannot be filled, but its end is kept.
    let silent = [0, 1, 2, 20, 21, 22].map(|time_us| sample(time_us, 1.0, GOOD));
    assert_eq!(both(limits(9.0, Some(4)), &silent), (vec![0, 2, 20], vec![0, 2, 20, 22]));
    let silent_end = [0, 1, 20].map(|time_us| sample(time_us, 1.0, GOOD));
    assert_eq!(both(limits(9.0, Some(4)), &silent_end), (vec![0, 1, 20], vec![0, 1, 20]));
    let far = [0, 20, 40].map(|time_us| sample(time_us, 1.0, GOOD));
    assert_eq!(both(limits(9.0, Some(4)), &far), (vec![0, 20, 40], vec![0, 20, 40]));
}

#[test]
fn what_breaks_a_gap_is_what_the_next_is_compared_with() {
    let samples = series(&[0.0, 0.0, 0.9, 1.8, 1.8]);
    assert_eq!(times(&dead_band(limits(1.0, Some(2)), &samples)), [0, 2]);
    let samples = series(&[0.0, 0.0, 0.7, 1.8, 1.8]);
    assert_eq!(times(&dead_band(limits(1.0, Some(2)), &samples)), [0, 2, 3]);
}

#[test]
fn a_stretch_keeps_both_its_ends() {
    let stretch: Vec<(i64, f64)> = [0.0, 0.1, 0.2, 3.0, 3.1, 3.2].into_iter().zip(0..).map(|(v, t)| (t, v)).collect();
    let keep = |method, stretch: &[(i64, f64)]| Compression { method, limits: limits(0.5, None) }.keep(stretch);
    let (yes, no) = (true, false);
    assert_eq!(keep(Method::DeadBand, &stretch), Ok(vec![yes, no, no, yes, no, yes]));
    assert_eq!(keep(Method::SwingingDoor, &stretch), Ok(vec![yes, no, yes, yes, no, yes]));
    for method in [Method::DeadBand, Method::SwingingDoor] {
        assert_eq!(keep(method, &[]), Ok(vec![]));
        assert_eq!(keep(method, &stretch[..1]), Ok(vec![yes]));
        assert_eq!(keep(method, &stretch[..2]), Ok(vec![yes, yes]));
        assert_eq!(keep(method, &[(5, 0.0), (5, 0.0)]), Err(NotAscending { time_us: 5, previous_us: 5 }));
    }
}

#[test]
fn a_sample_out_of_order_is_refused_and_changes_nothing() {
    let refused = |kept: Result<Kept<Mark>, NotAscending>| kept.err();
    let wrong = Some(NotAscending { time_us: 5, previous_us: 5 });
    let (mut band, mut door) = (DeadBand::new(limits(1.0, None)), SwingingDoor::new(limits(1.0, None)));
    for time_us in [0, 5] {
        assert!(band.push(sample(time_us, 1.0, GOOD)).is_ok());
        assert!(door.push(sample(time_us, 1.0, GOOD)).is_ok());
    }
    assert_eq!(refused(band.push(sample(5, 9.0, GOOD))), wrong);
    assert_eq!(refused(door.push(sample(5, 9.0, GOOD))), wrong);
    assert_eq!(band.push(sample(6, 1.0, GOOD)).expect("ascending").count(), 0);
    assert_eq!(door.push(sample(6, 1.0, GOOD)).expect("ascending").count(), 0);
}

/// A walk over whole numbers of up to 53 bits, so that errors can be calculated exactly in integers.
fn walk(random: &mut Seeded, step: i64) -> Vec<Sample<Mark>> {
    let (mut time_us, mut value) = (random.within(0, 1 << 50), random.within(-(1 << 52), 1 << 52));
    let one = |_| {
        let long_us = random.within(1, 3_600_000_000);
        time_us += random.pick(&[1, 1_000, long_us]);
        value = (value + random.within(-step, step + 1)).clamp(-(1 << 53), 1 << 53);
        let number = (!random.chance(3)).then_some(value as f64);
        sample(time_us, number, if random.chance(3) { BAD } else { GOOD })
    };
    (0..400).map(one).collect()
}

fn whole(sample: &Sample<Mark>) -> i128 {
    sample.value.expect("a number") as i128
}

/// A sample that was left out, between what was kept before and after it.
type LeftOut = (Sample<Mark>, Sample<Mark>, Option<Sample<Mark>>);

fn left_out(samples: &[Sample<Mark>], kept: &[Sample<Mark>]) -> Vec<LeftOut> {
    let neighbours = |one: &Sample<Mark>| {
        let next = kept.partition_point(|kept| kept.time_us <= one.time_us);
        (kept[next - 1], *one, kept.get(next).copied())
    };
    samples.iter().map(neighbours).filter(|(from, one, _)| from.time_us != one.time_us).collect()
}

/// Checks marks and gaps, and gives those that a tolerance is about.
fn check_kept(limits: Limits, samples: &[Sample<Mark>], kept: &[Sample<Mark>]) -> Vec<LeftOut> {
    assert!(kept.iter().is_sorted_by(|one, two| one.time_us < two.time_us));
    assert!(kept.iter().all(|one| samples.contains(one)));
    let mut left_out = left_out(samples, kept);
    for (from, one, _) in &left_out {
        assert_eq!((from.mark, from.value.is_some()), (one.mark, one.value.is_some()));
        assert!(!limits.too_long(from, one), "{from:?} {one:?}");
    }
    left_out.retain(|(_, one, _)| one.value.is_some());
    left_out
}

fn random_limits(random: &mut Seeded, step: i64) -> Limits {
    let tolerance = random.pick(&[0, 1, step / 10, step, 5 * step]);
    let gap_us = Some(random.within(1, 20_000_000_000)).filter(|_| random.chance(50));
    limits(tolerance as f64, gap_us)
}

#[test]
fn holding_the_last_gives_back_what_a_dead_band_left_out() {
    let mut checked = 0;
    for seed in 0..300 {
        let mut random = Seeded::new(seed);
        let step = random.pick(&[2, 1_000, 1 << 40, 1 << 50]);
        let (samples, limits) = (walk(&mut random, step), random_limits(&mut random, step));
        for (from, one, _) in check_kept(limits, &samples, &dead_band(limits, &samples)) {
            let bound = limits.tolerance * (1.0 + f64::EPSILON);
            assert!((whole(&one) - whole(&from)).unsigned_abs() as f64 <= bound, "seed {seed}: {from:?} {one:?}");
            checked += 1;
        }
    }
    assert!(checked > 10_000, "{checked}");
}

#[test]
fn lines_give_back_what_a_swinging_door_left_out() {
    let mut checked = 0;
    for seed in 0..300 {
        let mut random = Seeded::new(seed);
        let step = random.pick(&[2, 1_000, 1 << 40, 1 << 50]);
        let (samples, limits) = (walk(&mut random, step), random_limits(&mut random, step));
        for (from, one, to) in check_kept(limits, &samples, &swinging_door(limits, &samples)) {
            let to = to.expect("the last sample is kept");
            assert_eq!((to.mark, to.value.is_some()), (one.mark, true));
            let (before, length) = (i128::from(one.time_us - from.time_us), i128::from(to.time_us - from.time_us));
            // The error, times the length.
            let error = (whole(&to) - whole(&from)) * before - (whole(&one) - whole(&from)) * length;
            let beyond = error.abs() - limits.tolerance as i128 * length;
            let step = (whole(&one) - whole(&from)).unsigned_abs() as f64;
            let rounding = 3.0 * f64::EPSILON * (limits.tolerance + step);
            assert!(beyond as f64 <= rounding * length as f64, "seed {seed}: {from:?} {one:?} {to:?}");
            checked += 1;
        }
    }
    assert!(checked > 10_000, "{checked}");
}
