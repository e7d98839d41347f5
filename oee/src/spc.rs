//! Statistical process control: control charts, rules, capability, and the study of measurement systems.
//!
//! # Charts
//!
//! Values become [`Subgroup`]s, subgroups become [`Limits`] (phase I), and limits draw points: a [`Chart`] of many
//! subgroups, or a [`Judge`] that takes one at a time as they come. A chart is drawn by a judge, so that what is seen
//! live, in SQL and on paper is one thing. Limits are a handful of plain numbers; stored and read again, they draw the
//! same, whatever else is measured afterwards.
//!
//! # Conventions
//!
//! - z = (plotted − centre) / sigma of the plotted statistic. A limit that ends at 0, or where all units are
//!   nonconforming, does not change z.
//! - A subgroup may be excluded: it is plotted and judged, and limits are not estimated from it. A moving range with an
//!   excluded value is not estimated from either.
//! - A subgroup without values is a point without figures. It ends moving ranges and windows of rules; EWMA, CUSUM and
//!   moving average go on after it.
//! - A rule flags the last point of a full window. Companion charts (R, S, MR, C−) and charts whose points depend on
//!   each other are judged by their limits only. What differs by less than 1e-9 sigma is equal.
//! - Nothing is ever NaN or infinite: what cannot be calculated is none, with a [`Reason`] at the point, or an
//!   [`Error`] that says what would do instead.
//!
//! Sources are Montgomery, *Introduction to Statistical Quality Control*; AIAG, *SPC* and *MSA*; ISO 7870, ISO 22514;
//! and the papers named beside the formulas.

pub mod bias;
pub mod capability;
mod chart;
pub mod constant;
pub mod distribution;
mod error;
#[cfg(test)]
mod expected;
pub mod gage;
mod judge;
mod kind;
mod limits;
pub mod linearity;
pub mod nonnormal;
pub mod normality;
mod point;
mod rational;
mod rule;
pub mod short_run;
mod sigma;
mod subgroup;
pub mod t2;

pub use bias::Bias;
pub use chart::Chart;
pub use error::Error;
pub use judge::{Judge, Verdict};
pub use kind::ChartKind;
pub use limits::{Companion, Limits, Parameters};
pub use linearity::Linearity;
pub use point::{Flags, Point, Reason};
pub use rational::Rational;
pub use rule::{Rule, RuleSet, Test};
pub use sigma::{Sigma, SigmaMethod};
pub use subgroup::Subgroup;
