#!/usr/bin/env python3
"""What writing records costs the server: new, repeated and corrected ones beside many that are in files, and a start
after kill -9 with the newest of them in the log alone.

    python3 benches/records.py --takt target/release/takt [--rows 500000]

Prints CPU microseconds of the server per record and wall milliseconds per request. Records leave fields out, as most do,
or name all of them.
"""

import argparse
import contextlib
import http.client
import json
import pathlib
import subprocess
import tempfile
import time

PLANT = pathlib.Path(__file__).parent.parent / "tests" / "it" / "plant.toml"
EQUIPMENT = "cologne/line-1/press"
START_S = 1_772_323_200  # 2026-03-01
PATIENCE_S = 300


def moment(number):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START_S + number))


def operation(number, whole):
    # Spread over the names, so that no order of keys is the order of writing.
    name = number * 7919 % 10_000_019
    row = {"run": f"run-{name}", "unit": f"unit-{name}", "equipment": EQUIPMENT, "operation": "press",
           "started": moment(10 * number), "completed": moment(10 * number + 8)}
    rest = {"product": "P1", "work_order": None, "operator": None, "result": "pass", "quantity": 1.0}
    return row | rest if whole else row


def measurement(number, whole):
    name = number * 7919 % 10_000_019
    row = {"equipment": EQUIPMENT, "characteristic": "force", "time": moment(10 * number), "unit": f"unit-{name}",
           "operation": "press", "run": f"run-{name}", "piece": 1, "value": 1.5}
    rest = {"text": None, "lower_limit": None, "upper_limit": 2.0, "target": None, "result": "pass", "work_order": None,
            "product": None, "operator": None, "gauge": None, "subgroup": None}
    return row | rest if whole else row


TABLES = {"operations": operation, "measurements": measurement}


class Server:
    def __init__(self, takt, folder, plant=PLANT):
        self.takt, self.data, self.plant = takt, pathlib.Path(folder) / "data", plant
        self.start()

    def start(self):
        """Gives how long that took, seconds."""
        listening = self.data / "listening.json"
        listening.unlink(missing_ok=True)
        begun = time.monotonic()
        none = "127.0.0.1:0"
        self.process = subprocess.Popen(
            [self.takt, "serve", "--data", self.data, "--plant", self.plant, "--http", none, "--pg", none, "--mqtt", none],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                self.address = json.loads(listening.read_text())["http"]
                break
            if self.process.poll() is not None or time.monotonic() - begun > PATIENCE_S:
                raise SystemExit("the server does not start")
            time.sleep(0.01)
        self.connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_S)
        return time.monotonic() - begun

    def post(self, path, body=""):
        self.connection.request("POST", path, body, {"content-type": "application/json"})
        answer = self.connection.getresponse()
        told = answer.read().decode()
        if answer.status >= 300:
            raise SystemExit(f"{path}: {answer.status} {told[:300]}")
        return told

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def write(self, table, numbers, batch, change=lambda row: row, whole=False):
        """CPU microseconds per record, wall milliseconds per request."""
        make = TABLES[table]
        rows = [change(make(number, whole)) for number in numbers]
        bodies = [json.dumps(rows[at:at + batch]) for at in range(0, len(rows), batch)]
        cpu, wall = self.cpu_s(), time.monotonic()
        for body in bodies:
            self.post(f"/api/v1/{table}", body)
        cpu, wall = self.cpu_s() - cpu, time.monotonic() - wall
        return f"{cpu / len(rows) * 1e6:.0f} µs, {wall / len(bodies) * 1e3:.2f} ms"


def measured(takt, table, count, whole):
    corrected = {"operations": {"result": "fail"}, "measurements": {"value": 2.5}}[table]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(takt, folder)
        try:
            first = server.write(table, range(count), 20_000, whole=whole)
            server.post("/api/v1/compact")
            spread = [number * 104_729 % count for number in range(21_000)]
            cells = [first]
            cells.append(server.write(table, range(count, count + 20_000), 500, whole=whole))
            cells.append(server.write(table, range(count + 20_000, count + 21_000), 1, whole=whole))
            cells.append(server.write(table, spread[:10_000], 500, whole=whole))
            change = lambda row: row | corrected
            cells.append(server.write(table, spread[10_000:20_000], 500, change, whole))
            cells.append(server.write(table, spread[20_000:], 1, change, whole))
            server.write(table, range(count + 21_000, count + 41_000), 1, whole=whole)
            server.process.kill()
            server.process.wait()
            cells.append(f"{server.start():.2f} s")
        finally:
            server.process.kill()
            server.process.wait()
    return cells


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--takt", required=True, help="the binary")
    arguments.add_argument("--rows", type=int, default=500_000, help="records that are in files before")
    given = arguments.parse_args()
    print("| | first, by 20,000 | new, by 500 | new, one by one | the same again, by 500 | corrected, by 500 "
          "| corrected, one by one | start with 20,000 in the log |")
    print("|---" * 8 + "|")
    for table in TABLES:
        for whole in (False, True):
            name = f"{table}, {'all fields' if whole else 'fields left out'}"
            print(f"| {name} | {' | '.join(measured(given.takt, table, given.rows, whole))} |", flush=True)


if __name__ == "__main__":
    main()
