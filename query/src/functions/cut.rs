//! How a window is cut into buckets: by widths, by shifts, by production days.

use ::oee::calendar::Calendar;
use ::oee::plant::Plant;

use crate::error::QueryError;
use oee::bucket::{Anchor, Buckets, Cut};

/// One stretch of the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) shift: Option<String>,
    pub(super) production_day: Option<String>,
}

/// Buckets, made as they are asked for.
pub(super) type BucketsAhead = Box<dyn Iterator<Item = Result<Bucket, QueryError>> + Send>;

/// The window in buckets, ascending and without gaps, each clipped to it.
pub(super) fn buckets(plant: &Plant, path: &str, cut: Cut, from: i64, to: i64) -> BucketsAhead {
    let continuous = || Calendar::continuous(plant.plant_zone().clone());
    let calendar = plant.calendar(path).cloned().unwrap_or_else(continuous);
    match cut {
        Cut::Shift => Box::new(shifts(&calendar, from, to).into_iter().map(Ok)),
        Cut::Day => {
            let days = calendar.days(from, to).into_iter();
            Box::new(days.map(move |day| Ok(plain(day.start.max(from), day.end.min(to), Some(day.date.to_string())))))
        }
        Cut::Width(width) => {
            let mut widths = Buckets::new(width, Anchor::Zone(plant.zone(path).clone()));
            let mut start = from;
            Box::new(std::iter::from_fn(move || {
                let bucket = match widths.end(start) {
                    _ if start >= to => return None,
                    Err(error) => return Some(Err(QueryError::Execution(error.to_string()))),
                    Ok(end) => plain(start, end.min(to), None),
                };
                start = bucket.end;
                Some(Ok(bucket))
            }))
        }
    }
}

fn plain(start: i64, end: i64, production_day: Option<String>) -> Bucket {
    Bucket { start, end, shift: None, production_day }
}

/// Shift instances, and the time between them as buckets without a shift.
fn shifts(calendar: &Calendar, from: i64, to: i64) -> Vec<Bucket> {
    let mut found = Vec::new();
    let mut t = from;
    for shift in calendar.instances(from, to) {
        let (start, end) = (shift.start.max(t), shift.end.min(to));
        if start >= end {
            continue;
        }
        if t < start {
            found.push(plain(t, start, None));
        }
        found.push(Bucket {
            start,
            end,
            shift: Some(shift.name),
            production_day: Some(shift.production_day.to_string()),
        });
        t = end;
    }
    if t < to {
        found.push(plain(t, to, None));
    }
    found
}

#[cfg(test)]
mod tests;
