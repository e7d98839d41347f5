//! Bucket widths and where buckets begin: fixed widths by arithmetic, days, weeks and months by the calendar of a zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit};

/// Microseconds of a day of 24 hours.
pub const DAY_US: i64 = 86_400_000_000;
/// Most buckets of one signal, or of one group: a week by the second, a year by the minute.
const MOST_BUCKETS: i64 = 1_000_000;
/// A Monday, so that weeks begin on Mondays.
const ORIGIN: Date = jiff::civil::date(2000, 1, 3);
/// Midnight UTC of [`ORIGIN`].
const ORIGIN_US: i64 = 946_857_600_000_000;

/// A bucket width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// Calendar months.
    Months(i32),
    /// Calendar days: 23 to 25 hours each in a zone with daylight saving.
    Days(i32),
    /// Elapsed microseconds.
    Micros(i64),
}

/// How time is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Equal widths, by the calendar of the equipment's zone.
    Width(Width),
    /// Shift instances, and the time between them.
    Shift,
    /// Production days.
    Day,
}

/// Why a width or a bucket is not possible, in words that say what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// The text is not a width.
    #[error("{0:?} is not a bucket width; write for example '15 minutes', '1 hour', '1 day', '1 week' or '1 month'")]
    Text(String),
    /// Nothing, or less than nothing.
    #[error("a bucket width must be more than zero")]
    NotPositive,
    /// Longer than there is time.
    #[error("a bucket width of more than 9,000 years holds all there is; write a narrower one")]
    TooWide,
    /// Months are not a number of days.
    #[error("a bucket width cannot mix months with days or hours; write whole months, or days and hours")]
    Mixed,
    /// Unknown zone name.
    #[error("{0:?} is not an IANA time zone; write for example 'Europe/Berlin' or 'UTC'")]
    Zone(String),
    /// A narrow width over a long window.
    #[error(
        "{name} would cut its window into {buckets} buckets, at most {MOST_BUCKETS} are made; write a wider bucket or a \
         shorter window"
    )]
    TooMany {
        /// Of the function.
        name: String,
        /// How many it would be.
        buckets: i64,
    },
    /// A time that no calendar reaches.
    #[error("the time {0} (microseconds since 1970) is outside the calendar")]
    Range(i64),
}

impl Width {
    /// Reads `1 hour`, `15 minutes`, `300.000s`, `1 hour 30 minutes`.
    ///
    /// # Errors
    /// Where the text is no width.
    pub fn parse(text: &str) -> Result<Self, BucketError> {
        let fail = || BucketError::Text(text.to_owned());
        let (mut months, mut days, mut micros) = (0_i64, 0_i64, 0_i64);
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(fail());
        }
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fail)?;
            let (number, tail) = rest.split_at(number_end);
            let tail = tail.trim_start();
            let unit_end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
            let (unit, after) = tail.split_at(unit_end);
            rest = after.trim_start_matches([' ', ',']);
            let number: f64 = number.parse().map_err(|_| fail())?;
            let whole = || if number.fract() == 0.0 && number < 1e6 { Ok(number as i64) } else { Err(fail()) };
            let fixed = |unit_us: f64| -> Result<i64, BucketError> {
                let us = (number * unit_us).round();
                if us < 9e18 { Ok(us as i64) } else { Err(fail()) }
            };
            match unit_word(unit).ok_or_else(fail)? {
                "year" => months += 12 * whole()?,
                "month" => months += whole()?,
                "week" => days += 7 * whole()?,
                "day" => days += whole()?,
                "hour" => micros = micros.checked_add(fixed(3.6e9)?).ok_or_else(fail)?,
                "minute" => micros = micros.checked_add(fixed(6e7)?).ok_or_else(fail)?,
                "second" => micros = micros.checked_add(fixed(1e6)?).ok_or_else(fail)?,
                "millisecond" => micros = micros.checked_add(fixed(1e3)?).ok_or_else(fail)?,
                _ => micros = micros.checked_add(fixed(1.0)?).ok_or_else(fail)?,
            }
        }
        Self::of(months, days, micros)
    }

    /// The width of an SQL interval.
    ///
    /// # Errors
    /// Where it is not more than zero, or mixes months with days.
    pub fn of(months: i64, days: i64, micros: i64) -> Result<Self, BucketError> {
        if months < 0 || days < 0 || micros < 0 || (months, days, micros) == (0, 0, 0) {
            return Err(BucketError::NotPositive);
        }
        let small = |value: i64| i32::try_from(value).map_err(|_| BucketError::TooWide);
        // The calendar ends in the year 9999.
        if months > 12 * 9_000 || days > 366 * 9_000 || micros / DAY_US > 366 * 9_000 {
            return Err(BucketError::TooWide);
        }
        match (months, days, micros) {
            (months, 0, 0) => Ok(Self::Months(small(months)?)),
            (0, days, 0) => Ok(Self::Days(small(days)?)),
            (0, days, micros) => {
                let all = days.checked_mul(DAY_US).and_then(|days| days.checked_add(micros));
                all.map(Self::Micros).ok_or(BucketError::TooWide)
            }
            _ => Err(BucketError::Mixed),
        }
    }

    /// Refuses to cut `[from, to)` into more buckets than a query may ask for.
    ///
    /// # Errors
    /// Where it would be more.
    pub fn check_fits(self, name: &str, (from, to): (i64, i64)) -> Result<(), BucketError> {
        let shortest_us = match self {
            Self::Micros(width) => width,
            Self::Days(days) => i64::from(days) * DAY_US,
            Self::Months(months) => i64::from(months) * 28 * DAY_US,
        };
        let buckets = to.saturating_sub(from) / shortest_us.max(1);
        if buckets <= MOST_BUCKETS {
            return Ok(());
        }
        Err(BucketError::TooMany { name: name.to_owned(), buckets })
    }
}

/// Abbreviations are those of Grafana: `m` is a minute, `M` a month.
fn unit_word(unit: &str) -> Option<&'static str> {
    if unit == "M" {
        return Some("month");
    }
    let word = match unit.to_lowercase().as_str() {
        "y" | "year" | "years" => "year",
        "mon" | "mons" | "month" | "months" => "month",
        "w" | "week" | "weeks" => "week",
        "d" | "day" | "days" => "day",
        "h" | "hour" | "hours" => "hour",
        "m" | "min" | "mins" | "minute" | "minutes" => "minute",
        "s" | "sec" | "secs" | "second" | "seconds" => "second",
        "ms" | "millisecond" | "milliseconds" => "millisecond",
        "us" | "microsecond" | "microseconds" => "microsecond",
        _ => return None,
    };
    Some(word)
}

/// Where bucket edges lie.
#[derive(Debug, Clone)]
pub enum Anchor {
    /// The calendar of a zone.
    Zone(TimeZone),
    /// Whole widths before and after an instant.
    Instant(i64),
}

/// The zone of a name.
///
/// # Errors
/// Where there is none.
pub fn zone(name: &str) -> Result<TimeZone, BucketError> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).or_else(|_| TimeZone::posix(name)).map_err(|_| BucketError::Zone(name.to_owned()))
}

/// Finds the bucket of a time; remembers the last one, because neighbouring rows mostly share it.
#[derive(Debug, Clone)]
pub struct Buckets {
    width: Width,
    anchor: Anchor,
    last: Option<(i64, i64)>,
    /// The local day of the last answer, where buckets are parts of days.
    day: Option<(i64, i64)>,
}

impl Buckets {
    /// Buckets of one width.
    #[must_use]
    pub fn new(width: Width, anchor: Anchor) -> Self {
        Self { width, anchor, last: None, day: None }
    }

    /// Start of the bucket that holds `at_us`.
    ///
    /// # Errors
    /// Where no calendar reaches the time.
    pub fn start(&mut self, at_us: i64) -> Result<i64, BucketError> {
        if let Some((start, end)) = self.last
            && start <= at_us
            && at_us < end
        {
            return Ok(start);
        }
        let found = self.bounds(at_us)?;
        self.last = Some(found);
        Ok(found.0)
    }

    /// Starts of the buckets that hold `times_us`, one for each, as [`Self::start`] finds them.
    ///
    /// # Errors
    /// Where no calendar reaches one of the times.
    pub fn starts(&mut self, times_us: &[i64]) -> Result<Vec<i64>, BucketError> {
        let mut starts = Vec::with_capacity(times_us.len());
        while let Some(&at_us) = times_us.get(starts.len()) {
            let start = self.start(at_us)?;
            let end = self.last.map_or(at_us, |(_, end)| end);
            let rest = times_us.get(starts.len() + 1..).unwrap_or_default();
            let same = rest.iter().take_while(|&&at_us| start <= at_us && at_us < end).count();
            starts.resize(starts.len() + 1 + same, start);
        }
        Ok(starts)
    }

    /// End of the bucket that holds `at_us`. Cheap for one bucket after another.
    ///
    /// # Errors
    /// Where no calendar reaches the time.
    pub fn end(&mut self, at_us: i64) -> Result<i64, BucketError> {
        let (Anchor::Zone(zone), Width::Micros(width)) = (&self.anchor, self.width) else {
            return Ok(self.bounds(at_us)?.1);
        };
        if DAY_US % width != 0 {
            return Ok(self.bounds(at_us)?.1);
        }
        let day = match self.day {
            Some((start, end)) if start <= at_us && at_us < end => (start, end),
            _ => local_day(at_us, zone)?,
        };
        self.day = Some(day);
        Ok(part_of_day(at_us, day, width)?.1)
    }

    /// `[start, end)` of the bucket that holds `at_us`.
    ///
    /// # Errors
    /// Where no calendar reaches the time.
    pub fn bounds(&self, at_us: i64) -> Result<(i64, i64), BucketError> {
        let zoned = match (&self.anchor, self.width) {
            (Anchor::Instant(origin), Width::Micros(width)) => return floor(at_us, *origin, width),
            (Anchor::Instant(origin), Width::Days(days)) => return floor(at_us, *origin, i64::from(days) * DAY_US),
            (Anchor::Instant(origin), Width::Months(months)) => return months_from(at_us, *origin, months),
            (Anchor::Zone(zone), _) => zone,
        };
        match self.width {
            Width::Micros(width) if DAY_US % width == 0 => part_of_day(at_us, local_day(at_us, zoned)?, width),
            Width::Micros(width) => floor(at_us, ORIGIN_US, width),
            Width::Days(days) => {
                let date = local_date(at_us, zoned)?;
                let passed = days_between(ORIGIN, date).ok_or(BucketError::Range(at_us))?;
                let first = passed - passed.rem_euclid(days);
                Ok((midnight(at_us, first, zoned)?, midnight(at_us, first + days, zoned)?))
            }
            Width::Months(months) => {
                let date = local_date(at_us, zoned)?;
                let passed = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
                let first = passed - passed.rem_euclid(months);
                Ok((month_start(at_us, first, zoned)?, month_start(at_us, first + months, zoned)?))
            }
        }
    }
}

fn floor(at_us: i64, origin_us: i64, width_us: i64) -> Result<(i64, i64), BucketError> {
    let range = || BucketError::Range(at_us);
    let passed = at_us.checked_sub(origin_us).ok_or_else(range)?;
    let start = at_us.checked_sub(passed.rem_euclid(width_us)).ok_or_else(range)?;
    Ok((start, start.checked_add(width_us).ok_or_else(range)?))
}

/// From one local midnight to the next: 23 to 25 hours.
fn local_day(at_us: i64, zone: &TimeZone) -> Result<(i64, i64), BucketError> {
    let date = local_date(at_us, zone)?;
    let day = days_between(ORIGIN, date).ok_or(BucketError::Range(at_us))?;
    Ok((midnight(at_us, day, zone)?, midnight(at_us, day + 1, zone)?))
}

/// Buckets of less than a day restart at every local midnight, so a day of 23 or 25 hours has a shorter or one more bucket.
fn part_of_day(at_us: i64, (start_us, end_us): (i64, i64), width_us: i64) -> Result<(i64, i64), BucketError> {
    let (start, end) = floor(at_us, start_us, width_us)?;
    Ok((start, end.min(end_us)))
}

fn local_date(at_us: i64, zone: &TimeZone) -> Result<Date, BucketError> {
    let at = Timestamp::from_microsecond(at_us).map_err(|_| BucketError::Range(at_us))?;
    Ok(zone.to_datetime(at).date())
}

fn days_between(from: Date, to: Date) -> Option<i32> {
    from.until((Unit::Day, to)).ok().map(|span| span.get_days())
}

fn midnight(at_us: i64, day: i32, zone: &TimeZone) -> Result<i64, BucketError> {
    let span = Span::new().try_days(day).map_err(|_| BucketError::Range(at_us))?;
    let date = ORIGIN.checked_add(span).map_err(|_| BucketError::Range(at_us))?;
    day_start(at_us, date, zone)
}

/// Months counted from January of the year 0.
fn month_start(at_us: i64, month: i32, zone: &TimeZone) -> Result<i64, BucketError> {
    let range = || BucketError::Range(at_us);
    let year = i16::try_from(month.div_euclid(12)).map_err(|_| range())?;
    let month = i8::try_from(month.rem_euclid(12) + 1).map_err(|_| range())?;
    day_start(at_us, Date::new(year, month, 1).map_err(|_| range())?, zone)
}

fn day_start(at_us: i64, date: Date, zone: &TimeZone) -> Result<i64, BucketError> {
    let start = zone.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| BucketError::Range(at_us))?;
    Ok(start.as_microsecond())
}

/// Whole months before and after an instant, in UTC.
fn months_from(at_us: i64, origin_us: i64, months: i32) -> Result<(i64, i64), BucketError> {
    let range = || BucketError::Range(at_us);
    let utc = TimeZone::UTC;
    let origin = utc.to_datetime(Timestamp::from_microsecond(origin_us).map_err(|_| range())?);
    let at = local_date(at_us, &utc)?;
    let passed =
        (i32::from(at.year()) - i32::from(origin.year())) * 12 + i32::from(at.month()) - i32::from(origin.month());
    let edge = |step: i32| -> Result<i64, BucketError> {
        let span = Span::new().try_months(step).map_err(|_| range())?;
        let local = origin.checked_add(span).map_err(|_| range())?;
        Ok(utc.to_timestamp(local).map_err(|_| range())?.as_microsecond())
    };
    let mut first = passed - passed.rem_euclid(months);
    if edge(first)? > at_us {
        first -= months;
    }
    Ok((edge(first)?, edge(first + months)?))
}

#[cfg(test)]
mod tests;
