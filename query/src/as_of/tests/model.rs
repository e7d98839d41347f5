//! Rows of tables against plain maps of every version there was, also after the process was killed.

use std::collections::BTreeMap;

use oee::calendar::timestamp;
use oee::execution::{Execution, Executions};

use crate::fixture::shop::{Shop, Value};
use crate::fixture::{NEW_YEAR, Random, SECOND, time};

const EQUIPMENT: [&str; 3] = ["site", "site/a", "site/b"];
/// Columns of `units` that a record can leave out, in the order of the table.
const OF_UNITS: [&str; 8] = ["item", "kind", "quantity", "uom", "created", "work_order", "supplier_lot", "status"];

/// Histories in the test command.
const SEEDS: u64 = 6;

type Unit = BTreeMap<&'static str, i64>;

/// All versions by key: when recorded, and what; nothing where retracted.
struct Versions<R>(BTreeMap<String, Vec<(i64, Option<R>)>>);

impl<R: Clone + PartialEq> Versions<R> {
    fn newest(&self, key: &str) -> Option<R> {
        self.0.get(key).and_then(|versions| versions.last()?.1.clone())
    }

    /// The same again is no version.
    fn note(&mut self, key: &str, recorded: i64, row: Option<R>) {
        let versions = self.0.entry(key.to_owned()).or_default();
        if versions.last().is_none_or(|(_, newest)| *newest != row) {
            versions.push((recorded, row));
        }
    }

    /// What was known at a time, and when it was recorded.
    fn known(&self, as_of: i64) -> impl Iterator<Item = (&str, i64, &R)> {
        self.0.iter().filter_map(move |(key, versions)| {
            let (recorded, row) = versions.iter().rev().find(|(recorded, _)| *recorded <= as_of)?;
            Some((key.as_str(), *recorded, row.as_ref()?))
        })
    }

    /// Versions that were replaced by a time.
    fn replaced(&self, as_of: i64) -> usize {
        let later = |versions: &Vec<(i64, Option<R>)>| versions.iter().skip(1).filter(|next| next.0 <= as_of).count();
        self.0.values().map(later).sum()
    }
}

/// Equipment, unit, start and end of an execution.
type Run = (&'static str, String, i64, Option<i64>);

struct Model {
    shop: Shop,
    random: Random,
    now: i64,
    units: Versions<Unit>,
    runs: Versions<Run>,
    /// By equipment and time.
    samples: BTreeMap<(&'static str, i64), Vec<(i64, f64)>>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            shop: Shop::new(),
            random: Random(seed),
            now: NEW_YEAR,
            units: Versions(BTreeMap::new()),
            runs: Versions(BTreeMap::new()),
            samples: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        self.now += 1 + self.random.below(SECOND);
        self.shop.at(self.now);
        match self.random.below(24) {
            0 => self.shop.store.flush().unwrap(),
            1 => {
                self.shop.store.compact().unwrap();
            }
            2 => self.shop = self.shop.killed(),
            3..9 => self.change_unit(),
            9..15 => self.change_run(),
            _ => self.put_sample(),
        }
    }

    fn change_unit(&mut self) {
        let key = format!("u{}", self.random.below(4));
        let named = [("unit", Value::Text(&key))];
        if self.units.newest(&key).is_some() && self.random.below(5) == 0 {
            let recorded = self.shop.retract("units", &named);
            return self.units.note(&key, recorded, None);
        }
        let mut row = self.units.newest(&key).unwrap_or_default();
        // At times the row as it is, in whole: nothing new, though every field is named.
        let (whole, repeated) = (self.random.below(3) == 0, self.random.below(2) == 0);
        let value = self.random.below(3);
        if !(whole && repeated) {
            row.insert(if self.random.below(2) == 0 { "quantity" } else { "status" }, value);
        }
        let texts = [0, 1, 2].map(|value: i64| value.to_string());
        let mut fields = named.to_vec();
        for name in OF_UNITS {
            match row.get(name) {
                Some(&value) if name == "quantity" => fields.push((name, Value::Number(value as f64))),
                Some(&value) => fields.push((name, Value::Text(&texts[usize::try_from(value).unwrap()]))),
                None if whole => fields.push((name, Value::Null)),
                None => {}
            }
        }
        let recorded = self.shop.put("units", &fields);
        self.units.note(&key, recorded, Some(row));
    }

    fn change_run(&mut self) {
        let key = format!("r{}", self.random.below(6));
        let named = [("run", Value::Text(&key))];
        let open = self.runs.newest(&key);
        if open.is_some() && self.random.below(6) == 0 {
            let recorded = self.shop.retract("operations", &named);
            return self.runs.note(&key, recorded, None);
        }
        let place = EQUIPMENT[usize::try_from(self.random.below(3)).unwrap()];
        let moment = NEW_YEAR + self.random.below(60) * SECOND;
        let mut fields = named.to_vec();
        let row = match open {
            Some((place, unit, started, None)) => {
                let end = started + (1 + self.random.below(20)) * SECOND;
                fields.push(("completed", Value::Time(end)));
                (place, unit, started, Some(end))
            }
            Some((_, unit, started, end)) => (place, unit, started, end),
            None => (place, format!("U{}", self.random.below(3)), moment, None),
        };
        fields.extend([("equipment", Value::Text(row.0)), ("unit", Value::Text(&row.1))]);
        fields.push(("started", Value::Time(row.2)));
        let recorded = self.shop.put("operations", &fields);
        self.runs.note(&key, recorded, Some(row));
    }

    fn put_sample(&mut self) {
        let place = EQUIPMENT[usize::try_from(self.random.below(3)).unwrap()];
        // Late, corrected, of now, or of a clock that is ahead.
        let moment = NEW_YEAR + self.random.below(80) * SECOND;
        let value = self.random.below(3) as f64;
        let key = [("equipment", Value::Text(place)), ("signal", Value::Text("level"))];
        let fields = [key[0], key[1], ("time", Value::Time(moment)), ("value", Value::Number(value))];
        let recorded = self.shop.put("samples", &fields);
        let versions = self.samples.entry((place, moment)).or_default();
        if versions.last().is_none_or(|(_, newest)| *newest != value) {
            versions.push((recorded, value));
        }
    }

    async fn check(&mut self, seed: u64) {
        let as_of = NEW_YEAR + self.random.below(self.now - NEW_YEAR + 2);
        let ask = async |sql: String| self.shop.ask(Some(as_of), &sql).await;

        let number = |row: &Unit, name| row.get(name).map_or(String::new(), i64::to_string);
        let unit = |(key, recorded, row): (&str, i64, &Unit)| {
            let quantity = row.get("quantity").map_or(String::new(), |value| format!("{value}.0"));
            format!("{key} {quantity} {} {recorded}", number(row, "status"))
        };
        let units: Vec<String> = self.units.known(as_of).map(unit).collect();
        let columns = "unit, quantity, status, recorded::bigint";
        assert_eq!(
            ask(format!("SELECT {columns} FROM units ORDER BY unit")).await,
            units,
            "seed {seed}, as of {as_of}"
        );
        let one: Vec<_> = units.iter().filter(|row| row.starts_with("u1 ")).cloned().collect();
        assert_eq!(
            ask(format!("SELECT {columns} FROM units WHERE unit = 'u1'")).await,
            one,
            "seed {seed}, as of {as_of}"
        );
        let some: Vec<_> =
            self.units.known(as_of).filter(|(_, _, row)| row.get("status") == Some(&1)).map(unit).collect();
        let with_status = format!("SELECT {columns} FROM units WHERE status = '1' ORDER BY unit");
        assert_eq!(ask(with_status).await, some, "seed {seed}, as of {as_of}");
        let replaced = vec![self.units.replaced(as_of).to_string()];
        assert_eq!(ask("SELECT count(*) FROM units_history".to_owned()).await, replaced, "seed {seed}, as of {as_of}");

        let mut executions = Executions::new();
        for (key, recorded, (place, unit, started, completed)) in self.runs.known(as_of) {
            executions.upsert(Execution {
                run: key.into(),
                equipment: (*place).into(),
                work_order: None,
                product: None,
                operation: None,
                unit: Some(unit.as_str().into()),
                started: *started,
                completed: *completed,
                result: None,
                operator: None,
                quantity: None,
                recorded,
            });
        }
        let mut samples = Vec::new();
        for ((place, moment), versions) in self.samples.range(..).filter(|((_, moment), _)| *moment <= as_of) {
            let known = versions.iter().rev().find(|(recorded, _)| *recorded <= as_of);
            let (_, value) = known.unwrap_or(&versions[0]);
            let unit = executions.key_at(place, *moment).unit.unwrap_or_default().to_owned();
            samples.push((*place, *moment, *value, unit));
        }
        let text = |(place, moment, value, unit): &(&str, i64, f64, String)| {
            format!("{place} {} {value:?} {unit}", timestamp(*moment))
        };
        let from = NEW_YEAR + self.random.below(60) * SECOND;
        type Keeps<'a> = &'a dyn Fn(&&(&str, i64, f64, String)) -> bool;
        let conditions: [(String, Keeps<'_>); 6] = [
            ("true".to_owned(), &|_| true),
            ("equipment = 'site/a'".to_owned(), &|row| row.0 == "site/a"),
            ("unit = 'U1'".to_owned(), &|row| row.3 == "U1"),
            ("value > 1".to_owned(), &|row| row.2 > 1.0),
            (format!("time >= {}", time(from)), &|row| row.1 >= from),
            (format!("unit IN ('U0', 'U2') AND time < {}", time(from)), &|row| {
                row.1 < from && (row.3 == "U0" || row.3 == "U2")
            }),
        ];
        for (condition, keeps) in conditions {
            let expected: Vec<String> = samples.iter().filter(|row| keeps(row)).map(text).collect();
            let sql = format!("SELECT equipment, time, value, unit FROM samples WHERE {condition} ORDER BY 1, 2");
            assert_eq!(ask(sql).await, expected, "seed {seed}, {condition}, as of {as_of}");
        }
        // Answers that present rows have short ways to.
        let mut newest: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (place, _, value, _) in &samples {
            let (last, sum) = newest.entry(place).or_default();
            (*last, *sum) = (*value, *sum + value);
        }
        let expected: Vec<String> =
            newest.iter().map(|(place, (last, sum))| format!("{place} {last:?} {sum:?}")).collect();
        let last = "SELECT equipment AS place, last_value(value ORDER BY time) AS last FROM samples GROUP BY equipment, signal";
        let sums = "SELECT equipment, sum(value) AS sum FROM samples GROUP BY equipment, signal";
        let both = format!("SELECT equipment, last, sum FROM ({last}) JOIN ({sums}) ON place = equipment ORDER BY 1");
        assert_eq!(ask(both).await, expected, "seed {seed}, as of {as_of}");
    }
}

#[tokio::test]
async fn a_view_of_any_time_is_what_was_known_then() {
    for seed in 1..=SEEDS {
        let mut model = Model::new(seed);
        for _ in 0..12 {
            for _ in 0..20 {
                model.step();
            }
            model.check(seed).await;
        }
    }
}
