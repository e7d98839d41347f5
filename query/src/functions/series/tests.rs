#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ::oee::plant::Plant;
use ::oee::series::{Bucket, Edges, Figure, Series, Severity};
use arrow::array::{Array, Float64Array, TimestampMicrosecondArray};
use arrow::util::display::array_value_to_string;

use super::*;
use crate::engine::Limits;
use crate::fixture::*;

mod dense;
mod history;
mod shapes;
