//! Expected figures are scipy 1.17's.

use super::*;

fn near(got: f64, wanted: f64) {
    assert!((got / wanted - 1.0).abs() < 1e-10, "{got:e} for {wanted:e}");
}

#[test]
fn normal() {
    near(normal_cdf(-6.0), 9.865_876_450_376_946e-10);
    near(ln_normal_cdf(-50.0), -1_254.831_361_139_419_9);
    near(ln_normal_cdf(-29.9), -451.322_912_458_528_7);
    near(ln_normal_cdf(-30.1), -457.329_564_416_382_37);
    near(ln_normal_cdf(6.0), -9.865_876_455_243_72e-10);
    near(normal_quantile(1e-10), -6.361_340_902_404_056);
    near(normal_quantile(0.001_35), -2.999_976_992_703_393_5);
    near(normal_quantile(0.975), 1.959_963_984_540_054);
    near(normal_quantile(1.0 - 2_f64.powi(-20)), 4.763_001_034_267_814);
    near(normal_quantile(0.51), 0.025_068_908_258_711_06);
    assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
}

#[test]
fn chi_squared() {
    near(ChiSquared { df: 100.0 }.lower(90.0), 0.246_802_034_400_170_26);
    near(ChiSquared { df: 100.0 }.upper(300.0), 7.412_100_857_323_017_5e-22);
    near(ChiSquared { df: 90.0 }.quantile(0.025), 65.646_617_576_468_93);
    near(ChiSquared { df: 32.4 }.quantile(0.975), 49.978_753_055_115_23);
    near(ChiSquared { df: 1.3 }.quantile(0.025), 0.005_844_964_263_359_177);
}

#[test]
fn fisher_f() {
    near(FisherF { df1: 9.0, df2: 18.0 }.upper(492.291_422_664), 1.163_063_994_927_589_8e-19);
    near(FisherF { df1: 18.0, df2: 60.0 }.upper(0.4337), 0.974_112_849_564_955_3);
    near(FisherF { df1: 3.0, df2: 40.0 }.quantile(0.9973), 5.582_026_113_176_522);
    near(FisherF { df1: 5.0, df2: 2.0 }.lower(0.1), 0.017_888_543_819_998_32);
}

#[test]
fn student_t_and_beta() {
    near(StudentT { df: 7.0 }.two_sided(2.5), 0.040_992_218_585_752_89);
    near(StudentT { df: 30.0 }.two_sided(-40.0), 1.372_604_519_440_642_7e-27);
    near(StudentT { df: 11.0 }.quantile(0.975), 2.200_985_160_091_639);
    near(StudentT { df: 1.5 }.quantile(0.025), -6.016_663_104_427_933);
    near(Beta { a: 1.5, b: 20.0 }.quantile(0.9973), 0.295_105_473_885_482_2);
}
