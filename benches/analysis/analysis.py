"""Measures what engineers ask of a year of a plant: OEE of 200 machines, and X-bar/R limits of 500 characteristics.

Generates the rows from a seed, brings them into a takt of its own, settles it and times each question over the PostgreSQL
wire: CPU seconds of the server, and wall time, the median of several runs. The limits are also asked of chDB over the same
rows, in the same run, and have to agree.

    python3 -m venv venv && venv/bin/pip install -r benches/analysis/requirements.txt
    venv/bin/python benches/analysis/analysis.py --takt target/release/takt --scratch /tmp/analysis
"""

import argparse
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import time

import numpy
import psycopg
import pyarrow
import pyarrow.parquet

YEAR_US = 1_735_689_600_000_000  # 2025-01-01T00:00:00Z
DAY_US = 86_400_000_000
UTC = pyarrow.timestamp("us", "UTC")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--takt", required=True, help="the optimised binary")
    parser.add_argument("--scratch", required=True, type=pathlib.Path, help="a folder of its own; emptied first")
    parser.add_argument("--machines", type=int, default=200)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--states-a-day", type=int, default=137, help="of each machine; as many counts")
    parser.add_argument("--characteristics", type=int, default=500)
    parser.add_argument("--subgroups", type=int, default=560, help="of five values, of each characteristic")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--parts", default="oee,spc")
    return parser.parse_args()


def plant(machines):
    lines = ['[plant]', 'name = "bench"', 'zone = "Europe/Berlin"', '[[equipment]]', 'path = "site"', 'calendar = "three"',
             'state_source = "mes"', 'count_source = "mes"', 'default_product = "A"', '[[products]]', 'product = "A"', 'ideal_cycle_s = 60']
    for name, start, end in [("early", "06:00", "14:00"), ("late", "14:00", "22:00"), ("night", "22:00", "06:00")]:
        lines += ['[[calendars.three.shifts]]', f'name = "{name}"', 'days = ["mon","tue","wed","thu","fri","sat","sun"]',
                  f'start = "{start}"', f'end = "{end}"']
    for machine in range(machines):
        lines += ['[[equipment]]', f'path = "site/m{machine:03}"']
    return "\n".join(lines) + "\n"


def write(path, columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=1 << 18)


def machines_of_a_month(args, folder, first_day, days):
    """States and counts of all machines, as a plant would send them: day after day."""
    random = numpy.random.default_rng(first_day)
    count = args.machines * days * args.states_a_day
    spread = DAY_US // args.states_a_day
    at = numpy.arange(count) // args.machines
    machine = numpy.arange(count) % args.machines
    times = YEAR_US + first_day * DAY_US + at * spread + random.integers(0, spread // 2, count)
    paths = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(machine.astype("int32")), pyarrow.array([f"site/m{place:03}" for place in range(args.machines)]))
    states = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(random.choice(4, count, p=[0.6, 0.25, 0.05, 0.1]).astype("int32")),
        pyarrow.array(["RUN", "STOP", "SETUP", "IDLE"]))
    source = pyarrow.DictionaryArray.from_arrays(pyarrow.array(numpy.zeros(count, "int32")), pyarrow.array(["mes"]))
    write(folder / f"states-{first_day:03}.parquet",
          {"equipment": paths, "source": source, "start": pyarrow.array(times, UTC), "state": states})
    total = random.integers(1, 12, count).astype("float64")
    write(folder / f"counts-{first_day:03}.parquet",
          {"equipment": paths, "source": source, "time": pyarrow.array(times, UTC), "total": pyarrow.array(total),
           "scrap": pyarrow.array((random.random(count) < 0.1).astype("float64"))})
    return 2 * count


def measurements(args, folder):
    random = numpy.random.default_rng(1)
    size = 5
    count = args.characteristics * args.subgroups * size
    characteristic = (numpy.arange(count) // size) % args.characteristics
    subgroup = numpy.arange(count) // (size * args.characteristics)
    values = 10 + characteristic / 100 + random.normal(0, 0.1, count)
    names = pyarrow.array([f"c{place:04}" for place in range(args.characteristics)])
    columns = {
        "time": pyarrow.array(YEAR_US + numpy.arange(count) * 1_000_000, UTC),
        "equipment": pyarrow.array(["site/m000"] * count).dictionary_encode(),
        "operation": pyarrow.array(["test"] * count).dictionary_encode(),
        "unit": pyarrow.array([f"U{place // args.characteristics:06}" for place in range(count)]).dictionary_encode(),
        "characteristic": pyarrow.DictionaryArray.from_arrays(pyarrow.array(characteristic.astype("int32")), names),
        "value": pyarrow.array(values.round(4)),
        "subgroup": pyarrow.array([f"S{place:05}" for place in subgroup]).dictionary_encode(),
    }
    write(folder / "measurements.parquet", columns)
    return count


class Takt:
    def __init__(self, args):
        self.binary = args.takt
        ports = []
        for _ in range(3):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        self.http, self.pg, mqtt = ports
        environment = {**os.environ, "TAKT_URL": f"http://127.0.0.1:{self.http}"}
        self.environment = environment
        listen = ["--http", f"127.0.0.1:{self.http}", "--pg", f"127.0.0.1:{self.pg}", "--mqtt", f"127.0.0.1:{mqtt}"]
        self.process = subprocess.Popen(
            [self.binary, "serve", "--plant", "plant.toml", "--data", "data", *listen], cwd=args.scratch,
            stdout=(args.scratch / "takt.log").open("w"), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.session = psycopg.connect(f"host=127.0.0.1 port={self.pg} user=takt dbname=takt", autocommit=True)
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def command(self, *arguments):
        subprocess.run([self.binary, *arguments], check=True, env=self.environment, stdout=subprocess.DEVNULL)

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self):
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))

    def ask(self, sql, runs):
        """Rows, CPU milliseconds and wall milliseconds of one run: means over as many runs as a clock tick needs."""
        cpu, wall = [], []
        for _ in range(runs):
            begun, before, times = time.monotonic(), self.cpu_s(), 0
            while time.monotonic() - begun < 0.5 or times < 1:
                rows = self.session.execute(sql).fetchall()
                times += 1
            cpu.append(1000 * (self.cpu_s() - before) / times)
            wall.append(1000 * (time.monotonic() - begun) / times)
        return rows, statistics.median(cpu), statistics.median(wall)

    def stop(self):
        self.session.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def told(name, rows, cpu_ms, wall_ms):
    print(f"{name:60} {len(rows):8} rows {cpu_ms:10.1f} ms CPU {wall_ms:10.1f} ms wall", flush=True)


def day(number):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((YEAR_US + number * DAY_US) / 1e6))


def chdb_limits(folder, runs):
    import resource

    import chdb

    sql = f"""
        SELECT characteristic, avg(m), avg(r) FROM (
            SELECT characteristic, subgroup, avg(value) AS m, max(value) - min(value) AS r
            FROM file('{folder / "measurements.parquet"}', Parquet) GROUP BY characteristic, subgroup)
        GROUP BY characteristic ORDER BY characteristic"""
    cpu, wall = [], []
    for _ in range(runs + 1):
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        rows = str(chdb.query(sql, "CSV")).strip().splitlines()
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu.append(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
        wall.append(1000 * (time.monotonic() - begun))
    # The first run warms it up.
    return rows, statistics.median(cpu[1:]), statistics.median(wall[1:])


def main():
    args = arguments()
    shutil.rmtree(args.scratch, ignore_errors=True)
    args.scratch.mkdir(parents=True)
    (args.scratch / "plant.toml").write_text(plant(args.machines))
    takt = Takt(args)
    try:
        if "oee" in args.parts:
            records, begun, cpu = 0, time.monotonic(), takt.cpu_s()
            for first in range(0, args.days, 30):
                records += machines_of_a_month(args, args.scratch, first, min(30, args.days - first))
                for table in ["states", "counts"]:
                    file = args.scratch / f"{table}-{first:03}.parquet"
                    takt.command("import", "--table", table, str(file))
                    file.unlink()
            print(f"{records} records of states and counts: {time.monotonic() - begun:.0f} s, {takt.cpu_s() - cpu:.0f} s CPU", flush=True)
        if "spc" in args.parts:
            begun, cpu = time.monotonic(), takt.cpu_s()
            count = measurements(args, args.scratch)
            takt.command("import", "--table", "measurements", str(args.scratch / "measurements.parquet"))
            print(f"{count} measurements: {time.monotonic() - begun:.0f} s, {takt.cpu_s() - cpu:.0f} s CPU", flush=True)
        begun, cpu = time.monotonic(), takt.cpu_s()
        takt.command("compact")
        print(f"settled in {time.monotonic() - begun:.0f} s, {takt.cpu_s() - cpu:.0f} s CPU", flush=True)
        if "oee" in args.parts:
            last = args.days - 1
            for name, sql in [
                ("oee('day'), all machines, the whole time", f"SELECT * FROM oee('day', '{day(0)}', '{day(args.days)}') WHERE equipment <> 'site'"),
                ("oee('day'), all machines, 30 days", f"SELECT * FROM oee('day', '{day(last - 30)}', '{day(last)}') WHERE equipment <> 'site'"),
                ("oee('shift'), one machine, one shift", f"SELECT * FROM oee('shift', '{day(last - 1)[:11]}05:00:00Z', '{day(last - 1)[:11]}13:00:00Z') WHERE equipment = 'site/m007'"),
                ("losses('day'), one machine, 30 days", f"SELECT * FROM losses('day', '{day(last - 30)}', '{day(last)}') WHERE equipment = 'site/m007'"),
                ("oee_live(), all machines", "SELECT * FROM oee_live()"),
                ("stops(), one machine, one day", f"SELECT * FROM stops('{day(last - 1)}', '{day(last)}') WHERE equipment = 'site/m007'"),
            ]:
                told(name, *takt.ask(sql, args.runs))
        if "spc" in args.parts:
            limits = "SELECT characteristic, centre, companion_centre FROM spc_limits('xbar_r') ORDER BY characteristic"
            rows, cpu_ms, wall_ms = takt.ask(limits, args.runs)
            told("spc_limits('xbar_r'), all characteristics", rows, cpu_ms, wall_ms)
            peer, peer_cpu_ms, peer_wall_ms = chdb_limits(args.scratch, args.runs)
            told("the same by chDB, two nested groupings", peer, peer_cpu_ms, peer_wall_ms)
            for (name, centre, spread), line in zip(rows, peer, strict=True):
                other = line.replace('"', "").split(",")
                assert name == other[0] and abs(centre - float(other[1])) < 1e-9 and abs(spread - float(other[2])) < 1e-9, line
            print(f"ratio of CPU time: {cpu_ms / peer_cpu_ms:.2f}", flush=True)
            one = "SELECT * FROM spc('i_mr', 'limits=own') WHERE characteristic = 'c0007'"
            told("spc('i_mr'), one characteristic", *takt.ask(one, args.runs))
            told("capability(), one characteristic", *takt.ask("SELECT * FROM capability('upper=12') WHERE characteristic = 'c0007'", args.runs))
        print(f"memory of the server at most {takt.memory_mb()} MB", flush=True)
    finally:
        takt.stop()


if __name__ == "__main__":
    main()
