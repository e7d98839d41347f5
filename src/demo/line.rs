//! The line at work: pieces move from station to station, stations stop, orders change.
//!
//! Nothing here depends on how often somebody looks: a station changes only when the phase it is in ends, a
//! neighbour changes, a break begins or ends, or an order is released.

use std::mem;

use super::breaks::Breaks;
use super::dice::Dice;
use super::message::{Message, Object};
use super::order::{OrderBook, PRODUCTS};
use super::outcome;
use super::station::{Job, LINE, PACKING, PRESS, Phase, Piece, Station, WELD};
use super::stock::{Stock, equipment, first_number};
use super::stop::{self, code};
use super::{SECOND_US, seconds_us};

/// Path of the line in the equipment tree.
pub(super) const PATH: &str = "cologne/line-1";

/// Time to hand a finished piece over. The piece is counted before, so that it counts for its own execution.
const UNLOAD_US: i64 = 200_000;

/// Waiting for a neighbour is part of the rhythm at first; the controller reports it after this time.
const SUSPEND_AFTER_US: i64 = 8 * SECOND_US;

/// Time to change papers where the next order makes the same product, seconds.
const SAME_PRODUCT_CHANGEOVER_S: f64 = 45.0;

/// Cycles that one electrode welds.
const ELECTRODE_CYCLES: f64 = 450.0;

/// The line.
#[derive(Debug)]
pub(super) struct Line {
    stations: Vec<Station>,
    orders: OrderBook,
    stock: Stock,
    breaks: Breaks,
    dice: Dice,
    next_serial: i64,
    /// Identity of the line's own execution of the order that its first station works on.
    order_run: String,
}

impl Line {
    /// An empty line, set up for its first order, that starts at `start_us`.
    pub(super) fn start(seed: u64, start_us: i64, out: &mut Vec<Message>) -> Self {
        let mut dice = Dice::new(seed, 0);
        let orders = OrderBook::open(start_us, &mut dice, out);
        let mut line = Self {
            stations: LINE.iter().map(|spec| Station::new(spec, start_us)).collect(),
            orders,
            stock: Stock::new(start_us),
            breaks: Breaks::new(start_us),
            dice,
            next_serial: first_number(start_us, 4),
            order_run: String::new(),
        };
        line.stations[WELD].wear = line.dice.uniform(0.0, 0.8);
        for index in 0..LINE.len() {
            line.open_order(index, 0, start_us, out);
            line.report_counters(index, start_us, out);
        }
        line.step(start_us, out);
        line
    }

    /// A relief crew works through the breaks that touch `[from_us, to_us)`.
    pub(super) fn relieve(&mut self, from_us: i64, to_us: i64) {
        self.breaks.relieve(from_us, to_us);
    }

    /// The next time after `now_us` at which something happens by itself.
    pub(super) fn next_due_us(&self, now_us: i64) -> i64 {
        let stations = self.stations.iter().filter_map(|station| station.due_us);
        let suspensions = self
            .stations
            .iter()
            .filter_map(|station| Some(station.waiting_since_us? + SUSPEND_AFTER_US))
            .filter(|at| *at > now_us);
        stations
            .chain(suspensions)
            .chain(self.orders.due_us())
            .chain(self.breaks.next_change(now_us))
            .min()
            .unwrap_or(i64::MAX)
    }

    /// Everything that happens at `now_us`.
    pub(super) fn step(&mut self, now_us: i64, out: &mut Vec<Message>) {
        self.meter(now_us);
        self.breaks.roll(now_us);
        self.orders.step(now_us, &mut self.dice, out);
        for index in 0..LINE.len() {
            if self.stations[index].due_us.is_some_and(|due| due <= now_us) {
                self.end_phase(index, now_us, out);
            }
        }
        while self.move_pieces(now_us, out) {}
        self.report_states(now_us, out);
    }

    /// What the station does, for its readings.
    pub(super) fn station(&self, index: usize) -> &Station {
        &self.stations[index]
    }

    /// The product that the station is set up for, by place in the list of products.
    pub(super) fn product(&self, index: usize) -> usize {
        self.orders.get(self.stations[index].order).product
    }

    /// Every station's meter counts on to `now_us`, before anything changes then.
    fn meter(&mut self, now_us: i64) {
        self.stations.iter_mut().zip(&LINE).for_each(|(station, spec)| station.meter(spec, now_us));
    }

    /// What the meters show.
    pub(super) fn read_meters(&mut self, now_us: i64, out: &mut Vec<Message>) {
        self.meter(now_us);
        for (index, station) in self.stations.iter().enumerate() {
            let payload = Object::reading(now_us).decimal("energy", station.energy_kwh, 3).close();
            out.push(Message::reading(now_us, topic(index), payload));
        }
    }

    /// How many stations move right now.
    pub(super) fn moving(&self) -> usize {
        self.stations.iter().filter(|station| station.moves()).count()
    }

    fn end_phase(&mut self, index: usize, now_us: i64, out: &mut Vec<Message>) {
        let station = &mut self.stations[index];
        station.due_us = None;
        match mem::replace(&mut station.phase, Phase::Ready) {
            Phase::ChangingOver { order } => station.order = order,
            Phase::Missing(piece) => self.begin(index, piece, 1, now_us, out),
            Phase::Working(job) => self.stop_working(index, job, now_us, out),
            Phase::Interrupted { mut job, .. } => {
                job.since_us = now_us;
                station.due_us = Some(now_us + job.length_us - job.done_us);
                station.phase = Phase::Working(job);
            }
            Phase::Unloading(job) => self.unload(index, job, now_us, out),
            waiting @ (Phase::Ready | Phase::Full(_)) => station.phase = waiting,
        }
    }

    /// One pass over the line, from its end so that room made there is used at once. Whether anything moved.
    fn move_pieces(&mut self, now_us: i64, out: &mut Vec<Message>) -> bool {
        let mut moved = false;
        for index in (0..LINE.len()).rev() {
            moved |= self.hand_over(index);
            moved |= self.load(index, now_us, out);
        }
        moved
    }

    fn hand_over(&mut self, index: usize) -> bool {
        let behind = index + 1;
        if behind >= LINE.len() || self.stations[behind].queue.len() >= LINE[behind].buffer_pieces {
            return false;
        }
        match mem::replace(&mut self.stations[index].phase, Phase::Ready) {
            Phase::Full(piece) => {
                self.stations[behind].queue.push_back(piece);
                true
            }
            other => {
                self.stations[index].phase = other;
                false
            }
        }
    }

    fn load(&mut self, index: usize, now_us: i64, out: &mut Vec<Message>) -> bool {
        if !matches!(self.stations[index].phase, Phase::Ready) || self.breaks.running(now_us) {
            return false;
        }
        let Some(order) = self.offered_order(index, now_us, out) else { return false };
        if order != self.stations[index].order {
            self.change_over(index, order, now_us, out);
            return true;
        }
        let Some(piece) = self.next_piece(index, order) else { return false };
        match self.stock.shortage_us(index, &mut self.dice) {
            Some(wait_us) => {
                self.stations[index].phase = Phase::Missing(piece);
                self.stations[index].due_us = Some(now_us + wait_us);
            }
            None => self.begin(index, piece, 1, now_us, out),
        }
        true
    }

    /// The order of the piece that the station could take next.
    fn offered_order(&mut self, index: usize, now_us: i64, out: &mut Vec<Message>) -> Option<usize> {
        if index == PRESS {
            self.orders.has_work(now_us, &mut self.dice, out).then(|| self.orders.current())
        } else {
            self.stations[index].queue.front().map(|piece| piece.order)
        }
    }

    fn next_piece(&mut self, index: usize, order: usize) -> Option<Piece> {
        if index != PRESS {
            return self.stations[index].queue.pop_front();
        }
        self.orders.enter(order);
        self.next_serial += 1;
        Some(Piece { unit: format!("CP{:09}", self.next_serial), order, weld_wear: 0.0 })
    }

    fn change_over(&mut self, index: usize, order: usize, now_us: i64, out: &mut Vec<Message>) {
        let same_product = self.orders.get(order).product == self.product(index);
        let setup_s = if same_product { SAME_PRODUCT_CHANGEOVER_S } else { LINE[index].changeover_s };
        let duration_us = seconds_us(setup_s * self.dice.uniform(0.85, 1.3));
        self.open_order(index, order, now_us, out);
        let station = &mut self.stations[index];
        station.phase = Phase::ChangingOver { order };
        station.due_us = Some(now_us + duration_us);
    }

    /// Starts an attempt at a piece.
    fn begin(&mut self, index: usize, mut piece: Piece, attempt: u32, now_us: i64, out: &mut Vec<Message>) {
        let spec = &LINE[index];
        let order = self.orders.get(piece.order);
        let product = order.product;
        if index == PRESS {
            out.push(Message::record(now_us, "units", unit_created(&piece, PRODUCTS[product], &order.number, now_us)));
        }
        let run = format!("{}-{}-{attempt}", piece.unit, spec.operation);
        let opened = Object::new()
            .text("run", &run)
            .text("equipment", &equipment(index))
            .text("work_order", &order.number)
            .text("product", PRODUCTS[product])
            .text("operation", spec.operation)
            .text("unit", &piece.unit)
            .time("started", now_us);
        out.push(Message::record(now_us, "operations", opened));
        if attempt == 1 {
            self.stock.consume(index, &piece.unit, now_us, out);
        }

        let length_us = seconds_us(spec.ideal_cycle_s[product] * self.dice.uniform(1.005, 1.06));
        let station = &mut self.stations[index];
        let interruption = if station.wear >= 1.0 {
            station.wear = 0.0;
            Some(stop::electrode_change(&mut self.dice, length_us))
        } else {
            stop::draw(&mut self.dice, length_us, spec.proneness)
        };
        let interruption = interruption.map(|stop| self.breaks.shortened(stop, now_us));
        if index == WELD {
            station.wear += 1.0 / ELECTRODE_CYCLES;
            piece.weld_wear = station.wear;
        }
        let (values, passes) = outcome::draw(&mut self.dice, index, product, piece.weld_wear, attempt);
        station.due_us = Some(now_us + interruption.map_or(length_us, |stop| stop.after_us));
        station.phase = Phase::Working(Job {
            piece,
            attempt,
            run,
            values,
            passes,
            length_us,
            done_us: 0,
            since_us: now_us,
            interruption,
        });
    }

    /// The work was interrupted, or the cycle is over: the piece is measured and, unless it is tried again,
    /// counted.
    fn stop_working(&mut self, index: usize, mut job: Job, now_us: i64, out: &mut Vec<Message>) {
        let station = &mut self.stations[index];
        if let Some(stop) = job.interruption.take() {
            job.done_us = stop.after_us;
            station.due_us = Some(now_us + stop.duration_us);
            station.phase = Phase::Interrupted { job, code: stop.code };
            return;
        }
        let order = self.orders.get(job.piece.order);
        out.push(Message::records(now_us, "measurements", outcome::measurements(index, &job, order, now_us)));
        let counted = !is_tried_again(index, &job);
        if counted {
            station.total += 1;
            station.good += u64::from(job.passes);
            if let Some(failed) = outcome::failed(index, &job, order.product) {
                station.scrap[failed] += 1;
            }
            station.order_good += u64::from(job.passes);
        }
        station.phase = Phase::Unloading(job);
        station.due_us = Some(now_us + UNLOAD_US);
        if counted {
            self.report_counters(index, now_us, out);
        }
    }

    /// The piece leaves the station: onwards, into a second attempt, or to the scrap box.
    fn unload(&mut self, index: usize, job: Job, now_us: i64, out: &mut Vec<Message>) {
        let result = if job.passes { "pass" } else { "fail" };
        let closed = Object::new().text("run", &job.run).time("completed", now_us).text("result", result);
        out.push(Message::record(now_us, "operations", closed));
        if is_tried_again(index, &job) {
            self.begin(index, job.piece, job.attempt + 1, now_us, out);
        } else if !job.passes {
            self.finish(&job.piece, "scrap", now_us, out);
        } else if index == PACKING {
            let product = PRODUCTS[self.orders.get(job.piece.order).product];
            self.stock.palletize(&job.piece.unit, job.piece.order, product, index, now_us, out);
            self.finish(&job.piece, "packed", now_us, out);
        } else {
            self.stations[index].phase = Phase::Full(job.piece);
        }
    }

    fn finish(&mut self, piece: &Piece, status: &str, now_us: i64, out: &mut Vec<Message>) {
        let record = Object::new().text("unit", &piece.unit).text("status", status);
        out.push(Message::record(now_us, "units", record));
        self.orders.leave(piece.order, now_us, out);
    }

    /// Closes the station's execution of its last order and opens that of the next one.
    fn open_order(&mut self, index: usize, order: usize, now_us: i64, out: &mut Vec<Message>) {
        let station = &mut self.stations[index];
        if !station.order_run.is_empty() {
            out.push(Message::record(
                now_us,
                "operations",
                order_closed(&station.order_run, station.order_good, now_us),
            ));
        }
        let number = &self.orders.get(order).number;
        let product = PRODUCTS[self.orders.get(order).product];
        station.order_run = format!("{number}-{}", LINE[index].name);
        station.order_good = 0;
        let opened = order_opened(&station.order_run, &equipment(index), number, product, now_us);
        out.push(Message::record(now_us, "operations", opened));
        if index == PRESS {
            if !self.order_run.is_empty() {
                let closed = Object::new().text("run", &self.order_run).time("completed", now_us);
                out.push(Message::record(now_us, "operations", closed));
            }
            self.order_run = format!("{number}-line-1");
            let opened = order_opened(&self.order_run, PATH, number, product, now_us);
            out.push(Message::record(now_us, "operations", opened));
        }
    }

    fn report_counters(&self, index: usize, now_us: i64, out: &mut Vec<Message>) {
        let station = &self.stations[index];
        let reading =
            Object::reading(now_us).integer("total", station.total as i64).integer("good", station.good as i64);
        let scrap = LINE[index].characteristics.iter().zip(&station.scrap);
        let reading = scrap.fold(reading, |reading, (characteristic, pieces)| {
            reading.integer(&format!("scrap_{}", characteristic.name), *pieces as i64)
        });
        out.push(Message::reading(now_us, topic(index), reading.close()));
    }

    /// Reports every state that changed. At the end of an instant, so that what lasts no time is not reported.
    fn report_states(&mut self, now_us: i64, out: &mut Vec<Message>) {
        let on_break = self.breaks.running(now_us);
        for (index, station) in self.stations.iter_mut().enumerate() {
            let state = state(station, index, on_break, now_us);
            if station.reported != Some(state) {
                station.reported = Some(state);
                let payload = Object::reading(now_us).integer("state", i64::from(state)).close();
                out.push(Message { retain: true, ..Message::reading(now_us, topic(index), payload) });
            }
        }
    }
}

/// The topic of a station.
pub(super) fn topic(index: usize) -> String {
    format!("plant/line-1/{}", LINE[index].name)
}

fn is_tried_again(index: usize, job: &Job) -> bool {
    !job.passes && job.attempt == 1 && LINE[index].retry_pass_chance.is_some()
}

/// The state that a station reports, which remembers since when it waits.
fn state(station: &mut Station, index: usize, on_break: bool, now_us: i64) -> u16 {
    let suspended = match &station.phase {
        Phase::Ready if !on_break && index != PRESS => Some(code::STARVED),
        Phase::Full(_) if !on_break => Some(code::BLOCKED),
        _ => None,
    };
    if let Some(suspended) = suspended {
        let since_us = *station.waiting_since_us.get_or_insert(now_us);
        return if now_us - since_us >= SUSPEND_AFTER_US { suspended } else { code::EXECUTE };
    }
    station.waiting_since_us = None;
    match &station.phase {
        Phase::Working(_) | Phase::Unloading(_) => code::EXECUTE,
        Phase::Interrupted { code, .. } => *code,
        Phase::ChangingOver { .. } => code::RESETTING,
        Phase::Missing(_) => code::NO_MATERIAL,
        Phase::Ready | Phase::Full(_) if on_break => code::STOPPED,
        Phase::Ready | Phase::Full(_) => code::IDLE,
    }
}

fn unit_created(piece: &Piece, product: &str, work_order: &str, now_us: i64) -> Object {
    Object::new()
        .text("unit", &piece.unit)
        .text("item", product)
        .text("kind", "serial")
        .decimal("quantity", 1.0, 0)
        .text("uom", "pcs")
        .time("created", now_us)
        .text("work_order", work_order)
        .text("status", "in process")
}

fn order_opened(run: &str, equipment: &str, work_order: &str, product: &str, now_us: i64) -> Object {
    Object::new()
        .text("run", run)
        .text("equipment", equipment)
        .text("work_order", work_order)
        .text("product", product)
        .time("started", now_us)
}

fn order_closed(run: &str, good: u64, now_us: i64) -> Object {
    Object::new().text("run", run).time("completed", now_us).integer("quantity", good as i64)
}
