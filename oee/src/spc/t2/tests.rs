//! Expected figures are those of numpy and scipy 1.17, by Montgomery's formulas.

use super::*;
use crate::seeded::Seeded;

/// Six subgroups of three units with two characteristics.
const VALUES: [f64; 36] = [
    9.35, 8.71, 9.83, 5.78, 9.54, 4.46, 8.53, 2.32, 12.0, 2.62, 9.87, 5.44, 9.31, 4.86, 9.02, 3.7, 10.13, 5.74, 10.46,
    6.38, 11.2, 4.48, 9.96, 5.93, 10.3, 4.56, 11.03, 7.74, 10.61, 4.31, 9.21, 3.89, 11.01, 6.0, 10.57, 4.88,
];

fn subgroups(values: &[f64], n: usize) -> Vec<Units> {
    values.chunks(2 * n).map(|values| Units::of(values, 2).expect("units")).collect()
}

#[track_caller]
fn near(got: Option<f64>, wanted: f64) {
    assert!(got.is_some_and(|got| (got / wanted - 1.0).abs() < 1e-9), "{got:?} for {wanted}");
}

#[test]
fn of_subgroups() {
    let (limits, points) = chart(ALPHA, &subgroups(&VALUES, 3), None).expect("a chart");
    near(Some(limits.covariance[1]), 0.195_811_111_111_111_19);
    near(Some(limits.covariance[3]), 2.416_377_777_777_778);
    near(Some(limits.means[0]), 10.107_222_222_222_221);
    near(points[0].plotted, 3.350_261_176_602_607_4);
    near(points[5].plotted, 0.148_565_364_693_988_73);
    near(points[0].ucl, 19.310_604_146_417_358);
    let later = T2::new(limits).expect("limits").point(&subgroups(&VALUES, 3)[1], false).expect("a point");
    near(later.plotted, 3.434_806_269_221_907);
    near(later.ucl, 27.034_845_804_984_304);
}

#[test]
fn of_single_units() {
    let units = subgroups(&VALUES[..24], 1);
    let (limits, points) = chart(ALPHA, &units, None).expect("a chart");
    near(points[0].plotted, 4.677_292_670_848_041);
    near(points[4].plotted, 6.174_794_742_876_478);
    near(points[0].ucl, 7.374_414_005_427_221);
    near(T2::new(limits).expect("limits").point(&units[0], false).expect("a point").ucl, 26.977_282_171_560_915);
}

#[test]
fn phases_exclusions_and_gaps() {
    let mut all = subgroups(&VALUES, 3);
    all.push(Units::of(&[30.0, 5.0, 31.0, 5.0], 2).expect("units"));
    all.push(Units::of(&[], 2).expect("units"));
    let (limits, points) = chart(ALPHA, &all, Some(6)).expect("a chart");
    assert_eq!(limits, T2Limits::estimate(ALPHA, &all[..6]).expect("limits"));
    assert!(points[6].flags.contains(0) && points[..6].iter().all(|point| point.flags.is_empty()));
    assert_eq!((points[7].plotted, points[7].reason), (None, Some(Reason::Empty)));
    let each = T2::new(limits.clone()).expect("limits").of_each(&all[6]);
    assert!(each[0] > 1_000.0 && each[1] < 1.0, "{each:?}");
    // The same judge, phase by phase; what is excluded from the estimate is judged as what came after it.
    let mut judge = T2::new(limits.clone()).expect("limits");
    let ucl = |judge: &mut T2, subgroup: &Units, phase_i| judge.point(subgroup, phase_i).expect("a point").ucl;
    let (first, later) = (ucl(&mut judge, &all[0], true), ucl(&mut judge, &all[0], false));
    assert!(first < later);
    let excluded = Units { excluded: true, ..all[0].clone() };
    assert_eq!((ucl(&mut judge, &all[1], true), ucl(&mut judge, &excluded, true)), (first, later));
    all[6].excluded = true;
    assert_eq!(T2Limits::estimate(ALPHA, &all).expect("limits"), limits);
}

#[test]
fn scale_and_place_of_the_characteristics_do_not_matter() {
    for seed in 0..50 {
        let mut random = Seeded::new(seed);
        let values: Vec<f64> = (0..120).map(|_| random.within(-500, 501) as f64 / 100.0).collect();
        let changed: Vec<f64> = values
            .iter()
            .enumerate()
            .map(|(at, value)| if at % 2 == 0 { 1e3 + 25.0 * value } else { -value })
            .collect();
        let (before, after) = (subgroups(&values, 4), subgroups(&changed, 4));
        let (_, before) = chart(ALPHA, &before, Some(10)).expect("a chart");
        let (_, after) = chart(ALPHA, &after, Some(10)).expect("a chart");
        for (before, after) in before.iter().zip(&after) {
            near(after.plotted, before.plotted.expect("a value"));
            assert_eq!((after.ucl, after.flags), (before.ucl, before.flags));
        }
    }
}

#[test]
fn what_cannot_be() {
    let error = |subgroups: &[Units]| chart(ALPHA, subgroups, None).expect_err("no chart").to_string();
    let follows: Vec<f64> = VALUES.iter().step_by(2).flat_map(|x| [*x, 2.0 * x + 1.0]).collect();
    assert!(error(&subgroups(&follows, 3)).contains("follows from the others"));
    let constant: Vec<f64> = VALUES.iter().step_by(2).flat_map(|x| [*x, 1.0]).collect();
    assert!(error(&subgroups(&constant, 3)).contains("does not vary"));
    // What is left of a variance may be rounding.
    assert!(Cholesky::of(&[1.0, 1.0, 1.0, 1.0 + 1e-14], 2).is_none());
    assert!(error(&subgroups(&VALUES[..6], 1)).contains("t2 needs 4 or more"));
    assert!(error(&[]).contains("t2 needs"));
    assert!(
        Units::of(&[1.0, 2.0, 3.0], 2).is_err() && Units::of(&[1.0], 0).is_err() && Units::of(&[f64::NAN], 1).is_err()
    );
    let mut mixed = subgroups(&VALUES, 3);
    mixed.push(Units::of(&[1.0, 2.0, 3.0], 3).expect("units"));
    assert!(error(&mixed).contains("characteristics"));
    assert!(chart(0.0, &subgroups(&VALUES, 3), None).is_err());
}

#[test]
fn a_model_is_read_back_as_it_was_written_in_any_order() {
    let values = [9.3, 8.7, 1.0, 9.8, 5.7, 1.5, 9.5, 4.4, 0.5, 8.5, 2.3, 1.25, 12.0, 2.6, 0.75, 9.9, 5.1, 1.75];
    let units: Vec<Units> = values.chunks(3).map(|unit| Units::of(unit, 3).unwrap()).collect();
    let limits = T2Limits::estimate(0.01, &units).unwrap();
    let back = T2Limits::parse(&limits.model()).unwrap();
    assert_eq!((&back.means, back.df, back.units, back.single), (&limits.means, 5.0, 6.0, true));
    assert!(back.covariance.iter().zip(&limits.covariance).all(|(one, other)| (one - other).abs() <= 1e-15));
    // Another order of the characteristics is the same distance.
    let turned = back.in_order(&[2, 0, 1]);
    let point = |limits: T2Limits, unit: [f64; 3]| {
        T2::new(limits).unwrap().point(&Units::of(&unit, 3).unwrap(), false).unwrap()
    };
    let (one, other) = (point(back, [10.0, 3.0, 2.0]), point(turned, [2.0, 10.0, 3.0]));
    assert!((one.plotted.unwrap() / other.plotted.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(one.ucl, other.ucl);

    let model = limits.model();
    let wrong = |model: &str| T2Limits::parse(model).unwrap_err().to_string();
    assert!(wrong("means of bore").contains("spc_limits('t2'"));
    assert!(wrong(&model.replace("covariance", "variance")).contains("no model"));
    assert!(
        wrong(r#"{"means":[1,2],"covariance":[[1,0.5],[0.4,1]],"df":9,"units":10,"single":true,"alpha":0.01}"#)
            .contains("no model")
    );
    assert!(
        wrong(r#"{"means":[1,2],"covariance":[[1,1],[1,1]],"df":9,"units":10,"single":true,"alpha":0.01}"#)
            .contains("follow")
    );
    assert!(
        wrong(r#"{"means":[1,2],"covariance":[[1,0],[0,1]],"df":9,"units":10,"single":true,"alpha":2}"#)
            .contains("alpha")
    );
}
