//! Work orders: released, started, completed, one after the other.

use super::dice::Dice;
use super::message::{Message, Object};
use super::stock::{PALLET_PIECES, first_number};
use super::{SECOND_US, seconds_us};

/// The product variants, as `plant.toml` lists them.
pub(super) const PRODUCTS: [&str; 2] = ["P-100", "P-200"];

/// How often the next order is not released when the last one runs out.
const LATE_ORDER_CHANCE: f64 = 0.06;

/// A work order.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) number: String,
    /// Place in [`PRODUCTS`].
    pub(super) product: usize,
    /// Pieces to start.
    pub(super) quantity: u32,
    /// Pieces started.
    pub(super) entered: u32,
    /// Pieces packed or scrapped.
    pub(super) left: u32,
}

/// All orders of a simulation, in the order in which they run.
#[derive(Debug)]
pub(super) struct OrderBook {
    orders: Vec<Order>,
    /// The order that the first station works on.
    current: usize,
    /// When the order after the current one is released, while it is late.
    release_due_us: Option<i64>,
    next_number: i64,
}

impl OrderBook {
    /// A book whose first order runs and whose second is released.
    pub(super) fn open(start_us: i64, dice: &mut Dice, out: &mut Vec<Message>) -> Self {
        let next_number = first_number(start_us, 300);
        let mut book = Self { orders: Vec::new(), current: 0, release_due_us: None, next_number };
        book.release(start_us, dice, out);
        book.start(start_us, out);
        book.release(start_us, dice, out);
        book
    }

    /// The order at a place in the book.
    pub(super) fn get(&self, order: usize) -> &Order {
        &self.orders[order]
    }

    /// The order that the first station takes pieces from.
    pub(super) fn current(&self) -> usize {
        self.current
    }

    /// When a late order is released.
    pub(super) fn due_us(&self) -> Option<i64> {
        self.release_due_us
    }

    /// Releases a late order whose time has come.
    pub(super) fn step(&mut self, now_us: i64, dice: &mut Dice, out: &mut Vec<Message>) {
        if self.release_due_us.is_some_and(|due| due <= now_us) {
            self.release_due_us = None;
            self.release(now_us, dice, out);
        }
    }

    /// Whether the current order still has pieces to start; where it has none and the next one is there,
    /// that becomes the current one.
    pub(super) fn has_work(&mut self, now_us: i64, dice: &mut Dice, out: &mut Vec<Message>) -> bool {
        let order = &self.orders[self.current];
        if order.entered < order.quantity {
            return true;
        }
        if self.current + 1 >= self.orders.len() {
            return false;
        }
        self.current += 1;
        self.start(now_us, out);
        if dice.chance(LATE_ORDER_CHANCE) {
            // Planning notices late: the release comes some minutes after this order has run out.
            let order = &self.orders[self.current];
            let expected_s = f64::from(order.quantity) * 14.0 + dice.uniform(200.0, 900.0);
            self.release_due_us = Some(now_us + seconds_us(expected_s));
        } else {
            self.release(now_us, dice, out);
        }
        true
    }

    /// A piece of an order starts at the first station.
    pub(super) fn enter(&mut self, order: usize) {
        self.orders[order].entered += 1;
    }

    /// A piece of an order is packed or scrapped; the last one completes the order.
    pub(super) fn leave(&mut self, order: usize, now_us: i64, out: &mut Vec<Message>) {
        let order = &mut self.orders[order];
        order.left += 1;
        if order.left == order.quantity {
            let record =
                Object::new().text("work_order", &order.number).time("completed", now_us).text("status", "completed");
            out.push(Message::record(now_us, "work_orders", record));
        }
    }

    fn release(&mut self, now_us: i64, dice: &mut Dice, out: &mut Vec<Message>) {
        let product = match self.orders.last() {
            Some(last) if dice.chance(0.7) => 1 - last.product,
            Some(last) => last.product,
            None => 0,
        };
        let pallets = 10 + dice.below(11) as u32;
        self.next_number += 1;
        let number = format!("WO-{:07}", self.next_number);
        let quantity = pallets * PALLET_PIECES;
        let record = Object::new()
            .text("work_order", &number)
            .text("product", PRODUCTS[product])
            .decimal("planned_quantity", f64::from(quantity), 0)
            .time("due", now_us + 8 * 3_600 * SECOND_US)
            .time("released", now_us)
            .text("status", "released");
        out.push(Message::record(now_us, "work_orders", record));
        self.orders.push(Order { number, product, quantity, entered: 0, left: 0 });
    }

    fn start(&self, now_us: i64, out: &mut Vec<Message>) {
        let record = Object::new()
            .text("work_order", &self.orders[self.current].number)
            .time("started", now_us)
            .text("status", "running");
        out.push(Message::record(now_us, "work_orders", record));
    }
}
