//! The clockwork: brings the line and its sensors forward in time.

use std::mem;

use super::dice::Dice;
use super::line::{Line, topic};
use super::message::{Message, Object};
use super::station::LINE;
use super::stop::code;
use super::utilities::{COMPRESSOR_HZ, HALL_INTERVAL_US, METER_INTERVAL_US, compressor, hall};
use super::{MILLISECOND_US, SECOND_US, curve, seconds_us};

/// Who sends readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sensors {
    Station(usize),
    Compressor,
    Hall,
    Meters,
}

/// Sends readings at regular times.
#[derive(Debug)]
struct Sampler {
    sensors: Sensors,
    /// Time between two readings at the rate of a real line.
    live_interval_us: i64,
    interval_us: i64,
    next_us: i64,
    dice: Dice,
}

impl Sampler {
    fn new(sensors: Sensors, live_interval_us: i64, seed: u64, stream: u64, now_us: i64) -> Self {
        let dice = Dice::new(seed, stream);
        let mut sampler = Self { sensors, live_interval_us, interval_us: live_interval_us, next_us: now_us, dice };
        sampler.set_interval(live_interval_us, now_us);
        sampler
    }

    /// Readings come at whole multiples of the interval, so that they do not depend on when it was set.
    fn set_interval(&mut self, interval_us: i64, now_us: i64) {
        self.interval_us = interval_us.max(MILLISECOND_US);
        self.next_us = (now_us.div_euclid(self.interval_us) + 1) * self.interval_us;
    }
}

/// The demo plant as a deterministic source of messages.
///
/// It reads no clock: [`advance_to`](Self::advance_to) says how far time goes. The same seed, start and calls
/// of the setters give the same messages, byte for byte, whatever the steps.
#[derive(Debug)]
pub struct Simulation {
    now_us: i64,
    /// What the start itself says; goes out with the first step.
    opening: Vec<Message>,
    line: Line,
    samplers: Vec<Sampler>,
    bare_scalars: bool,
}

impl Simulation {
    /// A plant that starts at `start_us` (microseconds UTC), at the rate of a real line.
    pub fn new(seed: u64, start_us: i64) -> Self {
        let now_us = start_us.div_euclid(MILLISECOND_US) * MILLISECOND_US;
        let mut opening = Vec::new();
        let line = Line::start(seed, now_us, &mut opening);
        let sampler = |sensors, interval_us, stream| Sampler::new(sensors, interval_us, seed, stream, now_us);
        let mut samplers: Vec<Sampler> = LINE
            .iter()
            .enumerate()
            .map(|(index, spec)| sampler(Sensors::Station(index), seconds_us(1.0 / spec.readings_hz), index as u64 + 1))
            .collect();
        samplers.push(sampler(Sensors::Compressor, seconds_us(1.0 / COMPRESSOR_HZ), 101));
        samplers.push(sampler(Sensors::Hall, HALL_INTERVAL_US, 102));
        samplers.push(sampler(Sensors::Meters, METER_INTERVAL_US, 103));
        Self { now_us, opening, line, samplers, bare_scalars: true }
    }

    /// A plant that brings `history_hours` before `now_us` with it, or goes on right after `newest_us`, the
    /// newest time that is already stored, without overlapping it. A gap too long for that is a standstill.
    pub fn with_history(seed: u64, now_us: i64, history_hours: f64, newest_us: Option<i64>) -> Self {
        let earliest_us = now_us - seconds_us(history_hours * 3_600.0);
        let Some(free_us) = newest_us.map(|newest| newest + MILLISECOND_US) else {
            return Self::new(seed, earliest_us);
        };
        let start_us = free_us.max(earliest_us);
        // Every start has chances of its own, or each day would repeat the first.
        let plant = Self::new(seed.wrapping_add(start_us.unsigned_abs()), start_us);
        plant.with_standstill_since(free_us)
    }

    /// The same plant with `readings_hz` process messages per simulated second, for benches and for history.
    /// What the line does stays the same; only its sensors are read more or less often.
    #[must_use]
    pub fn with_rate(mut self, readings_hz: f64) -> Self {
        self.set_rate(readings_hz);
        self
    }

    /// The plant stood still from `since_us` until it starts: each station says so with its first message.
    /// For a plant that goes on after a long pause, whose last reported state would otherwise last through it.
    #[must_use]
    pub fn with_standstill_since(mut self, since_us: i64) -> Self {
        let since_us = since_us.div_euclid(MILLISECOND_US) * MILLISECOND_US;
        if since_us < self.now_us {
            let stopped = (0..LINE.len()).map(|index| {
                let payload = Object::reading(since_us).integer("state", i64::from(code::STOPPED)).close();
                Message { retain: true, ..Message::reading(since_us, topic(index), payload) }
            });
            let opening = mem::take(&mut self.opening);
            self.opening = stopped.chain(opening).collect();
        }
        self
    }

    /// Process messages per second of a real line, over all stations and the compressor.
    pub fn live_rate_hz() -> f64 {
        LINE.iter().map(|spec| spec.readings_hz).sum::<f64>() + COMPRESSOR_HZ
    }

    /// Changes the process messages per simulated second from now on. No sensor is read more than a thousand
    /// times a second.
    pub fn set_rate(&mut self, readings_hz: f64) {
        let slower = Self::live_rate_hz() / readings_hz.max(1e-3);
        let scaled = |sensors| !matches!(sensors, Sensors::Hall | Sensors::Meters);
        for sampler in self.samplers.iter_mut().filter(|sampler| scaled(sampler.sensors)) {
            let interval_s = sampler.live_interval_us as f64 / SECOND_US as f64 * slower;
            sampler.set_interval(seconds_us(interval_s), self.now_us);
        }
    }

    /// Whether the hall's sensors are heard. Their bare numbers carry no time, so they only make sense when
    /// they are published as they happen.
    pub fn set_bare_scalars(&mut self, heard: bool) {
        self.bare_scalars = heard;
    }

    /// A relief crew works through the breaks that touch `[from_us, to_us)`, so that somebody who starts the
    /// demo at that time has something to see. To be said before time gets there.
    pub fn relieve_breaks(&mut self, from_us: i64, to_us: i64) {
        self.line.relieve(from_us, to_us);
    }

    /// How far time has gone, microseconds UTC.
    pub fn now_us(&self) -> i64 {
        self.now_us
    }

    /// Lets time go on to `until_us`, that instant included, and gives the messages of the way in the order of
    /// their times. An earlier time than reached gives none.
    pub fn advance_to(&mut self, until_us: i64) -> Vec<Message> {
        let mut messages = Vec::new();
        if until_us < self.now_us {
            return messages;
        }
        messages.append(&mut self.opening);
        loop {
            let readings_us = self.samplers.iter().map(|sampler| sampler.next_us).min().unwrap_or(i64::MAX);
            let line_us = self.line.next_due_us(self.now_us);
            let next_us = readings_us.min(line_us);
            if next_us > until_us {
                self.now_us = until_us;
                return messages;
            }
            self.now_us = next_us;
            if line_us == next_us {
                self.line.step(next_us, &mut messages);
            }
            if readings_us == next_us {
                self.read_sensors(&mut messages);
            }
        }
    }

    fn read_sensors(&mut self, messages: &mut Vec<Message>) {
        let now_us = self.now_us;
        for sampler in self.samplers.iter_mut().filter(|sampler| sampler.next_us == now_us) {
            sampler.next_us += sampler.interval_us;
            match sampler.sensors {
                Sensors::Station(index) => {
                    let station = self.line.station(index);
                    let payload = curve::reading(index, station, self.line.product(index), now_us, &mut sampler.dice);
                    messages.push(Message::reading(now_us, topic(index), payload));
                }
                Sensors::Compressor => messages.push(compressor(now_us, self.line.moving(), &mut sampler.dice)),
                Sensors::Meters => self.line.read_meters(now_us, messages),
                Sensors::Hall => {
                    let readings = hall(now_us, &mut sampler.dice);
                    if self.bare_scalars {
                        messages.extend(readings);
                    }
                }
            }
        }
    }
}
