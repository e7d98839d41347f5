//! `time_bucket_gapfill`, `locf` and the scalar `interpolate`: a row for every bucket of the window, also where no sample is.
//!
//! An aggregate that groups by `time_bucket_gapfill` is planned as one that groups by `time_bucket`, so both have the same
//! buckets, below a [`node::GapFill`], which adds the rows that are missing. What `locf` and `interpolate` say is added by a
//! [`node::Carry`] above it. Both go through rows sorted by series and bucket, where a **series** is what one combination
//! of the other group keys has.
//!
//! Memory: the batch at hand, and rows that wait for the value at the end of a gap (from the memory of all queries).

mod bounds;
mod calls;
mod carry;
mod line;
mod node;
mod operator;
mod padding;
mod planner;
mod rule;
mod series;

pub(super) use calls::calls;
pub(crate) use planner::Planner;
pub(crate) use rule::GapFilling;

#[cfg(test)]
mod tests;
