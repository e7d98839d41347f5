//! Live is batch: under random histories whose rows come late and out of order, every look says what the engine says of
//! all rows that are known by then.

use jiff::civil::date;

use super::*;
use crate::count::Detail;
use crate::seeded::Seeded;

const MINUTE_US: i64 = 60 * SECOND_US;
const SHIFT_US: i64 = 120 * MINUTE_US;
const LONG_US: i64 = 500 * MINUTE_US;

const PLANT: &str = r#"
[plant]
name = "test"
zone = "UTC"

[[equipment]]
path = "press"

[[signals]]
equipment = "press"
signal = "meter"
role = "energy"
uom = "kWh"

[[reasons]]
reason = "door"
category = "unplanned"

[[reasons]]
reason = "empty"
category = "planned"

[[reason_rules]]
equipment = "press"
signal = "door"
equals = 1
reason = "door"

[[reason_rules]]
equipment = "press"
signal = "fill"
below = 1
reason = "empty"
"#;

const SIGNALS: &str = r#"
[[signals]]
equipment = "press"
signal = "state"
role = "state"
%rule%

[[signals]]
equipment = "press"
signal = "parts"
role = "total_count"

[[signals]]
equipment = "press"
signal = "rejects"
role = "scrap_count"
"#;

/// A plant whose machine is told by records or by signals, its state by a rule where `way` says so.
fn plant(way: Way) -> Plant {
    let rule = if way == Way::Rule { "running = { above = 5, for_s = 90 }" } else { "" };
    let signals = if way.is_signals() { SIGNALS.replace("%rule%", rule) } else { String::new() };
    Plant::parse(&format!("{PLANT}{signals}")).expect("a plant")
}

fn shifts() -> Vec<Shift> {
    let shift = |number: i64| {
        let start = number * (SHIFT_US + 20 * MINUTE_US);
        let noon = start + 60 * MINUTE_US;
        Shift {
            name: format!("s{number}"),
            production_day: date(2025, 1, 1),
            start,
            end: start + SHIFT_US,
            breaks: vec![(noon, noon + 10 * MINUTE_US)],
        }
    };
    (0..5).map(shift).collect()
}

#[derive(Debug, Clone)]
enum Row {
    State(StateRecord),
    Piece(Piece),
    Reason(GivenReason),
    Sample(&'static str, Reading<'static>),
    Job(Job),
}

impl Row {
    fn time(&self) -> i64 {
        match self {
            Self::State(record) => record.start,
            Self::Piece(piece) => piece.time,
            Self::Reason(reason) => reason.start,
            Self::Sample(_, reading) => reading.time,
            Self::Job(job) => job.start,
        }
    }
}

fn value(category: Category, reason: Option<&str>) -> StateValue {
    StateValue::new(category.name(), Some(category), reason.map(Into::into))
}

/// So little that sums follow close behind the newest rows.
const LITTLE: Keep = Keep { lateness_us: 20 * SECOND_US, pieces: 3, step_us: SECOND_US };

/// How rows reach takt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Changes,
    Intervals,
    Signals,
    /// Signals, with a rule that tells the state.
    Rule,
}

impl Way {
    const ALL: [Self; 4] = [Self::Changes, Self::Intervals, Self::Signals, Self::Rule];

    fn is_signals(self) -> bool {
        matches!(self, Self::Signals | Self::Rule)
    }
}

/// Rows of some hours, each with the time at which it becomes known.
fn history(seeded: &mut Seeded, way: Way) -> Vec<(i64, Row)> {
    let mut rows = Vec::new();
    let arrival = |seeded: &mut Seeded, time: i64| {
        let delay = if seeded.chance(3) { seeded.within(0, 40 * MINUTE_US) } else { seeded.within(0, 2 * SECOND_US) };
        time + delay
    };
    let mut t = 0;
    while t < LONG_US {
        let category = seeded.pick(&Category::ALL);
        let usual = if way == Way::Rule { 2 * MINUTE_US } else { 4 * MINUTE_US };
        let longest = if seeded.chance(20) { 40 * MINUTE_US } else { usual };
        let length = seeded.within(1, longest);
        let known = arrival(seeded, t);
        let record = |end| StateRecord { start: t, end, recorded: known, value: value(category, None) };
        match way {
            Way::Changes => rows.push((known, Row::State(record(None)))),
            Way::Intervals => {
                if seeded.chance(70) {
                    rows.push((known, Row::State(record(None))));
                }
                let end = t + seeded.within(1, 2 * length);
                let closed = arrival(seeded, end).max(known);
                let late = StateRecord { recorded: closed, ..record(Some(end)) };
                rows.push((closed, Row::State(late)));
            }
            Way::Rule => {}
            Way::Signals => {
                let said = match category {
                    Category::Run => "running",
                    Category::Changeover => "setup",
                    _ => "stopped",
                };
                rows.push((
                    known,
                    Row::Sample("state", Reading { time: t, value: None, text: Some(said), quality: 0 }),
                ));
            }
        }
        if way == Way::Rule {
            // The same value comes again and again, or once.
            let value = seeded.pick(&[Some(9.0), Some(9.0), Some(0.0), Some(0.0), None]);
            let step = if seeded.chance(50) { seeded.within(10 * SECOND_US, MINUTE_US) } else { length };
            for time in (t..t + length).step_by(step.max(SECOND_US) as usize) {
                let reading = Reading { time, value, text: None, quality: 0 };
                rows.push((arrival(seeded, time), Row::Sample("state", reading)));
            }
        }
        if !way.is_signals() && category == Category::Unplanned && seeded.chance(60) {
            let start = t + seeded.within(0, length);
            let end = seeded.chance(50).then(|| start + seeded.within(1, length + 1));
            let known = start + seeded.within(0, 30 * MINUTE_US);
            let category = seeded.pick(&[Category::Unplanned, Category::Planned]);
            let reason =
                GivenReason { equipment: "press".into(), start, end, recorded: known, reason: "jam".into(), category };
            rows.push((known, Row::Reason(reason)));
        }
        t += length;
    }
    let (mut t, mut parts, mut rejects) = (0, 0.0, 0.0);
    while t < LONG_US {
        let known = arrival(seeded, t);
        let scrap = if seeded.chance(10) { 1.0 } else { 0.0 };
        if way.is_signals() {
            parts += seeded.within(0, 3) as f64;
            rejects += scrap;
            let reading = |value| Reading { time: t, value: Some(value), text: None, quality: 0 };
            rows.push((known, Row::Sample("parts", reading(parts))));
            rows.push((known, Row::Sample("rejects", reading(rejects))));
        } else {
            let rework = seeded.chance(5).then_some(1.0);
            rows.push((known, Row::Piece(Piece::new(t, 1.0, scrap).with(Detail { rework, ..Detail::default() }))));
        }
        t += seeded.within(1, MINUTE_US);
    }
    let (mut t, mut kwh) = (0, 0.0);
    while t < LONG_US {
        kwh = if seeded.chance(2) { 0.0 } else { kwh + seeded.within(0, 9) as f64 };
        let quality = if seeded.chance(5) { 0x8000_0000 } else { 0 };
        rows.push((
            arrival(seeded, t),
            Row::Sample("meter", Reading { time: t, value: Some(kwh), text: None, quality }),
        ));
        t += if seeded.chance(5) { seeded.within(1, 60 * MINUTE_US) } else { seeded.within(1, 5 * MINUTE_US) };
    }
    for signal in ["door", "fill"] {
        let mut t = 0;
        while t < LONG_US {
            let value = seeded.pick(&[Some(0.0), Some(1.0), Some(1.0), None]);
            let reading = Reading { time: t, value, text: None, quality: 0 };
            rows.push((arrival(seeded, t), Row::Sample(signal, reading)));
            t += seeded.within(1, 3 * MINUTE_US);
        }
    }
    let mut t = 0;
    while t < LONG_US {
        t += if seeded.chance(40) { seeded.within(0, 30 * MINUTE_US) } else { 0 };
        let end = t + seeded.within(1, 90 * MINUTE_US);
        let product = seeded.pick(&["A", "B"]);
        let job = Job {
            start: t,
            end,
            work_order: Some(seeded.pick(&["1", "2", "3"]).into()),
            product: Some(product.into()),
            ideal_cycle_s: (product == "A" || seeded.chance(80)).then_some(20.0),
            planned_scrap_ratio: (product == "B" || seeded.chance(80)).then_some(0.25),
        };
        rows.push((arrival(seeded, t), Row::Job(job)));
        t = end;
    }
    rows.sort_by_key(|(known, row)| (*known, row.time()));
    rows
}

/// Everything known so far.
#[derive(Debug, Default)]
struct Known {
    rows: Vec<Row>,
    jobs: Vec<Job>,
}

impl Known {
    fn add(&mut self, row: &Row) {
        match row {
            Row::Job(job) => self.jobs.push(job.clone()),
            Row::State(record) => {
                self.rows.retain(|row| !matches!(row, Row::State(known) if known.start == record.start));
                self.rows.push(row.clone());
            }
            other => self.rows.push(other.clone()),
        }
        self.jobs.sort_by_key(|job| job.start);
    }

    fn jobs(&self, from: i64, to: i64) -> Vec<Job> {
        let within = self.jobs.iter().filter(|job| job.start < to && from < job.end);
        within.map(|job| Job { start: job.start.max(from), end: job.end.min(to), ..job.clone() }).collect()
    }

    fn evidence(&self, plant: &Plant, way: Way, now: i64) -> Evidence {
        let mut evidence = Evidence { pieces: Some(Vec::new()), ..Evidence::default() };
        let mut samples: Vec<(&'static str, Reading<'static>)> = Vec::new();
        for row in &self.rows {
            match row {
                Row::State(record) => evidence.states.push(record.clone()),
                Row::Piece(piece) => evidence.pieces.get_or_insert_default().push(piece.clone()),
                Row::Reason(reason) => evidence.reasons.push(reason.clone()),
                Row::Sample(signal, reading) => samples.push((signal, *reading)),
                Row::Job(_) => {}
            }
        }
        evidence.tracks = Tracks::of(plant, "press");
        samples.sort_by_key(|(_, reading)| reading.time);
        for (signal, reading) in samples {
            evidence.tracks.push(plant, signal, &reading);
        }
        let Said { states, pieces, energy, symptoms } = evidence.tracks.take(now);
        if way.is_signals() {
            (evidence.states, evidence.pieces) = (states, pieces);
        }
        (evidence.energy, evidence.symptoms) = (energy, symptoms);
        evidence
    }
}

fn first_start(jobs: &[Job], order: &str) -> i64 {
    jobs.iter().filter(|job| job.work_order.as_deref() == Some(order)).map(|job| job.start).min().unwrap_or(OPEN)
}

#[track_caller]
fn same(seed: u64, live: &Report, batch: &Report) {
    assert_eq!((live.start, live.end), (batch.start, batch.end), "seed {seed}");
    assert_eq!(live.elements, batch.elements, "seed {seed}");
    assert_eq!(live.counts, batch.counts, "seed {seed}: pieces are whole, so sums are exact");
    let stops = |report: &Report| (report.unplanned_stops, report.microstops, report.provisional);
    assert_eq!(stops(live), stops(batch), "seed {seed}");
    assert_eq!(live.missing_ideal, batch.missing_ideal, "seed {seed}");
    assert_eq!(live.missing_planned_scrap, batch.missing_planned_scrap, "seed {seed}");
    let (taken, all_taken) = live.energy.zip(batch.energy).expect("a meter");
    let sums = [
        (taken.total_kwh, all_taken.total_kwh),
        (taken.idle_kwh(), all_taken.idle_kwh()),
        (live.cost.expect("rates"), batch.cost.expect("rates")),
        (live.ideal_total_s, batch.ideal_total_s),
        (live.ideal_good_s, batch.ideal_good_s),
        (live.ideal_startup_scrap_s, batch.ideal_startup_scrap_s),
        (live.planned_scrap, batch.planned_scrap),
    ];
    for (live, batch) in sums {
        assert!((live - batch).abs() <= 1e-9 * batch.abs().max(1.0), "seed {seed}: {live} {batch}");
    }
    for loss in crate::loss::Loss::ALL {
        let (live, batch) = (taken.lost_kwh(loss).unwrap_or(0.0), all_taken.lost_kwh(loss).unwrap_or(0.0));
        assert!((live - batch).abs() <= 1e-9 * batch.abs().max(1.0), "seed {seed}: {loss:?} {live} {batch}");
    }
    assert_eq!(live.orders, batch.orders, "seed {seed}");
}

/// How often a machine was begun anew, and how often it was looked at.
fn follow(seed: u64, way: Way, keep: Keep) -> (usize, usize) {
    let plant = plant(way);
    let mut seeded = Seeded::new(seed);
    let rules = Rules {
        kind: if way == Way::Intervals { RecordKind::Interval } else { RecordKind::Change },
        microstop_threshold_us: seeded.within(0, 5 * MINUTE_US),
        startup_us: seeded.pick(&[0, 3 * MINUTE_US]),
        rates: Rates { cost_per_hour: Some(60.0), energy_price_per_kwh: Some(0.25) },
    };
    let rows = history(&mut seeded, way);
    let all_shifts = shifts();
    let mut known = Known::default();
    let mut live: Option<Live> = None;
    let (mut begun, mut looks, mut next) = (0, 0, 0);
    let mut now = 30 * MINUTE_US;
    while now < LONG_US {
        let first = next;
        while let Some((_, row)) = rows.get(next).filter(|(arrived, _)| *arrived <= now) {
            known.add(row);
            next += 1;
        }
        let jobs = known.jobs(i64::MIN, now);
        for (_, row) in &rows[first..next] {
            let Some(live) = &mut live else { break };
            match row {
                Row::State(record) => live.state(record.clone()),
                Row::Piece(piece) => live.pieces([piece.clone()]),
                Row::Reason(reason) => live.reason(reason.clone()),
                Row::Sample(signal, reading) => live.sample(&plant, signal, reading),
                Row::Job(job) if job.start < live.cut() => live.forget(),
                Row::Job(_) => {}
            }
        }
        let shift = all_shifts.iter().find(|shift| shift.start <= now && now < shift.end);
        let order = jobs.last().filter(|job| now <= job.end).and_then(|job| job.work_order.clone());
        let order_start = order.as_deref().map(|order| first_start(&jobs, order));
        let complete = |live: &Live| {
            !live.is_late()
                && order.as_deref().zip(order_start).is_none_or(|(order, start)| live.knows_order(order, start))
        };
        let mut current = match live.take().filter(complete) {
            Some(live) => live,
            None => {
                begun += 1;
                let from = shift.map_or(now, |shift| shift.start).min(order_start.unwrap_or(OPEN));
                let before = jobs.iter().rfind(|job| job.end <= from - rules.startup_us).cloned();
                let evidence = Evidence { before, ..known.evidence(&plant, way, now) };
                Live { keep, ..Live::new(rules, from, evidence) }
            }
        };
        let surroundings =
            Surroundings { shifts: all_shifts.clone(), jobs: known.jobs(current.reach(), now), executed: None };
        let found = current.now(&surroundings, now);
        let evidence = known.evidence(&plant, way, now);
        let batch = Machine::new(Inputs {
            shifts: all_shifts.clone(),
            states: explained(told(timeline(rules.kind, evidence.states), &evidence.symptoms), evidence.reasons),
            jobs: jobs.clone(),
            pieces: evidence.pieces,
            energy: evidence.energy,
            rates: rules.rates,
            microstop_threshold_us: rules.microstop_threshold_us,
            startup_us: rules.startup_us,
        });
        assert_eq!(found.state, state_at(&batch, now), "seed {seed}");
        assert_eq!(found.shift.is_some(), shift.is_some(), "seed {seed}");
        if let (Some(found), Some(shift)) = (&found.shift, shift) {
            same(seed, &found.report, &batch.report(shift.start, shift.end, now));
        }
        assert_eq!(found.order.as_ref().map(|order| &order.work_order), order.as_ref(), "seed {seed}");
        if let (Some(found), Some(start)) = (&found.order, order_start) {
            let by_order = batch.by_job(start, now, |job| job.work_order.as_deref());
            let stretches = by_order.into_iter().find(|(name, _)| *name == order.as_deref()).expect("the order").1;
            same(seed, &found.report, &batch.report_over(&stretches, now).expect("a stretch"));
        }
        live = Some(current);
        looks += 1;
        now += seeded.within(1, 3 * MINUTE_US);
    }
    (begun, looks)
}

#[test]
fn live_is_batch_under_late_and_shuffled_rows() {
    for way in Way::ALL {
        let (mut begun, mut looks) = (0, 0);
        for seed in 0..6 {
            let (more_begun, more_looks) = follow(seed, way, Keep::USUAL);
            begun += more_begun;
            looks += more_looks;
            follow(6 + seed, way, LITTLE);
        }
        assert!(begun > 6 && begun < looks / 2, "{way:?}: begun {begun} times in {looks} looks");
    }
}

/// A machine told by a rule that waits 90 seconds, which ran from the start and slowed down at `slow_at`.
fn slowing(plant: &Plant, slow_at: i64) -> Live {
    let mut tracks = Tracks::of(plant, "press");
    let speed = |time: i64, value: f64| Reading { time, value: Some(value), text: None, quality: 0 };
    tracks.push(plant, "state", &speed(0, 9.0));
    let Said { states, .. } = tracks.take(100 * SECOND_US);
    let evidence = Evidence { states, pieces: Some(Vec::new()), tracks, ..Evidence::default() };
    let mut live = Live::new(Rules::default(), 0, evidence);
    live.sample(plant, "state", &speed(slow_at, 0.0));
    live
}

#[test]
fn the_cut_keeps_out_of_time_that_a_rule_cannot_tell_yet() {
    let plant = plant(Way::Rule);
    let (slow_at, step) = (120 * SECOND_US, 20_000);
    let mut live = slowing(&plant, slow_at);
    // So many pieces that rows of the last minute are too many to be kept.
    live.pieces((0..10_000).map(|at| Piece::new(at * step, 1.0, 0.0)));
    let surroundings = Surroundings { shifts: shifts(), ..Surroundings::default() };
    let running = live.now(&surroundings, 200 * SECOND_US).shift.expect("a shift").report;
    assert_eq!(running.elements.unplanned_us, 0);
    assert_eq!(live.cut(), slow_at);
    let stopped = live.now(&surroundings, 210 * SECOND_US).shift.expect("a shift").report;
    assert!(!live.is_late());
    assert_eq!(stopped.elements.run_us, slow_at);
}

#[test]
fn a_sample_that_undoes_what_was_told_makes_the_machine_late() {
    let plant = plant(Way::Rule);
    let slow_at = 120 * SECOND_US;
    let surroundings = Surroundings { shifts: shifts(), ..Surroundings::default() };
    for (after_s, late) in [(89, true), (90, false)] {
        let mut live = slowing(&plant, slow_at);
        live.now(&surroundings, slow_at + 95 * SECOND_US);
        let fast = Reading { time: slow_at + after_s * SECOND_US, value: Some(9.0), text: None, quality: 0 };
        live.sample(&plant, "state", &fast);
        assert_eq!(live.is_late(), late, "{after_s}");
    }
}

#[test]
fn the_cut_keeps_out_of_time_in_which_a_symptom_may_come() {
    let plant = plant(Way::Changes);
    let tracks = Tracks::of(&plant, "press");
    let symptoms = Tracks::of(&plant, "press").take(0).symptoms;
    let state = |start_s: i64, category| {
        let start = start_s * SECOND_US;
        StateRecord { start, end: None, recorded: start, value: value(category, None) }
    };
    let states = vec![state(0, Category::Run), state(120, Category::Unplanned), state(121, Category::Run)];
    let evidence = Evidence { states, pieces: Some(Vec::new()), symptoms, tracks, ..Evidence::default() };
    let mut live = Live::new(Rules::default(), 0, evidence);
    let piece = |at: i64| Piece::new(121 * SECOND_US + at * 500, 1.0, 0.0);
    live.pieces((0..4_000).map(piece));
    let surroundings = Surroundings { shifts: shifts(), ..Surroundings::default() };
    let before = live.now(&surroundings, 123 * SECOND_US).shift.expect("a shift").report;
    assert_eq!((before.elements.unplanned_us, before.elements.planned_downtime_us), (SECOND_US, 0));
    assert_eq!(live.cut(), 120 * SECOND_US);
    live.sample(&plant, "fill", &Reading { time: 124 * SECOND_US, value: Some(0.0), text: None, quality: 0 });
    let after = live.now(&surroundings, 126 * SECOND_US).shift.expect("a shift").report;
    assert!(!live.is_late());
    assert_eq!((after.elements.unplanned_us, after.elements.planned_downtime_us), (0, SECOND_US));
}

#[test]
fn the_cut_keeps_out_of_time_that_a_meter_has_not_told_yet() {
    let plant = plant(Way::Changes);
    let mut tracks = Tracks::of(&plant, "press");
    let read =
        |minute: i64, value: f64| Reading { time: minute * MINUTE_US, value: Some(value), text: None, quality: 0 };
    tracks.push(&plant, "meter", &read(5, 10.0));
    let energy = tracks.take(0).energy;
    let run = StateRecord { start: 0, end: None, recorded: 0, value: value(Category::Run, None) };
    let evidence = Evidence { states: vec![run], energy, tracks, ..Evidence::default() };
    let mut live = Live::new(Rules::default(), 0, evidence);
    let surroundings = Surroundings { shifts: shifts(), ..Surroundings::default() };
    let taken = |live: &mut Live, minute: i64| {
        let report = live.now(&surroundings, minute * MINUTE_US).shift.expect("a shift").report;
        (report.energy.map(|energy| energy.total_kwh), live.cut() / MINUTE_US, live.is_late())
    };
    assert_eq!(taken(&mut live, 20), (Some(0.0), 5, false), "ten minutes ago were 10, but the last reading was at 5");
    live.sample(&plant, "meter", &read(21, 40.0));
    assert_eq!(taken(&mut live, 22), (Some(30.0), 12, false));
    // A silence that is longer than a step is spread over holds nothing up.
    assert_eq!(taken(&mut live, 58), (Some(30.0), 33, false));
    live.sample(&plant, "meter", &read(58, 90.0));
    assert_eq!(taken(&mut live, 59), (Some(80.0), 49, false));
}
