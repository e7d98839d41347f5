//! What lines of line protocol are of: found once for each head of a body, for few heads come again and again.

use std::borrow::Cow;
use std::collections::HashMap;

use ahash::RandomState;
use oee::plant::{LineRoute, Plant};
use oee::tables::SAMPLES;

use crate::batch::Batch;
use crate::decode::line::Head;
use crate::quarantine::Refusal;
use crate::route::unknown_equipment;
use crate::sample::{Keys, Series};

/// Where lines with one head lead.
#[derive(Debug)]
pub(super) enum Leads<'a> {
    /// Each line is a row of `samples` of one signal.
    Row(Row<'a>),
    /// Fields are signals of an equipment, or their names follow that of one signal.
    Fields {
        /// Its path.
        equipment: String,
        /// The signal, where the plant names it.
        signal: Option<String>,
    },
}

/// A row of `samples`, as far as tags tell.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) equipment: Cow<'a, str>,
    pub(super) signal: Cow<'a, str>,
    work_order: Option<Cow<'a, str>>,
    operation: Option<Cow<'a, str>>,
    unit: Option<Cow<'a, str>>,
    /// Where the present batch keeps the names.
    series: Option<Series>,
}

impl Row<'_> {
    /// The keys that are tags.
    pub(super) fn keys(&self) -> Keys<'_> {
        Keys {
            work_order: self.work_order.as_deref(),
            operation: self.operation.as_deref(),
            unit: self.unit.as_deref(),
        }
    }

    /// Where `batch` keeps the names.
    pub(super) fn series(&mut self, batch: &mut Batch) -> Series {
        *self.series.get_or_insert_with(|| batch.series(&self.equipment, &self.signal))
    }
}

/// Heads that are remembered at once: with more, few of them come again, and all are forgotten.
const REMEMBERED: usize = 1 << 14;

/// The heads of a body that were seen last.
#[derive(Debug, Default)]
pub(super) struct Heads<'a> {
    places: HashMap<&'a str, usize, RandomState>,
    known: Vec<Known<'a>>,
    last: usize,
}

#[derive(Debug)]
struct Known<'a> {
    head: &'a str,
    leads: Result<Leads<'a>, Refusal>,
    /// The head that followed it: sources send their signals in the same order again and again.
    next: usize,
}

impl<'a> Heads<'a> {
    /// Where a head leads in `plant`.
    ///
    /// # Errors
    /// Why it leads nowhere.
    pub(super) fn find(&mut self, head: &'a str, plant: &Plant) -> Result<&mut Leads<'a>, Refusal> {
        let expected = self.known.get(self.last).map_or(0, |last| last.next);
        let place = if self.known.get(expected).is_some_and(|known| known.head == head) {
            expected
        } else {
            if self.known.len() >= REMEMBERED {
                (self.known, self.last) = (Vec::new(), 0);
                self.places.clear();
            }
            let known = &mut self.known;
            let place = *self.places.entry(head).or_insert_with(|| {
                known.push(Known { head, leads: read(head, plant), next: known.len() + 1 });
                known.len() - 1
            });
            if let Some(last) = known.get_mut(self.last) {
                last.next = place;
            }
            place
        };
        self.last = place;
        match self.known.get_mut(place).map(|known| &mut known.leads) {
            Some(Ok(leads)) => Ok(leads),
            Some(Err(refusal)) => Err(refusal.clone()),
            None => Err(Refusal::new("malformed", "the line has no head")),
        }
    }

    /// The next samples go to another batch.
    pub(super) fn begin_batch(&mut self) {
        for known in &mut self.known {
            if let Ok(Leads::Row(row)) = &mut known.leads {
                row.series = None;
            }
        }
    }
}

fn read<'a>(head: &'a str, plant: &Plant) -> Result<Leads<'a>, Refusal> {
    let head = Head::read(head).map_err(|reason| Refusal::new("malformed", reason))?;
    // The measurement that is the table itself.
    if head.measurement == SAMPLES.name {
        return row(&head, plant).map(Leads::Row);
    }
    let tags: Vec<(&str, &str)> = head.tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
    match plant.line_route(&head.measurement, &tags) {
        LineRoute::Mapped { equipment, signal } => Ok(Leads::Fields { equipment, signal }),
        LineRoute::UnknownEquipment { equipment } => Err(unknown_equipment(&equipment)),
        LineRoute::Unmapped { missing_tag } => {
            let reason = format!(
                "measurement `{}` needs the tag `{missing_tag}`, or a [[line_protocol]] entry in plant.toml \
                 that names its equipment by other tags",
                head.measurement
            );
            Err(Refusal::new("unmapped", reason))
        }
    }
}

/// A row of `samples` as it stands: tags `equipment` and `signal`, and perhaps keys.
fn row<'a>(head: &Head<'a>, plant: &Plant) -> Result<Row<'a>, Refusal> {
    let missing = |tag: &str| Refusal::new("malformed", format!("a line of `samples` needs the tag `{tag}`"));
    let tag = |name: &str| head.tag(name).cloned();
    let equipment = tag("equipment").ok_or_else(|| missing("equipment"))?;
    let signal = tag("signal").ok_or_else(|| missing("signal"))?;
    if plant.equipment(&equipment).is_none() {
        return Err(unknown_equipment(&equipment));
    }
    let (work_order, operation, unit) = (tag("work_order"), tag("operation"), tag("unit"));
    Ok(Row { equipment, signal, work_order, operation, unit, series: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_never_come_again_are_forgotten_and_those_that_do_are_found() {
        let plant = "[plant]\nname = \"t\"\nzone = \"UTC\"\n[[equipment]]\npath = \"press\"\n";
        let plant = Plant::parse(plant).unwrap();
        let known = "samples,equipment=press,signal=s";
        let names: Vec<String> = (0..3 * REMEMBERED).map(|number| format!("m{number}")).collect();
        let mut heads = Heads::default();
        for name in &names {
            assert!(heads.find(name, &plant).unwrap_err().reason.contains(&format!("`{name}`")));
            assert!(matches!(heads.find(known, &plant), Ok(Leads::Row(row)) if row.signal == "s"));
            assert!(heads.known.len() <= REMEMBERED && heads.places.len() <= REMEMBERED);
        }
    }
}
