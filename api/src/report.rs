//! Reports: what a quality engineer puts in front of a customer, as HTML, PDF or a workbook.
//!
//! What the module promises:
//!
//! 1. **No figure is computed here.** Each comes from SQL, asked in the session of who wants the report, of one snapshot;
//!    limits, rules and capability are those of `spc`, `spc_limits` and `capability`.
//! 2. **One document, three forms.** It is made once, of headings, facts, tables and drawings, and each writer shows the
//!    same.
//! 3. **Nothing is NaN or empty.** What cannot be calculated is "–" with its reason.
//! 4. **Bounded.** More points or values than a report can hold are refused in words; lists that are cut say so.

mod asked;
mod capability;
mod clock;
mod compose;
mod control;
mod data;
mod document;
mod figure;
mod histogram;
mod html;
mod pdf;
mod points;
mod scale;
mod source;
mod spread;
mod subject;
mod violations;
mod xlsx;

use jiff::Timestamp;
use query::{Engine, QueryError};

pub(crate) use asked::{Wish, quoted};
use capability::Capability;
use data::{Excluded, Measured};
use document::Document;
use points::{Frozen, Now, Point};
use source::Source;
use spread::Spread;
use subject::Subject;
use violations::Contexts;

/// Why there is no report.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for cannot be read.
    Asked(String),
    /// There is nothing of that name, or nothing in that time.
    Unknown(String),
    /// There is something, and no report can be made of it.
    Unusable(String),
    Query(QueryError),
    /// The document could not be written.
    Writing(String),
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    Pdf,
    Xlsx,
}

impl Format {
    /// HTML without a name, as a browser wants it.
    pub(crate) fn named(name: Option<&str>) -> Result<Self, Failure> {
        match name {
            None | Some("" | "html") => Ok(Self::Html),
            Some("pdf") => Ok(Self::Pdf),
            Some("xlsx") => Ok(Self::Xlsx),
            Some(other) => Err(Failure::Asked(format!("`{other}` is no format; use html, pdf or xlsx"))),
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Pdf => "application/pdf",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Xlsx => "xlsx",
        }
    }
}

/// A report that is written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    /// What a file of it is called, without an extension.
    pub(crate) name: String,
}

/// Everything that a report shows, as SQL gave it.
struct Gathered {
    subject: Subject,
    points: Vec<Point>,
    now: Option<Now>,
    frozen: Vec<Frozen>,
    capability: Option<Capability>,
    spread: Result<Spread, String>,
    values: Vec<Measured>,
    excluded: Vec<Excluded>,
    contexts: Contexts,
}

impl Gathered {
    async fn of(source: &Source, wish: &Wish, made: Timestamp) -> Result<Self, Failure> {
        let subject = Subject::settle(source, wish, made).await?;
        let now = match points::limits_now(source, &subject).await {
            Err(Failure::Query(QueryError::Statement { message, at })) => {
                return Err(uncharted(source, &subject, Failure::Query(QueryError::Statement { message, at })).await);
            }
            now => now?,
        };
        let points = points::read(source, &subject).await?;
        if points.is_empty() {
            return Err(nothing(&subject, now.as_ref()));
        }
        let frozen = points::frozen(source, &subject, &points).await?;
        let capability = capability::read(source, &subject).await?;
        let spread = spread::read(source, &subject).await?;
        let values = data::read(source, &subject, &points).await?;
        let excluded = data::exclusions(source, &subject).await?;
        let listed: Vec<&Point> =
            points.iter().rev().filter(|point| point.is_flagged()).take(violations::MOST_LISTED).collect();
        let contexts = violations::read(source, &listed).await?;
        Ok(Self { subject, points, now, frozen, capability, spread, values, excluded, contexts })
    }
}

/// Why no limits can be asked for: fewer values than one subgroup has, or what the statement says.
async fn uncharted(source: &Source, subject: &Subject, said: Failure) -> Failure {
    let size = subject.subgroup.as_deref().and_then(|by| by.parse::<i64>().ok());
    match (size, data::count(source, subject).await) {
        (Some(size), Ok(values)) if (1..size).contains(&values) => no_whole_subgroup(subject, values),
        _ => said,
    }
}

fn no_whole_subgroup(subject: &Subject, values: i64) -> Failure {
    Failure::Unusable(format!(
        "nothing to chart: {values} {} no whole subgroup ({}); choose smaller subgroups or a longer period",
        if values == 1 { "value makes" } else { "values make" },
        subject.subgroup_words()
    ))
}

/// Why there is no point.
fn nothing(subject: &Subject, now: Option<&Now>) -> Failure {
    match now {
        Some(Now { reason: Some(reason), .. }) if reason.starts_with("none of") => Failure::Unusable(format!(
            "nothing to chart: {reason}; texts are not charted, pass and fail are, on a p chart"
        )),
        Some(now) if now.measurements > 0 => no_whole_subgroup(subject, now.measurements),
        _ => subject.nothing_measured(),
    }
}

/// Makes the SPC report that `wish` asks for, as `user` may see it.
pub(crate) async fn spc(
    engine: &Engine,
    user: &str,
    version: &str,
    wish: &Wish,
    format: Format,
) -> Result<Written, Failure> {
    let made = Timestamp::now();
    let as_of = wish.as_of.as_deref().filter(|text| !text.is_empty()).map(known_at).transpose()?;
    let gathered = Gathered::of(&Source::new(engine, user, as_of).await, wish, made).await?;
    let document = compose::compose(&gathered, &compose::Making { user, version, made, as_of });
    let bytes = match format {
        Format::Html => html::write(&document).into_bytes(),
        Format::Pdf => pdf::write(&document).map_err(Failure::Writing)?,
        Format::Xlsx => xlsx::write(&document).map_err(|error| Failure::Writing(error.to_string()))?,
    };
    Ok(Written { bytes, name: file_name(&gathered.subject, &document) })
}

/// The recorded time whose knowledge is asked for. Wall time would be that of a zone that may have been another one then.
fn known_at(text: &str) -> Result<Timestamp, Failure> {
    text.parse().map_err(|_| {
        Failure::Asked(format!(
            "as_of={text} is no time; write one with its offset, like 2026-11-26T06:00+01:00 (in an address + is %2B)"
        ))
    })
}

/// Characteristic, chart and day, in letters that every file system takes.
fn file_name(subject: &Subject, document: &Document) -> String {
    let day = document.clock.written(document.made, "%Y-%m-%d");
    let name = format!("spc_{}_{}_{day}", subject.characteristic, subject.kind.name());
    name.chars().map(|one| if one.is_ascii_alphanumeric() || "_-".contains(one) { one } else { '-' }).collect()
}
