//! Constants of control charts for normal values, for any number of values.
//!
//! Up to 100 values d2, d3 and c4 come from a table of full double precision; above, d2 and d3 from a polynomial that
//! is within 2e-11 of them up to [`MAX_RANGE_N`] values, c4 from its asymptotic series. Names are those of Montgomery,
//! *Introduction to Statistical Quality Control*, appendix VI, and of AIAG *SPC*, appendix E.

mod table;

use table::{D2_LARGE, D3_LARGE, SMALL};

/// Up to how many values a range has constants. A range of more says next to nothing about sigma.
pub const MAX_RANGE_N: u32 = 1_000_000;

/// Expected range of `n` standard normal values; 0 below 2 values.
#[must_use]
pub fn d2(n: u32) -> f64 {
    small(n).map_or_else(|| large(n, &D2_LARGE), |row| row[0])
}

/// Standard deviation of the range of `n` standard normal values; 0 below 2 values.
#[must_use]
pub fn d3(n: u32) -> f64 {
    small(n).map_or_else(|| large(n, &D3_LARGE), |row| row[1])
}

/// Expected standard deviation (divisor n − 1) of `n` standard normal values; 0 below 2 values.
#[must_use]
pub fn c4(n: u32) -> f64 {
    small(n).map_or_else(|| c4_large(f64::from(n) - 1.0), |row| row[2])
}

/// d2 of the mean of `groups` ranges of `n` values, for estimating a variance (Duncan's d2*; AIAG *MSA*, appendix C).
#[must_use]
pub fn d2_star(n: u32, groups: u32) -> f64 {
    (d2(n).powi(2) + d3(n).powi(2) / f64::from(groups)).sqrt()
}

fn small(n: u32) -> Option<[f64; 3]> {
    match n {
        0 | 1 => Some([0.0; 3]),
        n => SMALL.get(n as usize - 2).copied(),
    }
}

/// Clenshaw's sum over ln n; nothing is known beyond [`MAX_RANGE_N`], so the value there is held.
fn large(n: u32, coefficients: &[f64]) -> f64 {
    let (from, to) = (100_f64.ln(), f64::from(MAX_RANGE_N).ln());
    let x = (2.0 * f64::from(n.min(MAX_RANGE_N)).ln() - from - to) / (to - from);
    let (mut next, mut after) = (0.0, 0.0);
    for coefficient in coefficients.iter().skip(1).rev() {
        (next, after) = (2.0 * x * next - after + coefficient, next);
    }
    x * next - after + coefficients.first().copied().unwrap_or_default()
}

/// Γ((m+1)/2) / Γ(m/2) · √(2/m) by Stirling; with 100 degrees of freedom and more the next term is below 1e-14.
fn c4_large(m: f64) -> f64 {
    let terms = [-1.0 / 4.0, 1.0 / 32.0, 5.0 / 128.0, -21.0 / 2_048.0, -399.0 / 8_192.0, 869.0 / 65_536.0];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / m) + 1.0
}

/// Factors of limits at 3 sigma, as tables print them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// 3/√n, for a mean from a known sigma.
    pub a: f64,
    /// 3/(d2 √n), for a mean from R̄.
    pub a2: f64,
    /// 3/(c4 √n), for a mean from S̄.
    pub a3: f64,
    /// Lower and upper factor of S̄ for a standard deviation.
    pub b3: f64,
    /// See `b3`.
    pub b4: f64,
    /// Lower and upper factor of a known sigma for a standard deviation.
    pub b5: f64,
    /// See `b5`.
    pub b6: f64,
    /// Lower and upper factor of a known sigma for a range.
    pub d1: f64,
    /// See `d1`.
    pub d2: f64,
    /// Lower and upper factor of R̄ for a range.
    pub d3: f64,
    /// See `d3`.
    pub d4: f64,
    /// 3/d2, for single values from a mean range of n.
    pub e2: f64,
}

impl Factors {
    /// For `n` values; none below 2.
    #[must_use]
    pub fn of(n: u32) -> Option<Self> {
        let (d2, d3, c4, root) = (d2(n), d3(n), c4(n), f64::from(n).sqrt());
        let three_s = 3.0 * (1.0 - c4 * c4).max(0.0).sqrt();
        (n >= 2).then(|| Self {
            a: 3.0 / root,
            a2: 3.0 / (d2 * root),
            a3: 3.0 / (c4 * root),
            b3: (1.0 - three_s / c4).max(0.0),
            b4: 1.0 + three_s / c4,
            b5: (c4 - three_s).max(0.0),
            b6: c4 + three_s,
            d1: (d2 - 3.0 * d3).max(0.0),
            d2: d2 + 3.0 * d3,
            d3: (1.0 - 3.0 * d3 / d2).max(0.0),
            d4: 1.0 + 3.0 * d3 / d2,
            e2: 3.0 / d2,
        })
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
