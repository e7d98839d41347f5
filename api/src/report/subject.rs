//! Of what a report is: the characteristic and which of its values, the period, the chart and its words.

use jiff::Timestamp;
use oee::spc::ChartKind;

use super::Failure;
use super::asked::{self, Choice, Wish, quoted};
use super::clock::Clock;
use super::document::grouped;
use super::source::Source;
use crate::columns::{Integers, Texts, Times};

/// Names that are told where one is not known.
const NAMES_TOLD: usize = 12;
const OF: [&str; 3] = ["equipment", "product", "operation"];

/// Of what a report is.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) characteristic: String,
    /// Equipment, product and operation.
    pub(crate) of: [Choice; 3],
    pub(crate) machine: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) uom: Option<String>,
    pub(crate) kind: ChartKind,
    /// How values become subgroups; none: each by itself.
    pub(crate) subgroup: Option<String>,
    /// `[from, to)`, microseconds UTC; none: all there is.
    pub(crate) period: Option<(i64, i64)>,
    pub(crate) clock: Clock,
    pub(crate) distribution: String,
    pub(crate) own_limits: bool,
    rules: String,
    words: Vec<String>,
    measured: Measured,
}

/// What there is of the characteristic, whatever the period.
#[derive(Debug, Default)]
struct Measured {
    rows: i64,
    first: Option<i64>,
    last: Option<i64>,
}

/// Values that agree in machine, product and operation.
struct Combination {
    of: [String; 3],
    rows: i64,
    subgroups: i64,
    first: i64,
    last: i64,
}

impl Subject {
    /// Settles what the address leaves open as the page does: of a characteristic what was measured last.
    pub(crate) async fn settle(source: &Source, wish: &Wish, made: Timestamp) -> Result<Self, Failure> {
        let Some(characteristic) = wish.characteristic.as_deref().filter(|name| !name.is_empty()) else {
            return Err(Failure::Asked(format!("name the characteristic: characteristic=…; {}", known(source).await?)));
        };
        let chart = wish.chart.as_deref().filter(|chart| !chart.is_empty()).unwrap_or("i_mr");
        let kind = ChartKind::parse(chart).map_err(|error| Failure::Asked(error.to_string()))?;
        let own_limits = match wish.limits.as_deref() {
            None | Some("" | "frozen") => false,
            Some("own") => true,
            Some(other) => return Err(Failure::Asked(format!("limits={other:?} is not known; write frozen or own"))),
        };
        let combinations = combinations(source, characteristic).await?;
        if combinations.is_empty() {
            return Err(Failure::Unknown(format!(
                "“{characteristic}” has not been measured; {}",
                known(source).await?
            )));
        }
        let asked = [&wish.equipment, &wish.product, &wish.operation].map(|name| name.as_deref().map(Choice::read));
        let fits = |row: &&Combination| {
            asked.iter().zip(&row.of).all(|(choice, name)| choice.as_ref().is_none_or(|choice| choice.takes(name)))
        };
        let chosen: Vec<&Combination> = combinations.iter().filter(fits).collect();
        let Some(newest) = chosen.iter().max_by_key(|row| row.last) else {
            return Err(Failure::Unknown(elsewhere(characteristic, &asked, &combinations)));
        };
        let [mut equipment, mut product, mut operation] = asked;
        if asked::brings_products(kind) {
            product.get_or_insert(Choice::All);
        }
        for (choice, name) in [&mut equipment, &mut product, &mut operation].into_iter().zip(&newest.of) {
            choice.get_or_insert_with(|| Choice::read(name));
        }
        let of = [equipment, product, operation].map(|choice| choice.unwrap_or(Choice::All));
        let taken =
            || combinations.iter().filter(|row| of.iter().zip(&row.of).all(|(choice, name)| choice.takes(name)));
        let measured = Measured {
            rows: taken().map(|row| row.rows).sum(),
            first: taken().map(|row| row.first).min(),
            last: taken().map(|row| row.last).max(),
        };
        // Frozen limits say how those subgroups were made that they are of.
        let frozen = if own_limits { None } else { frozen_subgroup(source, characteristic, kind, &of).await? };
        let subgroup = match wish.subgroup.as_deref().filter(|by| !by.is_empty()) {
            Some(by) => Some(by.to_owned()),
            None if kind.name() == "i_mr" => None,
            None if frozen.is_some() => frozen,
            None if taken().any(|row| row.subgroups > 0) => Some("subgroup".to_owned()),
            None => asked::usual_subgroup(kind).map(str::to_owned),
        };
        let (clock, machine) = clock(source, wish, &of[0]).await?;
        let rules = wish.rules.clone().filter(|rules| !rules.is_empty()).unwrap_or_else(|| "nelson".to_owned());
        let mut subject = Self {
            machine,
            product: product_name(source, &of[1]).await?,
            uom: uom(source, characteristic, &of).await?,
            period: period(wish, &clock, &measured, made)?,
            distribution: wish.distribution.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "normal".into()),
            characteristic: characteristic.to_owned(),
            of,
            kind,
            subgroup,
            clock,
            own_limits,
            rules,
            words: Vec::new(),
            measured,
        };
        subject.words = subject.chart_words(wish)?;
        Ok(subject)
    }

    fn common_words(&self) -> Vec<String> {
        let named = OF.iter().zip(&self.of).filter(|(_, choice)| **choice != Choice::All).map(|(name, _)| *name);
        let by: Vec<&str> = ["characteristic"].into_iter().chain(named).collect();
        let mut words = Vec::new();
        if by.len() <= OF.len() {
            words.push(format!("by={}", by.join(",")));
        }
        words.extend(self.subgroup.as_ref().map(|by| format!("subgroup={by}")));
        words
    }

    fn chart_words(&self, wish: &Wish) -> Result<Vec<String>, Failure> {
        let mut words = vec![self.kind.name().to_owned()];
        words.extend(self.common_words());
        words.push(format!("rules={}", self.rules));
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        words.extend(said(&wish.phase_i).map(|count| format!("phase_i={count}")));
        if self.own_limits {
            words.push("limits=own".to_owned());
        }
        for (name, value) in [
            ("lambda", &wish.lambda),
            ("k", &wish.k),
            ("h", &wish.h),
            ("headstart", &wish.headstart),
            ("span", &wish.span),
            ("steady", &wish.steady),
            ("width", &wish.width),
            ("target", &wish.target),
            ("sigma", &wish.sigma),
        ] {
            let Some(value) = said(value) else { continue };
            let known = self.kind.parameters();
            if !known.contains(&name) && !["target", "sigma"].contains(&name) {
                let kind = self.kind.name();
                return Err(Failure::Asked(format!("{kind} has no parameter {name}; it has {}", known.join(", "))));
            }
            words.push(format!("{name}={value}"));
        }
        Ok(words)
    }

    /// A function over what is charted, in FROM, with the condition that chooses it.
    fn over(&self, function: &str, words: &[String]) -> String {
        let instant = |time: i64| crate::columns::rfc3339(time).unwrap_or_default();
        let window = self.period.into_iter().flat_map(|(from, to)| [instant(from), instant(to)]);
        let arguments: Vec<String> = words.iter().cloned().chain(window).map(|word| quoted(&word)).collect();
        format!("{function}({}) WHERE {}", arguments.join(", "), self.named())
    }

    /// The points of the chart, in FROM.
    pub(crate) fn spc(&self) -> String {
        self.over("spc", &self.words)
    }

    /// The limits that hold now, in FROM.
    pub(crate) fn spc_limits(&self) -> String {
        self.over("spc_limits", &self.words)
    }

    /// Capability, in FROM.
    pub(crate) fn capability(&self) -> String {
        let mut words = self.common_words();
        words.push(format!("distribution={}", self.distribution));
        self.over("capability", &words)
    }

    /// What is charted, as a condition on `measurements` and on the functions over them.
    pub(crate) fn named(&self) -> String {
        let of = OF.iter().zip(&self.of).filter_map(|(column, choice)| choice.condition(column));
        let all: Vec<String> =
            [format!("characteristic = {}", quoted(&self.characteristic))].into_iter().chain(of).collect();
        all.join(" AND ")
    }

    /// The period, as a condition that goes on one.
    pub(crate) fn in_period(&self) -> String {
        self.period.map_or_else(String::new, |(from, to)| {
            format!(" AND time >= {} AND time < {}", instant_sql(from), instant_sql(to))
        })
    }

    /// The rows of `measurements` that are charted, as a condition.
    pub(crate) fn charted(&self) -> String {
        let usable = if asked::counts_failures(self.kind) {
            "(value IS NOT NULL OR result IN ('pass', 'fail'))"
        } else {
            "value IS NOT NULL"
        };
        format!("{}{} AND {usable}", self.named(), self.in_period())
    }

    /// What chooses records of `table` that hold for what is charted.
    pub(crate) fn held(&self, columns: &[&str]) -> String {
        let of = OF.iter().zip(&self.of).filter(|(column, _)| columns.contains(column));
        let held = of.filter_map(|(column, choice)| match choice {
            Choice::All => None,
            Choice::Nameless => Some(format!("coalesce({column}, '') = ''")),
            Choice::Named(name) => Some(format!("coalesce({column}, '') IN ('', {})", quoted(name))),
        });
        let all: Vec<String> =
            [format!("characteristic = {}", quoted(&self.characteristic))].into_iter().chain(held).collect();
        all.join(" AND ")
    }

    /// Why nothing is charted, where nothing was measured in the period.
    pub(crate) fn nothing_measured(&self) -> Failure {
        let span = |time: Option<i64>| time.map_or_else(String::new, |time| self.clock.minute_and_offset(time));
        Failure::Unknown(format!(
            "no measurement of “{}” in this period; there are {} from {} to {}",
            self.characteristic,
            grouped(self.measured.rows),
            span(self.measured.first),
            span(self.measured.last)
        ))
    }

    /// Whether values of several products, each with its own specification, are on the chart.
    pub(crate) fn mixes_products(&self) -> bool {
        asked::brings_products(self.kind) && self.of[1] == Choice::All
    }

    /// How values become subgroups, for people.
    pub(crate) fn subgroup_words(&self) -> String {
        match self.subgroup.as_deref() {
            None => "each value by itself".to_owned(),
            Some("subgroup") => "as recorded".to_owned(),
            Some(size) if size.bytes().all(|byte| byte.is_ascii_digit()) => format!("{size} values in a row"),
            Some(by) => format!("by {}", by.replace('_', " ")),
        }
    }
}

/// An instant in SQL.
pub(crate) fn instant_sql(time_us: i64) -> String {
    format!("timestamptz {}", quoted(&crate::columns::rfc3339(time_us).unwrap_or_default()))
}

/// Which characteristics there are, in words.
async fn known(source: &Source) -> Result<String, Failure> {
    let found = source.ask("SELECT DISTINCT characteristic FROM measurements ORDER BY 1").await?;
    let names = Texts::of(&found, "characteristic")?;
    let mut told: Vec<&str> = (0..found.num_rows()).filter_map(|row| names.at(row)).take(NAMES_TOLD).collect();
    if told.is_empty() {
        return Ok("nothing has been measured yet: send rows to the table measurements".to_owned());
    }
    if found.num_rows() > told.len() {
        told.push("…");
    }
    Ok(format!("measured are {}", told.join(", ")))
}

/// How the newest frozen limits make subgroups, where there are any and they say it.
async fn frozen_subgroup(
    source: &Source,
    characteristic: &str,
    kind: ChartKind,
    of: &[Choice; 3],
) -> Result<Option<String>, Failure> {
    let fits = OF.iter().zip(of).map(|(column, choice)| match choice.name() {
        Some(name) => format!("coalesce({column}, '') IN ('', {})", quoted(name)),
        None => format!("coalesce({column}, '') = ''"),
    });
    let fits = fits.collect::<Vec<_>>().join(" AND ");
    let found = source
        .ask(&format!(
            "SELECT subgroup FROM control_limits WHERE characteristic = {} AND chart = {} AND {fits} \
             ORDER BY valid_from DESC LIMIT 1",
            quoted(characteristic),
            quoted(kind.name())
        ))
        .await?;
    let subgroups = Texts::of(&found, "subgroup")?;
    Ok((found.num_rows() > 0).then(|| subgroups.owned(0)).flatten().filter(|by| !by.is_empty()))
}

async fn combinations(source: &Source, characteristic: &str) -> Result<Vec<Combination>, Failure> {
    let found = source
        .ask(&format!(
            "SELECT coalesce(equipment, '') AS equipment, coalesce(product, '') AS product, \
               coalesce(operation, '') AS operation, count(*) AS n, count(subgroup) AS subgroups, \
               min(time) AS first, max(time) AS last \
             FROM measurements WHERE characteristic = {} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            quoted(characteristic)
        ))
        .await?;
    let [equipment, product, operation] =
        [Texts::of(&found, "equipment")?, Texts::of(&found, "product")?, Texts::of(&found, "operation")?];
    let (rows, subgroups) = (Integers::of(&found, "n")?, Integers::of(&found, "subgroups")?);
    let (first, last) = (Times::of(&found, "first")?, Times::of(&found, "last")?);
    let of = |row: usize| [&equipment, &product, &operation].map(|names| names.owned(row).unwrap_or_default());
    Ok((0..found.num_rows())
        .map(|row| Combination {
            of: of(row),
            rows: rows.at(row).unwrap_or(0),
            subgroups: subgroups.at(row).unwrap_or(0),
            first: first.at(row).unwrap_or(0),
            last: last.at(row).unwrap_or(0),
        })
        .collect())
}

/// That it was measured, but not there, and where it was.
fn elsewhere(characteristic: &str, asked: &[Option<Choice>; 3], combinations: &[Combination]) -> String {
    let named = OF.iter().zip(asked).filter_map(|(column, choice)| {
        let name = choice.as_ref()?.name().unwrap_or("");
        Some(format!("{column} “{name}”"))
    });
    let named: Vec<String> = named.collect();
    let where_it_was = combinations
        .iter()
        .take(NAMES_TOLD)
        .map(|row| row.of.iter().map(|name| if name.is_empty() { "–" } else { name }).collect::<Vec<_>>().join(" · "));
    format!(
        "“{characteristic}” has not been measured at {}; it was (equipment · product · operation): {}",
        named.join(", "),
        where_it_was.collect::<Vec<_>>().join("; ")
    )
}

/// The clock of the machine and what people call it. Without a machine, or without a zone of its own: of the first.
async fn clock(source: &Source, wish: &Wish, machine: &Choice) -> Result<(Clock, Option<String>), Failure> {
    let found = source.ask("SELECT equipment, name, zone FROM equipment ORDER BY equipment").await?;
    let (paths, names, zones) =
        (Texts::of(&found, "equipment")?, Texts::of(&found, "name")?, Texts::of(&found, "zone")?);
    let place = machine.name().and_then(|path| (0..found.num_rows()).find(|row| paths.at(*row) == Some(path)));
    let name = place.and_then(|row| names.owned(row));
    if let Some(zone) = wish.zone.as_deref().filter(|zone| !zone.is_empty()) {
        let clock = Clock::of(zone)
            .ok_or_else(|| Failure::Asked(format!("“{zone}” is no time zone; write one like Europe/Berlin")))?;
        return Ok((clock, name));
    }
    let zone = place.or((found.num_rows() > 0).then_some(0)).and_then(|row| zones.at(row));
    Ok((zone.and_then(Clock::of).unwrap_or_else(Clock::utc), name))
}

async fn product_name(source: &Source, product: &Choice) -> Result<Option<String>, Failure> {
    let Some(code) = product.name() else { return Ok(None) };
    let sql = format!("SELECT max(name) AS name FROM products WHERE product = {}", quoted(code));
    let found = source.ask(&sql).await?;
    Ok(Texts::of(&found, "name")?.owned(0).filter(|_| found.num_rows() > 0))
}

/// The unit of measure: what says more of what it is of comes first.
async fn uom(source: &Source, characteristic: &str, of: &[Choice; 3]) -> Result<Option<String>, Failure> {
    let [_, product, operation] = of;
    let found = source
        .ask(&format!(
            "SELECT coalesce(product, '') AS product, coalesce(operation, '') AS operation, uom FROM characteristics \
             WHERE characteristic = {} AND uom IS NOT NULL ORDER BY 1, 2",
            quoted(characteristic)
        ))
        .await?;
    let (products, operations, uoms) =
        (Texts::of(&found, "product")?, Texts::of(&found, "operation")?, Texts::of(&found, "uom")?);
    let said = |text: Option<&str>, choice: &Choice| text.is_none_or(str::is_empty) || text == choice.name();
    let fitting = |row: &usize| said(products.at(*row), product) && said(operations.at(*row), operation);
    Ok((0..found.num_rows()).rev().find(fitting).and_then(|row| uoms.owned(row)).filter(|uom| !uom.is_empty()))
}

fn period(wish: &Wish, clock: &Clock, measured: &Measured, made: Timestamp) -> Result<Option<(i64, i64)>, Failure> {
    let read = |name: &str, text: &Option<String>| {
        let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        match query::instant(text, clock.zone()) {
            Some(time) => Ok(Some(time.as_microsecond())),
            None => Err(Failure::Asked(format!(
                "{name}={text} is no time; write one like 2026-11-26T06:00 ({}), or with an offset",
                clock.name()
            ))),
        }
    };
    let (from, to) = (read("from", &wish.from)?, read("to", &wish.to)?);
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let from = from.or(measured.first).unwrap_or(0);
    let to = to.unwrap_or_else(|| made.as_microsecond());
    if from >= to {
        return Err(Failure::Asked("“from” must be before “to”".to_owned()));
    }
    Ok(Some((from, to)))
}
