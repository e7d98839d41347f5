//! What a plant asks of a signal: a method and its limits.

use super::{DeadBand, Limits, Sample, SwingingDoor};
use crate::plant::{Interpolation, word};
use crate::series::NotAscending;

/// How samples are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// See [`DeadBand`].
    DeadBand,
    /// See [`SwingingDoor`].
    SwingingDoor,
}

impl Method {
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("dead_band", Self::DeadBand), ("swinging_door", Self::SwingingDoor)];

    /// Its name in `plant.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        word(&Self::WORDS, self)
    }

    /// How a signal must be read so that what was left out is given back within the tolerance.
    #[must_use]
    pub fn interpolation(self) -> Interpolation {
        match self {
            Self::DeadBand => Interpolation::Stepped,
            Self::SwingingDoor => Interpolation::Sloped,
        }
    }
}

/// Compression of one signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compression {
    /// How.
    pub method: Method,
    /// How far it may go.
    pub limits: Limits,
}

impl Compression {
    /// Which of the samples, microseconds UTC and numbers, stay. The first and the last of them always do, so that a
    /// stretch is given back without those next to it.
    ///
    /// # Errors
    ///
    /// Where times do not ascend.
    pub fn keep(&self, stretch: &[(i64, f64)]) -> Result<Vec<bool>, NotAscending> {
        let samples = stretch.iter().map(|&(time_us, value)| Sample { time_us, value: Some(value), mark: () });
        let mut times_us: Vec<i64> = Vec::new();
        match self.method {
            Method::DeadBand => {
                let mut band = DeadBand::new(self.limits);
                for sample in samples {
                    times_us.extend(band.push(sample)?.map(|kept| kept.time_us));
                }
            }
            Method::SwingingDoor => {
                let mut door = SwingingDoor::new(self.limits);
                for sample in samples {
                    times_us.extend(door.push(sample)?.map(|kept| kept.time_us));
                }
                times_us.extend(door.finish().map(|kept| kept.time_us));
            }
        }
        let mut kept = times_us.into_iter().peekable();
        let mut keep: Vec<bool> =
            stretch.iter().map(|(time_us, _)| kept.next_if(|kept| kept == time_us).is_some()).collect();
        if let Some(last) = keep.last_mut() {
            *last = true;
        }
        Ok(keep)
    }
}
