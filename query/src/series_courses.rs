//! Which cells of outlines stand for their rows, where it matters how these go: those that lie in one bucket, with no other row
//! of their series among theirs.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, partition};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use storage::{Cell, Course, KeySet, Segment, SeriesOutline, TableSpec, with_views};

use crate::error::QueryError;
use crate::series_cells::{MOST_CELLS, MOST_SUPERSEDED};
use crate::series_rows::{MOST_SERIES, RowsByPath, SeriesRows, Wanted, ranges_of, series_columns};
use crate::types::time_type;

/// Rows of a cell that are looked at one by one, where they came late.
const FEW_ROWS: u64 = 256;
/// Rows of one batch.
const BATCH_ROWS: usize = 8_192;

/// Values of the key columns but the time, in key order.
pub(crate) type SeriesKey = Vec<Option<Arc<str>>>;

/// How the rows of some cells go, and which rows have to be read besides.
#[derive(Debug, Default)]
pub(crate) struct KnownCourses {
    /// Of each series by time, with how many rows each has.
    pub(crate) of_series: HashMap<SeriesKey, Vec<(u64, Course)>>,
    /// By path: the other rows of a segment.
    pub(crate) left: Arc<RowsByPath>,
}

/// A cell of a series of a segment, told by their places.
#[derive(Clone, Copy)]
struct Place<'a> {
    segment: usize,
    cell: usize,
    /// Its first and last row, as far as that is known.
    span: (i64, i64),
    found: &'a Cell,
}

/// What is looked at of a series.
struct OfSeries<'a> {
    key: &'a SeriesKey,
    /// What each segment has of it.
    parts: Vec<(usize, &'a SeriesOutline)>,
    /// Its cells that are asked for.
    places: Vec<Place<'a>>,
    /// Times of rows that are or are not there, whatever the cells say.
    single: Vec<i64>,
}

/// The courses of `segments`, which come with the keys of their rows that are superseded. `in_bucket` tells of a series whether
/// a first and a last time lie in one bucket; `hot` are rows beside the segments. `None` where more is to be read than is known,
/// so that it is simpler to read all. It may read files.
pub(crate) fn known_courses(
    wanted: &Wanted<'_>,
    mut in_bucket: impl FnMut(&SeriesKey, (i64, i64)) -> Result<bool, QueryError>,
    segments: &[(Arc<Segment>, Option<Arc<KeySet>>)],
    hot: &RecordBatch,
) -> Result<Option<KnownCourses>, QueryError> {
    let mut outlines = Vec::with_capacity(segments.len());
    for (segment, _) in segments {
        let Some(outline) = segment.outline() else { return Ok(None) };
        outlines.push(outline);
    }
    // Single rows that are or are not there, whatever an outline says.
    let mut single = times_of_rows(wanted.spec, hot)?;
    for dead in segments.iter().filter_map(|(_, dead)| dead.as_deref()) {
        if dead.len() > MOST_SUPERSEDED {
            return Ok(None);
        }
        for (key, times) in dead.times_of_series()? {
            single.entry(key).or_default().extend(times);
        }
    }
    let mut by_series: HashMap<&SeriesKey, Vec<(usize, &SeriesOutline)>> = HashMap::new();
    for (segment, outline) in outlines.iter().enumerate() {
        for series in outline.series.iter().filter(|series| wanted.names(&series.key)) {
            by_series.entry(&series.key).or_default().push((segment, series));
        }
    }
    let mut all: Vec<OfSeries<'_>> = Vec::with_capacity(by_series.len());
    let mut few: Vec<Vec<(Range<usize>, usize)>> = vec![Vec::new(); segments.len()];
    let mut asked = 0;
    for (key, parts) in by_series {
        let mut places = Vec::new();
        for &(segment, series) in &parts {
            let asked = series.cells.iter().enumerate().filter(|(_, cell)| wanted.meets(series, cell));
            places.extend(asked.map(|(cell, found)| Place { segment, cell, span: span(series, found), found }));
        }
        for place in few_among_many(&mut places) {
            let series = parts.iter().find(|part| part.0 == place.segment).map(|part| part.1);
            let ranges = series.map(|series| ranges_of(series, |cell, _| cell == place.cell)).unwrap_or_default();
            if let Some(few) = few.get_mut(place.segment) {
                few.extend(ranges.into_iter().map(|range| (range, all.len())));
            }
        }
        asked += places.len();
        if asked > MOST_CELLS {
            return Ok(None);
        }
        all.push(OfSeries { key, parts, places, single: single.remove(key).unwrap_or_default() });
    }
    for ((segment, _), few) in segments.iter().zip(few) {
        add_times(wanted.spec, segment, few, &mut all)?;
    }

    let mut rows: Vec<Vec<SeriesRows>> = vec![Vec::new(); segments.len()];
    let mut of_series = HashMap::new();
    let (mut known, mut unknown, mut series_left) = (0, 0, 0);
    for OfSeries { key, parts, places, mut single } in all {
        single.sort_unstable();
        let mut courses = Vec::new();
        let mut taken = HashSet::new();
        for Place { segment, cell, span, found } in alone(places) {
            let next = single.partition_point(|time| *time < span.0);
            let untouched = single.get(next).is_none_or(|time| span.1 < *time);
            if let Some(course) = found.course.filter(|_| untouched)
                && in_bucket(key, span)?
            {
                courses.push((found.rows, course));
                taken.insert((segment, cell));
            }
        }
        known += courses.iter().map(|(rows, _)| rows).sum::<u64>();
        for (segment, series) in parts {
            let is_left = |cell: usize, found: &Cell| wanted.meets(series, found) && !taken.contains(&(segment, cell));
            let ranges = ranges_of(series, is_left);
            if let (false, Some((read, _)), Some(rows)) =
                (ranges.is_empty(), segments.get(segment), rows.get_mut(segment))
            {
                let left = SeriesRows { segment: Arc::clone(read), key: key.clone(), ranges, times: Vec::new() };
                unknown += left.count() as u64;
                series_left += 1;
                rows.push(left);
            }
        }
        if series_left > MOST_SERIES {
            return Ok(None);
        }
        if !courses.is_empty() {
            of_series.insert(key.clone(), courses);
        }
    }
    if known <= unknown {
        return Ok(None);
    }
    // Rows are read in key order.
    rows.iter_mut().for_each(|rows| rows.sort_by(|one, other| one.key.cmp(&other.key)));
    let left = segments.iter().zip(rows).map(|((segment, _), rows)| (segment.path.clone(), rows)).collect();
    Ok(Some(KnownCourses { of_series, left: Arc::new(left) }))
}

/// The first and the last time of a cell, as far as that is known.
fn span(series: &SeriesOutline, cell: &Cell) -> (i64, i64) {
    cell.course.map_or((cell.start_us, series.last_us(cell)), |course| (course.first.0, course.last.0))
}

/// Takes out cells with a few rows among those of cells that have a course: rows that came late. Where exactly they lie decides
/// which course is of no use.
fn few_among_many<'a>(places: &mut Vec<Place<'a>>) -> Vec<Place<'a>> {
    let mut courses: Vec<(i64, i64)> =
        places.iter().filter(|place| place.found.course.is_some()).map(|place| place.span).collect();
    courses.sort_unstable();
    let mut reached = i64::MIN;
    for (_, last) in &mut courses {
        reached = reached.max(*last);
        *last = reached;
    }
    let meets = |(first, last): (i64, i64)| {
        let before = courses.partition_point(|(start, _)| *start <= last);
        before.checked_sub(1).and_then(|place| courses.get(place)).is_some_and(|(_, reached)| first <= *reached)
    };
    let is_few = |place: &Place<'_>| place.found.course.is_none() && place.found.rows <= FEW_ROWS && meets(place.span);
    let (few, many) = std::mem::take(places).into_iter().partition(is_few);
    *places = many;
    few
}

/// The cells with a course by time, but those with rows of another cell among theirs.
fn alone(mut places: Vec<Place<'_>>) -> Vec<Place<'_>> {
    places.sort_by_key(|place| place.span);
    let mut reached = None;
    let mut apart = Vec::with_capacity(places.len());
    for (index, place) in places.iter().enumerate() {
        let begins_later = reached.is_none_or(|reached| reached < place.span.0);
        let ends_earlier = places.get(index + 1).is_none_or(|next| place.span.1 < next.span.0);
        apart.push(begins_later && ends_earlier && place.found.course.is_some());
        reached = reached.max(Some(place.span.1));
    }
    places.into_iter().zip(apart).filter(|(_, apart)| *apart).map(|(place, _)| place).collect()
}

/// Adds the times of some rows of a segment to the series that they are of, which is told by its place.
fn add_times(
    spec: &TableSpec,
    segment: &Segment,
    mut rows: Vec<(Range<usize>, usize)>,
    all: &mut [OfSeries<'_>],
) -> Result<(), QueryError> {
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by_key(|(range, _)| range.start);
    let name = time_of(spec);
    let mut times: Vec<i64> = Vec::new();
    let ranges = rows.iter().map(|(range, _)| range.clone());
    for batch in segment.rows_in(ranges, &[name], &with_views(&spec.schema), None, BATCH_ROWS)? {
        let batch = batch?;
        let column =
            batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let none = || QueryError::Unreadable { path: segment.path.clone(), message: "its times are none".to_owned() };
        times.extend(column.ok_or_else(none)?.values());
    }
    let mut rest = times.as_slice();
    for (range, series) in rows {
        let (here, behind) = rest.split_at(range.len().min(rest.len()));
        rest = behind;
        if let Some(series) = all.get_mut(series) {
            series.single.extend(here);
        }
    }
    Ok(())
}

fn time_of(spec: &TableSpec) -> &str {
    spec.time.map_or("", |time| spec.schema.field(time).name())
}

/// The times of rows by series.
fn times_of_rows(spec: &TableSpec, rows: &RecordBatch) -> Result<HashMap<SeriesKey, Vec<i64>>, QueryError> {
    let mut found: HashMap<SeriesKey, Vec<i64>> = HashMap::new();
    if rows.num_rows() == 0 {
        return Ok(found);
    }
    let column = |name: &str, kind: &DataType| {
        let column = rows.column_by_name(name);
        let column = column.ok_or_else(|| QueryError::Layout(format!("rows without their column {name}")))?;
        Ok::<_, QueryError>(cast(column, kind)?)
    };
    let names: Vec<_> = series_columns(spec).map(|name| column(name, &DataType::Utf8)).collect::<Result<_, _>>()?;
    let times = column(time_of(spec), &time_type())?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    for range in partition(&names)?.ranges() {
        let part = |name: &ArrayRef| {
            let texts = name.as_string::<i32>();
            texts.is_valid(range.start).then(|| Arc::from(texts.value(range.start)))
        };
        let times = range.clone().map(|row| times.value(row));
        found.entry(names.iter().map(part).collect()).or_default().extend(times);
    }
    Ok(found)
}
