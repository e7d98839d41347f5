"""A plant made up from a seed: lines of stations, twelve signals each at 1 Hz, and the records that go with them.

Names are those of takt's tables. `samples.parquet` is in the order of arrival, `samples_sorted.parquet` in that of
takt's segments; times are microseconds, UTC. The same seed and size give the same rows everywhere.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START_US = 1_700_006_400_000_000  # 2023-11-15 00:00 UTC
SECOND_US = 1_000_000
#        lines, stations a line, seconds, edges
SIZES = {
    "tiny": (1, 3, 1_800, 12_000),
    "small": (1, 6, 14_800, 120_000),
    "ten": (2, 6, 76_000, 1_000_000),
    "medium": (4, 12, 92_400, 1_000_000),
    "large": (8, 25, 91_000, 1_000_000),
}
SIGNALS = ["current", "drift_a", "drift_b", "energy", "flow", "force", "pieces", "pressure", "running", "setpoint",
           "state_code", "temperature"]
IRREGULAR = "force"
STATES = [("RUN", "run"), ("IDLE", "unplanned"), ("FAULT", "unplanned"), ("SETUP", "changeover"), ("BREAK", "planned"),
          ("OFF", "no_order")]
IDEAL_CYCLE_S = 22.0
CHARACTERISTICS = 10
ORDER_UNITS = 200
EPOCH = pa.timestamp("us", tz="UTC")


def curve(signal, n, rng, pieces):
    """Values of one signal at every second: what plants send are decimals."""
    t = np.arange(n)
    if signal in ("temperature", "pressure", "flow", "current"):
        noise = 0.25 * (1 + ("temperature", "pressure", "flow", "current").index(signal))
        return np.round(rng.uniform(20, 200) + 3 * np.sin(t / rng.uniform(200, 4_000)) + rng.normal(0, noise, n), 2)
    if signal.startswith("drift"):
        return np.round(50 + np.cumsum(rng.normal(2e-5, 0.004, n)), 3)
    if signal == "setpoint":
        steps = np.zeros(n)
        steps[rng.integers(0, n, max(2, n // 3_600))] = rng.integers(-5, 6, max(2, n // 3_600)) * 5.0
        return 1_200 + np.cumsum(steps)
    if signal == "pieces":
        return pieces.astype(float)
    if signal == "energy":
        return np.round(1_000 + np.cumsum(rng.integers(0, 4, n)) * 0.01, 2)
    if signal == "running":
        return (np.cumsum(rng.random(n) < 0.02) % 2).astype(float)
    if signal == "state_code":
        last_change = np.maximum.accumulate(np.where(rng.random(n) < 0.01, t, 0))
        return rng.integers(0, 6, n)[last_change].astype(float)
    return np.round(40 + 10 * np.sin(t / 600) + rng.normal(0, 1.5, n), 2)


def cycles(stations, seconds, rng):
    """Start and end of each unit at each station of a line, seconds: a unit leaves a station a cycle after it came, or
    after the unit before it left."""
    n = int(seconds // IDEAL_CYCLE_S) + 10
    ready, spans = np.zeros(n), []
    for _ in range(stations):
        cycle = 20 + 70 * rng.beta(1.2, 6.0, n)
        done = np.cumsum(cycle)
        end = done + np.maximum.accumulate(ready - (done - cycle))
        spans.append((end - cycle, end))
        ready = end + 5
    return spans


def names(values, places, missing=None):
    """A text column from places in a list of values."""
    places = pa.array(places.astype(np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(places, pa.array(values)).cast(pa.string())


def times(seconds):
    return pa.array(START_US + np.round(np.asarray(seconds) * SECOND_US).astype(np.int64), EPOCH)


class Plant:
    def __init__(self, size, seed):
        self.lines, self.stations, self.seconds, self.edges = SIZES[size]
        self.size, self.seed = size, seed
        self.rng = np.random.default_rng([seed, 1])
        self.equipment = [f"plant/line-{line + 1}/station-{station + 1:02}"
                          for line in range(self.lines) for station in range(self.stations)]
        self.spans, self.first_unit, units = [], [], 0
        for _ in range(self.lines):
            spans = cycles(self.stations, self.seconds, self.rng)
            self.first_unit.append(units)
            units += int((spans[0][0] < self.seconds).sum())
            self.spans += spans
        self.units = [f"SN{unit:08}" for unit in range(units)]
        self.operation = [f"OP{(place % self.stations + 1) * 10:03}" for place in range(len(self.equipment))]
        self.ran = [self.executions(place) for place in range(len(self.equipment))]
        self.series = [(place, signal) for place in range(len(self.equipment)) for signal in range(len(SIGNALS))]

    def executions(self, place):
        """Unit, start and end of what ran at an equipment."""
        line = place // self.stations
        last = self.first_unit[line + 1] if line + 1 < self.lines else len(self.units)
        count = last - self.first_unit[line]
        start, end = (span[:count] for span in self.spans[place])
        ran = start < self.seconds
        return self.first_unit[line] + np.flatnonzero(ran), start[ran], end[ran]

    def samples_of(self, place, signal):
        """Times (microseconds), values, qualities and units (negative: none) of one signal."""
        rng = np.random.default_rng([self.seed, 2, place, signal])
        unit, start, end = self.ran[place]
        jitter_ms = np.clip(np.round(rng.normal(0, 5, self.seconds)), -40, 40).astype(np.int64)
        at = np.arange(self.seconds) * SECOND_US + (int(rng.integers(50, 900)) + jitter_ms) * 1_000
        started = np.searchsorted((start * SECOND_US).astype(np.int64), at, "right") - 1
        inside = (started >= 0) & (at < (end * SECOND_US).astype(np.int64)[np.maximum(started, 0)])
        pieces = np.searchsorted((end * SECOND_US).astype(np.int64), at, "right")
        values = curve(SIGNALS[signal], self.seconds, rng, pieces)
        quality = np.zeros(self.seconds, np.int64)
        for burst in np.flatnonzero(rng.random(self.seconds) < 0.0004):
            quality[burst : burst + 8] = 0x80000000 if burst & 1 else 0x40000000
        sent = rng.random(self.seconds) < 0.3 if SIGNALS[signal] == IRREGULAR else np.ones(self.seconds, bool)
        unit = np.where(inside, unit[np.maximum(started, 0)], -1)
        return START_US + at[sent], values[sent], quality[sent], unit[sent]

    def samples(self, place, signal, at, values, quality, unit):
        return pa.table({
            "time": pa.array(at, EPOCH),
            "equipment": names(self.equipment, place),
            "signal": names(SIGNALS, signal),
            "value": values,
            "quality": quality,
            "unit": names(self.units, np.maximum(unit, 0), unit < 0),
            "operation": names(self.operation, place, unit < 0),
        })

    def sorted_samples(self):
        """By equipment, signal and time, an equipment at a time."""
        for place in range(len(self.equipment)):
            parts = [self.samples_of(place, signal) for signal in range(len(SIGNALS))]
            of = np.repeat(np.arange(len(SIGNALS)), [len(part[0]) for part in parts])
            columns = [np.concatenate([part[column] for part in parts]) for column in range(4)]
            yield self.samples(np.full(len(of), place), of, *columns)

    def records(self):
        rng = np.random.default_rng([self.seed, 3])
        ran = self.ran
        place = np.repeat(np.arange(len(ran)), [len(unit) for unit, _, _ in ran])
        unit, start, end = (np.concatenate([columns[column] for columns in ran]) for column in range(3))
        n = len(unit)
        passed = rng.random(n) > 0.03
        equipment, operation = names(self.equipment, place), names(self.operation, place)
        serial = names(self.units, unit)
        orders = [f"WO{order:06}" for order in range(len(self.units) // ORDER_UNITS + 1)]
        order = names(orders, unit // ORDER_UNITS)
        run = pa.array([f"R{number:08}" for number in range(n)])
        result = names(["FAIL", "PASS"], passed)
        operations = pa.table({"run": run, "equipment": equipment, "work_order": order, "product": names(["P"], 0 * unit),
                               "operation": operation, "unit": serial, "started": times(start), "completed": times(end),
                               "result": result})
        counts = pa.table({"equipment": equipment, "time": times(end), "source": names(["counter"], 0 * unit),
                           "total": np.ones(n), "good": passed.astype(float), "scrap": (~passed).astype(float)})
        row, which = np.repeat(np.arange(n), CHARACTERISTICS), np.tile(np.arange(CHARACTERISTICS), n)
        nominal = 10.0 * (1 + which)
        measurements = pa.table({
            "time": times(end[row]), "unit": names(self.units, unit[row]), "operation": names(self.operation, place[row]),
            "equipment": names(self.equipment, place[row]),
            "characteristic": names([f"C{number:02}" for number in range(CHARACTERISTICS)], which),
            "run": run.take(pa.array(row)), "value": np.round(nominal + rng.normal(0, 0.05, len(row)), 4),
            "lower_limit": nominal - 0.2, "upper_limit": nominal + 0.2})
        return {"operations": operations, "counts": counts, "measurements": measurements, "states": self.states(rng),
                "materials": self.materials(rng)}

    def states(self, rng):
        at, of, state = [], [], []
        for place in range(len(self.equipment)):
            n = self.seconds // 37 + 20
            running = np.arange(n) % 2 == 0
            lasts = np.where(running, rng.exponential(60, n), rng.exponential(15, n)) + 0.5
            began = np.round(np.concatenate([[0], np.cumsum(lasts)[:-1]]), 3)
            within = began < self.seconds
            at.append(began[within])
            of.append(np.full(within.sum(), place))
            state.append(np.where(running, 0, rng.integers(1, len(STATES), n))[within])
        at, of, state = map(np.concatenate, (at, of, state))
        word = names([word for word, _ in STATES], state)
        return pa.table({"equipment": names(self.equipment, of), "source": names(["plc"], 0 * of),
                         "kind": names(["change"], 0 * of), "start": times(at), "state": word,
                         "category": names([category for _, category in STATES], state)})

    def materials(self, rng):
        """Six levels; every parent went into four children."""
        width = self.edges // 24
        parent = np.concatenate([level * width + np.repeat(np.arange(width), 4) for level in range(6)])
        child = np.concatenate([(level + 1) * width + rng.integers(0, width, width * 4) for level in range(6)])
        lots = [f"LOT{lot:07}" for lot in range(7 * width)]
        at = np.sort(rng.uniform(0, self.seconds, len(parent)))
        return pa.table({"event_id": [f"E{edge:08}" for edge in range(len(parent))], "time": times(at),
                         "parent": names(lots, parent), "child": names(lots, child), "quantity": np.ones(len(parent))})

    def parameters(self, records):
        """What the queries ask for."""
        middle = self.operation[min(2, self.stations - 1)]
        there = [place for place, operation in enumerate(self.operation) if operation == middle][0]
        hour = START_US + self.seconds // 2 // 3_600 * 3_600 * SECOND_US
        day_us = min(self.seconds, 86_400) * SECOND_US
        return {
            "size": self.size, "seed": self.seed, "start_us": START_US, "end_us": START_US + self.seconds * SECOND_US,
            "day_end_us": START_US + day_us, "bucket_us": day_us // 1_000, "hour_us": hour,
            "one": [self.equipment[-1], "temperature"], "some_equipment": self.equipment[:10], "some_signals": SIGNALS[:10],
            "unit": self.units[self.ran[there][0][len(self.ran[there][0]) // 2]], "operation": middle,
            "irregular": [self.equipment[0], IRREGULAR], "units": 10_000, "units_signal": "drift_b", "lot": "LOT0000007",
            "ideal_cycle_s": IDEAL_CYCLE_S, "rows": {name: table.num_rows for name, table in records.items()},
        }

    def plant_file(self):
        text = ['[plant]\nname = "peers"\nzone = "UTC"\n\n[[products]]\nproduct = "P"\nideal_cycle_s = 22.0\n']
        nodes = ["plant"] + [f"plant/line-{line + 1}" for line in range(self.lines)]
        text += [f'[[equipment]]\npath = "{path}"\n' for path in nodes]
        text += [f'[[equipment]]\npath = "{path}"\ndefault_product = "P"\n' for path in self.equipment]
        return "\n".join(text)


def arrival(folder, rows):
    """The sorted file in the order of arrival, `rows` at a time: a collector sends all signals side by side."""
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET memory_limit='8GB'; SET TimeZone='UTC'; SET temp_directory='{folder}/tmp'")
    query = f"SELECT * FROM '{folder}/samples_sorted.parquet' ORDER BY time, equipment, signal"
    reader = con.sql(query).to_arrow_reader(rows)
    yield from (pa.Table.from_batches([batch]) for batch in reader)


def make(size, folder, seed=1):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plant = Plant(size, seed)
    records = plant.records()
    for name, table in records.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    rows, writer = 0, None
    for table in plant.sorted_samples():
        writer = writer or pq.ParquetWriter(folder / "samples_sorted.parquet", table.schema, compression="zstd")
        writer.write_table(table, row_group_size=1 << 20)
        rows += table.num_rows
    writer.close()
    writer = None
    for table in arrival(folder, 1_000_000):
        writer = writer or pq.ParquetWriter(folder / "samples.parquet", table.schema, compression="zstd", compression_level=1)
        writer.write_table(table)
    writer.close()
    (folder / "plant.toml").write_text(plant.plant_file())
    # Last: it says that the folder is complete.
    parameters = plant.parameters(records) | {"samples": rows}
    (folder / "workload.json").write_text(json.dumps(parameters, indent=1))
    return parameters


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(make(arguments.size, arguments.folder, arguments.seed)["rows"]))
