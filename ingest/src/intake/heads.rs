//! What lines of line protocol are of: found once for each head, for few heads come again and again, in one body and in all
//! that follow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
pub(super) enum Leads {
    /// Each line is a row of `samples` of one signal.
    Row(Row),
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
pub(super) struct Row {
    pub(super) equipment: String,
    pub(super) signal: String,
    work_order: Option<String>,
    operation: Option<String>,
    unit: Option<String>,
    /// Where the present batch keeps the names.
    series: Option<Series>,
}

impl Row {
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

/// Memory of heads that are remembered at once, about: with more, few of them come again, and all are forgotten.
const REMEMBERED_BYTES: usize = 8 << 20;
/// Bodies that are read at once and leave their heads to later ones.
const SHELVED: usize = 4;

/// The heads that were seen last.
#[derive(Debug, Default)]
pub(super) struct Heads {
    places: HashMap<Arc<str>, usize, RandomState>,
    known: Vec<Known>,
    /// What they take, about.
    bytes: usize,
    last: usize,
    /// The number of the present batch.
    batch: u64,
}

#[derive(Debug)]
struct Known {
    head: Arc<str>,
    leads: Result<Leads, Refusal>,
    /// The head that followed it: sources send their signals in the same order again and again.
    next: usize,
    /// The batch that it was last in.
    batch: u64,
}

impl Heads {
    /// Where a head leads in `plant`, which is the same every time.
    ///
    /// # Errors
    /// Why it leads nowhere.
    pub(super) fn find(&mut self, head: &str, plant: &Plant) -> Result<&mut Leads, Refusal> {
        let expected = self.known.get(self.last).map_or(0, |last| last.next);
        let place = if self.known.get(expected).is_some_and(|known| *known.head == *head) {
            expected
        } else {
            let place = self.place(head, plant);
            if let Some(last) = self.known.get_mut(self.last) {
                last.next = place;
            }
            place
        };
        self.last = place;
        let Some(known) = self.known.get_mut(place) else {
            return Err(Refusal::new("malformed", "the line has no head"));
        };
        let batch = std::mem::replace(&mut known.batch, self.batch);
        match &mut known.leads {
            Ok(leads) => {
                if let Leads::Row(row) = leads
                    && batch != self.batch
                {
                    row.series = None;
                }
                Ok(leads)
            }
            Err(refusal) => Err(refusal.clone()),
        }
    }

    fn place(&mut self, head: &str, plant: &Plant) -> usize {
        if let Some(place) = self.places.get(head) {
            return *place;
        }
        // The head itself, its parts or why they are refused, and its places.
        let bytes = 3 * head.len() + size_of::<Known>() + 128;
        if self.bytes + bytes > REMEMBERED_BYTES {
            *self = Self { batch: self.batch, ..Self::default() };
        }
        let (place, head) = (self.known.len(), Arc::from(head));
        self.known.push(Known {
            head: Arc::clone(&head),
            leads: read(&head, plant),
            next: place + 1,
            batch: self.batch,
        });
        self.places.insert(head, place);
        self.bytes += bytes;
        place
    }

    /// The next samples go to another batch.
    pub(super) fn begin_batch(&mut self) {
        self.batch += 1;
    }
}

/// Heads of bodies that were read, for the next ones of the same plant.
#[derive(Default)]
pub(super) struct Shelf {
    heads: Mutex<Vec<Heads>>,
}

impl Shelf {
    /// Heads for a new body.
    pub(super) fn take(&self) -> Heads {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        heads.begin_batch();
        heads
    }

    /// Keeps them, but for a head that alone takes more than may be kept.
    pub(super) fn put_back(&self, heads: Heads) {
        let mut shelved = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if heads.bytes <= REMEMBERED_BYTES && shelved.len() < SHELVED {
            shelved.push(heads);
        }
    }
}

fn read(head: &str, plant: &Plant) -> Result<Leads, Refusal> {
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
fn row(head: &Head<'_>, plant: &Plant) -> Result<Row, Refusal> {
    let missing = |tag: &str| Refusal::new("malformed", format!("a line of `samples` needs the tag `{tag}`"));
    let tag = |name: &str| head.tag(name).map(|value| value.as_ref().to_owned());
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
        let names: Vec<String> = (0..100_000).map(|number| format!("m{number}")).collect();
        let mut most = 0;
        let mut heads = Heads::default();
        for name in &names {
            assert!(heads.find(name, &plant).unwrap_err().reason.contains(&format!("`{name}`")));
            assert!(matches!(heads.find(known, &plant), Ok(Leads::Row(row)) if row.signal == "s"));
            assert!(heads.bytes <= REMEMBERED_BYTES && heads.known.len() == heads.places.len());
            most = most.max(heads.known.len());
        }
        assert!((10_000..50_000).contains(&most), "{most}");
    }

    #[test]
    fn heads_outlive_their_body_and_their_series_do_not() {
        let plant = "[plant]\nname = \"t\"\nzone = \"UTC\"\n[[equipment]]\npath = \"press\"\n";
        let plant = Plant::parse(plant).unwrap();
        let shelf = Shelf::default();
        let names = ["samples,equipment=press,signal=a", "samples,equipment=press,signal=b", "nowhere"];
        let read = |order: [usize; 3]| {
            let (mut heads, mut batch) = (shelf.take(), Batch::new("t".into(), "http"));
            let found = order.map(|place| match heads.find(names[place], &plant) {
                Ok(Leads::Row(row)) => Ok((row.signal.clone(), row.series(&mut batch))),
                Ok(leads) => panic!("{leads:?}"),
                Err(refusal) => Err(refusal.kind),
            });
            assert_eq!(heads.known.len(), names.len());
            shelf.put_back(heads);
            (found, batch)
        };
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]] {
            let (found, mut batch) = read(order);
            for (place, found) in order.into_iter().zip(found) {
                let expected = ["a", "b"].get(place).ok_or("unmapped");
                assert_eq!(found, expected.map(|name| ((*name).to_owned(), batch.series("press", name))));
            }
        }
        assert_eq!(shelf.heads.lock().unwrap().len(), 1);
    }

    #[test]
    fn long_heads_are_not_kept() {
        let plant = "[plant]\nname = \"t\"\nzone = \"UTC\"\n[[equipment]]\npath = \"press\"\n";
        let plant = Plant::parse(plant).unwrap();
        let (shelf, long) = (Shelf::default(), "m".repeat(REMEMBERED_BYTES + 1));
        let mut heads = shelf.take();
        assert!(heads.find(&long, &plant).is_err());
        shelf.put_back(heads);
        assert!(shelf.heads.lock().unwrap().is_empty());
    }
}
