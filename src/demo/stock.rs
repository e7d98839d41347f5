//! Component lots beside the stations, and the pallets behind the line.

use super::dice::Dice;
use super::message::{Message, Object};
use super::station::LINE;
use super::{SECOND_US, seconds_us};

/// A component that a station puts into every piece.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) item: &'static str,
    pub(super) per_piece: u32,
    pub(super) lot_size: u32,
}

/// Pieces on a full pallet.
pub(super) const PALLET_PIECES: u32 = 24;

/// How often the next lot is not there when the last one runs out.
const LATE_LOT_CHANCE: f64 = 0.08;

/// The number from which identities are counted in a simulation that starts at `start_us`, where no more
/// than one is used up in `pace_s` seconds: a later simulation goes on above all of an earlier one.
pub(super) fn first_number(start_us: i64, pace_s: i64) -> i64 {
    const YEAR_2020_S: i64 = 1_577_836_800;
    (start_us / SECOND_US - YEAR_2020_S).max(0) / pace_s
}

#[derive(Debug)]
struct Lot {
    name: String,
    remaining: u32,
}

#[derive(Debug)]
struct Pallet {
    name: String,
    order: usize,
    pieces: u32,
}

/// What lies beside the line.
#[derive(Debug)]
pub(super) struct Stock {
    /// By station, then by feed.
    lots: Vec<Vec<Option<Lot>>>,
    pallet: Option<Pallet>,
    next_lot: i64,
    next_pallet: i64,
}

impl Stock {
    pub(super) fn new(start_us: i64) -> Self {
        Self {
            lots: LINE.iter().map(|spec| spec.feeds.iter().map(|_| None).collect()).collect(),
            pallet: None,
            next_lot: first_number(start_us, 30),
            next_pallet: first_number(start_us, 60),
        }
    }

    /// How long the station has to wait for components before the next piece, if at all.
    pub(super) fn shortage_us(&self, station: usize, dice: &mut Dice) -> Option<i64> {
        let mut feeds = LINE[station].feeds.iter().zip(&self.lots[station]);
        let ran_out = feeds.any(|(feed, lot)| lot.as_ref().is_some_and(|lot| lot.remaining < feed.per_piece));
        (ran_out && dice.chance(LATE_LOT_CHANCE)).then(|| seconds_us(dice.uniform(90.0, 420.0)))
    }

    /// Takes the components of one piece and says so: lots newly opened, and one genealogy edge per feed.
    pub(super) fn consume(&mut self, station: usize, unit: &str, now_us: i64, out: &mut Vec<Message>) {
        let spec = &LINE[station];
        let mut edges = Vec::new();
        for (index, feed) in spec.feeds.iter().enumerate() {
            let spent = self.lots[station][index].as_ref().is_none_or(|lot| lot.remaining < feed.per_piece);
            if spent {
                self.open_lot(station, index, now_us, out);
            }
            if let Some(lot) = &mut self.lots[station][index] {
                lot.remaining -= feed.per_piece;
                edges.push(
                    Object::new()
                        .text("event_id", &format!("{unit}-{}", feed.item))
                        .text("parent", &lot.name)
                        .text("child", unit)
                        .decimal("quantity", f64::from(feed.per_piece), 0)
                        .text("kind", "consumed")
                        .time("time", now_us)
                        .text("operation", spec.operation)
                        .text("equipment", &equipment(station)),
                );
            }
        }
        if !edges.is_empty() {
            out.push(Message::records(now_us, "materials", edges));
        }
    }

    /// Puts a packed piece on the pallet of its order.
    pub(super) fn palletize(
        &mut self,
        unit: &str,
        order: usize,
        product: &str,
        station: usize,
        now_us: i64,
        out: &mut Vec<Message>,
    ) {
        let full = self.pallet.as_ref().is_none_or(|pallet| pallet.pieces >= PALLET_PIECES || pallet.order != order);
        if full {
            self.next_pallet += 1;
            let name = format!("PAL-{:08}", self.next_pallet);
            let record = Object::new()
                .text("unit", &name)
                .text("item", product)
                .text("kind", "pallet")
                .decimal("quantity", f64::from(PALLET_PIECES), 0)
                .text("uom", "pcs")
                .time("created", now_us)
                .text("status", "open");
            out.push(Message::record(now_us, "units", record));
            self.pallet = Some(Pallet { name, order, pieces: 0 });
        }
        if let Some(pallet) = &mut self.pallet {
            pallet.pieces += 1;
            let edge = Object::new()
                .text("event_id", &format!("{unit}-pallet"))
                .text("parent", unit)
                .text("child", &pallet.name)
                .decimal("quantity", 1.0, 0)
                .text("kind", "packed")
                .time("time", now_us)
                .text("operation", LINE[station].operation)
                .text("equipment", &equipment(station));
            out.push(Message::record(now_us, "materials", edge));
        }
    }

    fn open_lot(&mut self, station: usize, index: usize, now_us: i64, out: &mut Vec<Message>) {
        let feed = &LINE[station].feeds[index];
        self.next_lot += 1;
        let name = format!("LOT-{:08}", self.next_lot);
        let record = Object::new()
            .text("unit", &name)
            .text("item", feed.item)
            .text("kind", "lot")
            .decimal("quantity", f64::from(feed.lot_size), 0)
            .text("uom", "pcs")
            .time("created", now_us)
            .text("supplier_lot", &format!("S{}-{}", station + 1, self.next_lot * 7 % 1_000_000))
            .text("status", "ok");
        out.push(Message::record(now_us, "units", record));
        self.lots[station][index] = Some(Lot { name, remaining: feed.lot_size });
    }
}

/// Path of a station.
pub(super) fn equipment(station: usize) -> String {
    format!("{}/{}", super::line::PATH, LINE[station].name)
}
