//! Samples of signals that outlines have summed up, for functions that need no single sample.

use std::collections::HashMap;
use std::sync::Arc;

use ::oee::series::{Course, Extent, Point};
use datafusion::logical_expr::Expr;

use super::super::gather::Gather;
use super::SAMPLES;
use super::edges::{Buckets, Layout, lay_out};
use super::known::{Signal, place};
use crate::error::QueryError;
use crate::series_courses::{KnownCourses, SeriesKey};
use crate::series_rows::RowsByPath;

/// What outlines say of the samples in a window.
pub(super) struct Summed {
    /// Of each signal, by time.
    pub(super) courses: Vec<Vec<Course>>,
    /// The samples that they say nothing of.
    pub(super) left: Arc<RowsByPath>,
}

/// What they say of signals whose buckets are laid out so; `None` where it takes the samples.
pub(super) async fn summed(
    gather: &Gather,
    signals: &[Arc<Signal>],
    filter: &Expr,
    layout: Layout,
    window: (i64, i64),
) -> Result<Option<Summed>, QueryError> {
    let Some(table) = gather.view.present(SAMPLES) else { return Ok(None) };
    let (plant, sought) = (Arc::clone(&gather.plant), signals.to_vec());
    // Of all equipment that is laid out alike one layout, and which one that is of each.
    let mut layouts: Vec<(String, Buckets)> = Vec::new();
    let mut laid: HashMap<String, usize> = HashMap::new();
    let in_bucket = move |key: &SeriesKey, (first, last): (i64, i64)| {
        let [Some(equipment), Some(signal)] = key.as_slice() else { return Ok(false) };
        if place(&sought, (equipment, signal)).is_none() {
            return Ok(false);
        }
        let laid_as = match laid.get(equipment.as_ref()) {
            Some(&laid_as) => laid_as,
            None => {
                let alike = layouts.iter().position(|(path, _)| layout.is_alike(&plant, path, equipment));
                let laid_as = alike.unwrap_or(layouts.len());
                if laid_as == layouts.len() {
                    layouts.push((equipment.to_string(), lay_out(&plant, equipment, layout, window)?));
                }
                laid.insert(equipment.to_string(), laid_as);
                laid_as
            }
        };
        let Some((_, buckets)) = layouts.get(laid_as) else { return Ok(false) };
        let behind = buckets.bounds.partition_point(|&edge| edge <= first);
        Ok(behind > 0 && buckets.bounds.get(behind).is_some_and(|&end| last < end))
    };
    let Some(known) = table.known_courses(filter, in_bucket).await? else { return Ok(None) };
    let KnownCourses { mut of_series, left } = known;
    let of_signal = |signal: &Arc<Signal>| {
        let key = vec![Some(Arc::from(signal.equipment.as_str())), Some(Arc::from(signal.name.as_str()))];
        let found = of_series.remove(&key).unwrap_or_default();
        found.into_iter().map(|(rows, course)| in_terms_of_samples(rows, &course)).collect()
    };
    Ok(Some(Summed { courses: signals.iter().map(of_signal).collect(), left }))
}

fn in_terms_of_samples(rows: u64, course: &storage::Course) -> Course {
    let point = |(time_us, value): (i64, f64)| Point { time_us, value };
    Course {
        count: rows,
        sum: course.sum,
        extent: Extent {
            first: point(course.first),
            last: point(course.last),
            minimum: point(course.min),
            maximum: point(course.max),
        },
        held_area: course.held,
        sloped_area: course.sloped,
    }
}
