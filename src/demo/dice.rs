//! Seeded chance: the only source of randomness in the demo plant.

use std::f64::consts::TAU;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One stream of random numbers. Streams of the same seed are independent of each other, so that a faster
/// signal does not change what the plant does.
#[derive(Debug, Clone)]
pub(super) struct Dice(StdRng);

impl Dice {
    /// Stream number `stream` of `seed`.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        // The golden-ratio increment of SplitMix64 keeps neighbouring streams far apart.
        let spread = stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self(StdRng::seed_from_u64(seed ^ spread))
    }

    /// Uniform in `[low, high)`.
    pub(super) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// True with the given probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// Exponential with the given mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.0.random::<f64>()).ln()
    }

    /// Normal, by Box and Muller.
    pub(super) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.random::<f64>()).ln()).sqrt();
        mean + deviation * radius * (TAU * self.0.random::<f64>()).cos()
    }

    /// A whole number from `0` to `count - 1`; zero where `count` is zero.
    pub(super) fn below(&mut self, count: usize) -> usize {
        if count == 0 { 0 } else { self.0.random_range(0..count) }
    }
}
