mod reference;

use super::{Bucket, Course, Edges, Extent, Figure, Method, NotAscending, NotTaken, Point, Series, Severity, Status};
use crate::counter::CounterRule;
use crate::seeded::Seeded;
use reference::Reference;

use Severity::{Bad, Good, Uncertain};

const SLOPED: Method = Method { stepped: false, treat_uncertain_as_bad: false, counter: None };
const STEPPED: Method = Method { stepped: true, ..SLOPED };
const COUNTER: Method = Method { counter: Some(CounterRule { modulus: None, max_step: None }), ..SLOPED };

type Sample = (i64, Option<f64>, Severity);

fn edges(edges: &[i64]) -> Edges {
    Edges::new(edges).expect("ascending")
}

fn buckets(method: Method, bounds: &[i64], samples: &[Sample]) -> Vec<Bucket> {
    let mut series = Series::new(method, edges(bounds));
    let mut found = Vec::new();
    for &(time_us, value, severity) in samples {
        series.push(time_us, value, severity).expect("ascending");
        found.extend(std::iter::from_fn(|| series.pop()));
    }
    found.extend(series.finish());
    found
}

fn good(samples: &[(i64, f64)]) -> Vec<Sample> {
    samples.iter().map(|&(time_us, value)| (time_us, Some(value), Good)).collect()
}

fn figure(value: impl Into<Option<f64>>, status: Status) -> Figure {
    Figure { value: value.into(), status, time_us: None }
}

#[test]
fn severity_is_the_top_of_a_status_code() {
    let cases = [
        (0, Good),
        (0x3FFF_FFFF, Good),
        (0x4000_0000, Uncertain),
        (0x7FFF_FFFF, Uncertain),
        (0x8000_0000, Bad),
        (0xC000_0000, Bad),
        (0xFFFF_FFFF, Bad),
        // 0x8000_0000 and 0xFFFF_FFFF that went through a signed 32-bit integer.
        (-0x8000_0000, Bad),
        (-1, Bad),
    ];
    for (quality, severity) in cases {
        assert_eq!(Severity::of(quality), severity, "{quality:x}");
    }
}

#[test]
fn edges_ascend() {
    assert_eq!(Edges::new([1, 5, 5]), Err(NotAscending { time_us: 5, previous_us: 5 }));
    assert_eq!(Edges::new([7, 6]), Err(NotAscending { time_us: 6, previous_us: 7 }));
    assert!(Edges::new([i64::MIN, i64::MAX]).is_err());
    assert_eq!([edges(&[]), edges(&[1]), edges(&[1, 2, 9])].map(|edges| edges.buckets()), [0, 0, 2]);
}

#[test]
fn a_sample_out_of_order_is_refused_and_changes_nothing() {
    let mut series = Series::new(SLOPED, edges(&[0, 10]));
    for sample in good(&[(1, 1.0), (2, 2.0)]) {
        assert_eq!(series.push(sample.0, sample.1, sample.2), Ok(()));
    }
    assert_eq!(series.push(2, Some(9.0), Good), Err(NotAscending { time_us: 2, previous_us: 2 }));
    assert_eq!(series.push(-5, Some(9.0), Bad), Err(NotAscending { time_us: -5, previous_us: 2 }));
    let all: Vec<Bucket> = series.finish().collect();
    assert_eq!(all, buckets(SLOPED, &[0, 10], &good(&[(1, 1.0), (2, 2.0)])));
}

#[test]
fn a_bucket_is_finished_by_the_first_usable_sample_at_its_end() {
    let mut series = Series::new(SLOPED, edges(&[0, 10, 20, 30]));
    let mut finished = |time_us, severity| {
        series.push(time_us, Some(1.0), severity).expect("ascending");
        let starts: Vec<i64> = std::iter::from_fn(|| series.pop()).map(|bucket| bucket.start_us).collect();
        (starts, series.is_complete())
    };
    assert_eq!(finished(5, Good), (vec![], false));
    assert_eq!(finished(20, Bad), (vec![], false));
    assert_eq!(finished(21, Bad), (vec![], false));
    assert_eq!(finished(25, Good), (vec![0, 10], false));
    assert_eq!(finished(35, Bad), (vec![], false));
    assert_eq!(finished(36, Good), (vec![20], true));
    assert_eq!(finished(37, Good), (vec![], true));
}

#[test]
fn buckets_before_the_first_usable_sample_do_not_wait_for_a_second() {
    let mut series = Series::new(SLOPED, edges(&[0, 10, 20, 30]));
    series.push(5, None, Bad).expect("ascending");
    assert_eq!(series.pop(), None);
    series.push(21, Some(1.0), Good).expect("ascending");
    let starts: Vec<i64> = std::iter::from_fn(|| series.pop()).map(|bucket| bucket.start_us).collect();
    assert_eq!(starts, [0, 10]);
}

#[test]
fn a_bucket_stays_small() {
    assert!(size_of::<Bucket>() <= 500, "{}", size_of::<Bucket>());
}

#[test]
fn every_bucket_is_given_with_and_without_samples() {
    for samples in [vec![], good(&[(5, 1.0)]), good(&[(-5, 1.0), (99, 2.0)]), good(&[(50, 1.0)])] {
        let found = buckets(SLOPED, &[0, 10, 12, 40], &samples);
        let bounds: Vec<_> = found.iter().map(|bucket| (bucket.start_us, bucket.end_us)).collect();
        assert_eq!(bounds, [(0, 10), (10, 12), (12, 40)]);
    }
    assert!(buckets(SLOPED, &[], &good(&[(5, 1.0)])).is_empty());
    assert!(buckets(SLOPED, &[0], &good(&[(5, 1.0)])).is_empty());
    assert!(Series::new(SLOPED, edges(&[])).is_complete());
}

#[test]
fn a_text_or_what_is_no_number_is_bad() {
    for value in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        let found = buckets(SLOPED, &[0, 10, 20], &[(0, Some(1.0), Good), (5, value, Good), (20, Some(3.0), Good)]);
        let bucket = &found[0];
        assert_eq!(bucket.end(), Figure { time_us: Some(5), ..figure(None, Status::Bad) });
        assert_eq!(bucket.count(), figure(1.0, Status::Uncertain));
        assert_eq!(bucket.duration_good_us(), figure(5.0, Status::Good));
        assert_eq!(bucket.time_average(), figure(1.5, Status::Uncertain));
        assert_eq!(bucket.time_average2(), figure(1.0, Status::Uncertain));
        assert_eq!(bucket.end_bound(), figure(None, Status::Bad));
        assert_eq!(found[1].interpolative(), figure(2.0, Status::Uncertain));
    }
}

#[test]
fn what_overflows_is_bad() {
    let samples = good(&[(0, f64::MAX), (1, f64::MAX), (5, f64::MIN), (10, f64::MIN)]);
    let found = buckets(SLOPED, &[0, 3, 10], &samples);
    for bucket in &found {
        assert_eq!(bucket.time_average(), figure(None, Status::Bad));
    }
    assert_eq!(found[0].average(), figure(None, Status::Bad));
    assert_eq!(found[0].end_bound(), figure(None, Status::Bad));
    assert_eq!(found[0].maximum(), Figure { time_us: Some(0), ..figure(f64::MAX, Status::Good) });
}

#[test]
fn a_stepped_value_is_uncertain_after_the_last_sample() {
    let found = buckets(STEPPED, &[0, 10, 20, 30], &good(&[(0, 1.0), (12, 2.0)]));
    let starts: Vec<_> = found.iter().map(Bucket::interpolative).collect();
    let expected = [(1.0, Status::Good), (1.0, Status::Good), (2.0, Status::Uncertain)];
    assert_eq!(starts, expected.map(|(value, status)| figure(value, status)));
}

#[test]
fn a_stepped_value_is_uncertain_after_a_bad_sample() {
    let at_start = [(0, Some(1.0), Good), (10, None, Bad), (15, Some(2.0), Good), (30, Some(1.0), Good)];
    let found = buckets(STEPPED, &[0, 10, 20], &at_start);
    assert_eq!(found[1].interpolative(), figure(1.0, Status::Uncertain));
}

#[test]
fn buckets_of_unequal_length_add_up() {
    let samples = good(&[(-3, 4.0), (7, 2.0), (23, 9.0), (47, 1.0), (90, 5.0)]);
    let whole = &buckets(SLOPED, &[0, 72], &samples)[0];
    let parts = buckets(SLOPED, &[0, 23, 48, 72], &samples);
    let area = |bucket: &Bucket| bucket.time_average().value.expect("data") * (bucket.end_us - bucket.start_us) as f64;
    assert!((parts.iter().map(area).sum::<f64>() - area(whole)).abs() < 1e-9);
}

#[test]
fn an_end_bound_is_the_start_bound_of_the_next() {
    let samples = [(-3, Some(4.0), Good), (7, None, Bad), (23, Some(9.0), Uncertain), (47, Some(1.0), Good)];
    for method in [SLOPED, STEPPED] {
        let found = buckets(method, &[0, 5, 10, 23, 40, 60], &samples);
        for pair in found.windows(2) {
            assert_eq!(pair[0].end_bound(), pair[1].start_bound());
        }
    }
}

#[test]
fn a_counter_counts_from_the_last_reading_before_the_bucket() {
    let samples = good(&[(-5, 100.0), (5, 107.0), (8, 3.0), (25, 4.0)]);
    let found = buckets(COUNTER, &[0, 10, 20, 30], &samples);
    let deltas: Vec<_> = found.iter().map(Bucket::counter_delta).collect();
    // 7 to 107; a reset, and 3 since; nothing; 1.
    assert_eq!(deltas, [10.0, 0.0, 1.0].map(|value| figure(value, Status::Good)));
    assert_eq!(buckets(SLOPED, &[0, 10], &samples)[0].counter_delta(), figure(None, Status::BadNoData));
}

#[test]
fn a_counter_without_an_earlier_reading_is_uncertain() {
    let samples = [(12, Some(100.0), Good), (15, Some(101.0), Good), (25, Some(999.0), Bad), (27, Some(103.0), Good)];
    let found = buckets(COUNTER, &[0, 10, 20, 30, 40], &samples);
    let deltas: Vec<_> = found.iter().map(Bucket::counter_delta).collect();
    let expected = [
        figure(None, Status::BadNoData),
        figure(1.0, Status::Uncertain),
        figure(2.0, Status::Uncertain),
        figure(0.0, Status::Good),
    ];
    assert_eq!(deltas, expected);
}

#[test]
fn an_extent_has_the_points_that_draw_a_bucket() {
    let samples = [
        (0, Some(3.0), Uncertain),
        (1, Some(5.0), Good),
        (2, Some(1.0), Good),
        (3, Some(1.0), Uncertain),
        (4, Some(5.0), Uncertain),
        (5, Some(99.0), Bad),
    ];
    let point = |time_us, value| Point { time_us, value };
    let extent = Extent { first: point(0, 3.0), last: point(4, 5.0), minimum: point(2, 1.0), maximum: point(1, 5.0) };
    assert_eq!(buckets(SLOPED, &[0, 10, 20], &samples)[0].extent(), Some(extent));
    let strict = Method { treat_uncertain_as_bad: true, ..SLOPED };
    let extent = Extent { first: point(1, 5.0), last: point(2, 1.0), ..extent };
    assert_eq!(buckets(strict, &[0, 10, 20], &samples)[0].extent(), Some(extent));
    assert_eq!(buckets(SLOPED, &[0, 10, 20], &samples)[1].extent(), None);
}

#[test]
fn small_terms_among_large_ones_are_not_lost() {
    let large = [1e16, 1.0, -1e16];
    let samples: Vec<Sample> = (0..3_000).map(|i| (i, Some(large[i as usize % 3]), Good)).collect();
    let bucket = &buckets(STEPPED, &[0, 3_000], &samples)[0];
    assert_eq!(bucket.average(), figure(1.0 / 3.0, Status::Good));
}

#[test]
fn a_bound_near_a_small_sample_keeps_its_digits() {
    let week_us = 604_800_000_000;
    let found = buckets(SLOPED, &[0, week_us - 1, week_us], &good(&[(0, 6.048e17), (week_us, 0.0)]));
    assert_eq!(found[0].end_bound(), figure(1e6, Status::Good));
}

/// Samples with gaps, repetitions, runs of Bad ones, and times that meet the edges now and then.
fn random_samples(random: &mut Seeded, origin: i64) -> Vec<Sample> {
    let severities = random.pick(&[[Good, Good, Good, Good], [Good, Good, Uncertain, Bad], [Good, Bad, Bad, Bad]]);
    let widest = random.pick(&[3, 30, 200]);
    let (count, mut time_us) = (random.within(0, 60), origin + random.within(-100, 200));
    let one = |_| {
        time_us += random.within(1, widest);
        let value = random.within(-500, 2_000) as f64 / 8.0;
        let value = Some(value).filter(|_| !random.chance(4));
        (time_us, value, random.pick(&severities))
    };
    (0..count).map(one).collect()
}

fn random_edges(random: &mut Seeded, origin: i64) -> Vec<i64> {
    let widest = random.pick(&[4, 40, 400]);
    let (count, mut edge) = (random.within(0, 40), origin);
    let one = |_| {
        edge += random.within(1, widest);
        edge
    };
    (0..count).map(one).collect()
}

/// The sums of both differ in order, so values agree to rounding of the terms; statuses and times exactly.
fn check_same(place: &str, got: Figure, wanted: Figure) {
    assert_eq!((got.status, got.time_us), (wanted.status, wanted.time_us), "{place}: {got:?} {wanted:?}");
    assert_eq!(got.value.is_some(), wanted.value.is_some(), "{place}: {got:?} {wanted:?}");
    if let Some((got, wanted)) = got.value.zip(wanted.value) {
        assert!((got - wanted).abs() <= 1e-10 * wanted.abs().max(1.0), "{place}: {got} {wanted}");
    }
}

#[test]
fn one_pass_agrees_with_the_definitions() {
    let mut checked = 0;
    for seed in 0..1_500 {
        let mut random = Seeded::new(seed);
        let origin = random.pick(&[0, 1_790_000_000_000_001]);
        let method = Method {
            stepped: random.chance(50),
            treat_uncertain_as_bad: random.chance(50),
            counter: random.chance(80).then_some(CounterRule { modulus: Some(256.0), max_step: None }),
        };
        let (samples, bounds) = (random_samples(&mut random, origin), random_edges(&mut random, origin));
        let found = buckets(method, &bounds, &samples);
        let reference = Reference::new(method, &samples);
        assert_eq!(found.len(), bounds.len().saturating_sub(1), "seed {seed}");
        for (bucket, pair) in found.iter().zip(bounds.windows(2)) {
            for (name, got, wanted) in reference.figures(bucket, pair[0], pair[1]) {
                check_same(&format!("seed {seed} {pair:?} {name}"), got, wanted);
                checked += 1;
            }
            assert_eq!(bucket.extent(), reference.extent(pair[0], pair[1]), "seed {seed} {pair:?}");
        }
    }
    assert!(checked > 250_000, "{checked}");
}

/// What samples are summed up to, written out.
fn course(samples: &[Sample]) -> Course {
    let points: Vec<Point> =
        samples.iter().map(|&(time_us, value, _)| Point { time_us, value: value.expect("a value") }).collect();
    let mut extent = Extent::of(points[0]);
    points.iter().skip(1).for_each(|point| extent.push(*point));
    let pairs =
        || points.windows(2).map(|pair| (pair[0].value, pair[1].value, (pair[1].time_us - pair[0].time_us) as f64));
    Course {
        count: points.len() as u64,
        sum: points.iter().map(|point| point.value).sum(),
        extent,
        held_area: pairs().map(|(from, _, us)| from * us).sum(),
        sloped_area: pairs().map(|(from, to, us)| (from + to) / 2.0 * us).sum(),
    }
}

#[test]
fn samples_that_come_summed_up_give_the_same_buckets() {
    let mut taken = 0;
    for seed in 0..1_500 {
        let mut random = Seeded::new(seed);
        let method = Method { stepped: random.chance(50), treat_uncertain_as_bad: random.chance(50), counter: None };
        let (samples, bounds) = (random_samples(&mut random, 0), random_edges(&mut random, 0));
        let mut series = Series::new(method, edges(&bounds));
        let mut found = Vec::new();
        let mut rest = samples.as_slice();
        while !rest.is_empty() {
            let used = rest.iter().take_while(|sample| sample.1.is_some() && sample.2 == Good).count();
            let count = usize::try_from(random.within(1, 12)).expect("small").min(used);
            let is_course = count > 0 && series.push_course(&course(&rest[..count])).is_ok();
            if is_course {
                taken += count;
                rest = &rest[count..];
            } else {
                // One sample, so that a course can begin at any of them.
                series.push(rest[0].0, rest[0].1, rest[0].2).expect("ascending");
                rest = &rest[1..];
            }
            found.extend(std::iter::from_fn(|| series.pop()));
        }
        found.extend(series.finish());
        let wanted = buckets(method, &bounds, &samples);
        assert_eq!(found.len(), wanted.len(), "seed {seed}");
        let reference = Reference::new(method, &samples);
        for ((found, wanted), pair) in found.iter().zip(&wanted).zip(bounds.windows(2)) {
            for (name, got, wanted) in reference.figures(found, pair[0], pair[1]) {
                check_same(&format!("seed {seed} {pair:?} {name}"), got, wanted);
            }
            assert_eq!(found.extent(), wanted.extent(), "seed {seed} {pair:?}");
        }
    }
    assert!(taken > 5_000, "{taken}");
}

#[test]
fn what_does_not_fit_a_bucket_is_not_taken_summed_up() {
    let samples = good(&[(3, 1.0), (5, 2.0), (9, 4.0)]);
    let whole = course(&samples);
    let error = Err(NotTaken::ManyBuckets { from_us: 3, to_us: 9 });
    for bounds in [&[0, 9][..], &[0, 4, 20], &[4, 20], &[10, 20], &[]] {
        let mut series = Series::new(SLOPED, edges(bounds));
        assert_eq!(series.push_course(&whole), error, "{bounds:?}");
        assert_eq!(
            series.finish().map(|bucket| bucket.count().value).collect::<Vec<_>>(),
            vec![Some(0.0); bounds.len().saturating_sub(1)]
        );
    }
    assert_eq!(Series::new(COUNTER, edges(&[0, 10])).push_course(&whole), Err(NotTaken::Counter));
    let mut series = Series::new(SLOPED, edges(&[0, 10]));
    series.push(3, Some(7.0), Good).expect("ascending");
    assert_eq!(series.push_course(&whole), Err(NotTaken::Order(NotAscending { time_us: 3, previous_us: 3 })));
}
