#!/usr/bin/env python3
"""takt and its peers on the same rows, on the same machine, one after another.

    python -m venv target/peers/venv && target/peers/venv/bin/pip install -r benches/peers/requirements.txt
    target/peers/venv/bin/python benches/peers/peers.py --size ten
    target/peers/venv/bin/python benches/peers/peers.py --size medium --peers duckdb_sorted,takt --steps query --queries Q1,Q4

Each peer takes the samples in, settles, is started anew with its files out of the page cache, and answers. Answers are
compared with DuckDB's, row by row. What is reported is the CPU time of the peer alone; the client's is not in it.
"""

import argparse
import http.client
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import queries
import workload

RECORDS = ["operations", "counts", "states", "measurements", "materials"]
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """User and system time of a process, its threads and its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICKS


def peak_mb(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def bytes_in(folder):
    return sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())


def forget(folder):
    """Takes the files of a folder out of the page cache."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def lines(table, keys):
    """Rows of `samples` as line protocol, one text each."""
    text = lambda name: table[name].combine_chunks().cast(pa.string())
    line = pc.binary_join_element_wise("samples,equipment=", text("equipment"), ",signal=", text("signal"), " value=",
                                       text("value"), ",quality=", text("quality"), "i", "")
    if keys:
        named = pc.binary_join_element_wise(',unit="', text("unit"), '",operation="', text("operation"), '"', "")
        line = pc.binary_join_element_wise(line, pc.fill_null(named, ""), "")
    return pc.binary_join_element_wise(line, pc.cast(table["time"].combine_chunks(), pa.int64()).cast(pa.string()), " ")


def bodies(table, rows, keys):
    all_lines = lines(table, keys)
    offsets = pa.array(np.append(np.arange(0, len(all_lines), rows), len(all_lines)).astype(np.int32))
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, all_lines), "\n")
    return [body.as_buffer().to_pybytes() for body in joined]


def send_all(send, prepared, connections):
    """Sends prepared requests over some connections and returns the seconds it took."""
    queue, errors = SimpleQueue(), []
    for body in prepared:
        queue.put(body)

    def work():
        post = send()
        try:
            while True:
                post(queue.get_nowait())
        except Empty:
            pass
        except Exception as error:  # told below, on the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - start


class Peer:
    """An engine in this process, whose client is part of it."""

    durable = "files"
    dialect = queries.Duck()

    def __init__(self, settings, parameters):
        self.settings, self.parameters = settings, parameters
        self.data = Path(settings.scratch) / "data" / settings.size
        self.folder = Path(settings.scratch) / settings.size / type(self).__name__.lower()

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def start(self):
        pass

    def stop(self):
        pass

    def cpu_s(self):
        return cpu_s(os.getpid())

    def peak_mb(self):
        return peak_mb(os.getpid())

    def load(self, batch_rows):
        """Takes everything in; wall and CPU seconds of the samples alone."""
        raise NotImplementedError

    def bytes(self):
        return bytes_in(self.folder)

    def ask(self, sql):
        raise NotImplementedError

    def slabs(self):
        file = pq.ParquetFile(self.data / "samples.parquet")
        return (file.read_row_group(group) for group in range(file.num_row_groups))


class DuckDB(Peer):
    durable = "fsync at every commit"

    def start(self):
        import duckdb

        self.con = duckdb.connect(str(self.folder / "db.duckdb"))
        self.con.execute("SET TimeZone='UTC'")

    def stop(self):
        self.con.close()

    def records(self):
        for name in RECORDS:
            self.con.execute(f"CREATE TABLE {name} AS SELECT * FROM '{self.data}/{name}.parquet'")

    def load(self, batch_rows):
        self.con.execute(f"CREATE TABLE samples AS SELECT * FROM '{self.data}/samples.parquet' LIMIT 0")
        wall = cpu = 0
        for slab in self.slabs():
            for start in range(0, slab.num_rows, batch_rows):
                self.con.register("batch", slab.slice(start, batch_rows))
                before, began = self.cpu_s(), time.perf_counter()
                self.con.execute("INSERT INTO samples SELECT * FROM batch")
                wall, cpu = wall + time.perf_counter() - began, cpu + self.cpu_s() - before
        before = self.cpu_s()
        self.con.execute("CHECKPOINT")
        settle = self.cpu_s() - before
        self.records()
        self.con.execute("CHECKPOINT")
        return wall, cpu, settle

    def ask(self, sql):
        return self.con.execute(sql).fetchall()


class DuckDB_Sorted(DuckDB):
    """The same with its table in the order of equipment, signal and time."""

    def load(self, batch_rows):
        self.con.execute(f"CREATE TABLE samples AS SELECT * FROM '{self.data}/samples_sorted.parquet'")
        self.records()
        self.con.execute("CHECKPOINT")
        return None


class DataFusion(Peer):
    """DataFusion alone, over sorted Parquet."""

    dialect = queries.Fusion()

    def start(self):
        import datafusion

        config = datafusion.SessionConfig().set("datafusion.execution.parquet.pushdown_filters", "true")
        self.context = datafusion.SessionContext(config)
        self.context.register_parquet("samples", str(self.data / "samples_sorted.parquet"))
        for name in RECORDS:
            self.context.register_parquet(name, str(self.data / f"{name}.parquet"))

    def load(self, batch_rows):
        return None

    def bytes(self):
        return (self.data / "samples_sorted.parquet").stat().st_blocks * 512

    def ask(self, sql):
        return [tuple(row.values()) for batch in self.context.sql(sql).collect() for row in batch.to_pylist()]


class Server(Peer):
    """A server of its own, started and ended here."""

    process = None

    def spawn(self, command, ready, cwd=None):
        self.log = open(self.folder.parent / f"{type(self).__name__.lower()}.log", "ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=cwd)
        deadline = time.monotonic() + 120
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {self.process.returncode}; see {self.log.name}")
            try:
                return ready()
            except Exception:  # not up yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(300)
            self.process = None
            self.log.close()

    def cpu_s(self):
        return cpu_s(self.process.pid)

    def peak_mb(self):
        return peak_mb(self.process.pid)

    def poster(self, port, path):
        def connect():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

            def post(body):
                connection.request("POST", path, body)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status >= 300:
                    raise RuntimeError(f"{answer.status} {said[:300]!r}")

            return post

        return connect


class Takt(Server):
    """takt: line protocol in, PostgreSQL wire out. Keys derived from executions, which are sent first."""

    durable = "fsync before the answer"
    dialect = queries.Takt()
    connections = 4
    keys = False

    def start(self):
        import psycopg

        listening = self.folder / "data" / "listening.json"
        listening.unlink(missing_ok=True)
        command = [self.settings.takt, "serve", "--data", self.folder / "data", "--plant", self.data / "plant.toml"]
        for listener in ("mqtt", "http", "pg"):
            command += [f"--{listener}", "127.0.0.1:0"]
        self.ports = self.spawn(command, lambda: {
            name: int(address.rsplit(":", 1)[1])
            for name, address in json.loads(listening.read_text()).items() if name in ("http", "pg")}, cwd=self.folder)
        port = self.ports["pg"]
        self.con = psycopg.connect(f"host=127.0.0.1 port={port} user=takt dbname=takt", autocommit=True, prepare_threshold=None)

    def stop(self):
        if self.process:
            self.con.close()
        super().stop()

    def command(self, *arguments):
        url = ["--url", f"http://127.0.0.1:{self.ports['http']}"]
        subprocess.run([self.settings.takt, *arguments, *url], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def load(self, batch_rows):
        for name in RECORDS:
            began, before = time.perf_counter(), self.cpu_s()
            self.command("import", "--table", name, self.data / f"{name}.parquet")
            rows = self.parameters["rows"][name]
            print(f"  {name}: {rows} rows in {time.perf_counter() - began:.1f} s, {self.cpu_s() - before:.1f} CPU s", flush=True)
        wall = cpu = 0
        for slab in self.slabs():
            prepared = bodies(slab, batch_rows, self.keys)
            before = self.cpu_s()
            wall += send_all(self.poster(self.ports["http"], "/api/v2/write?precision=us"), prepared, self.connections)
            cpu += self.cpu_s() - before
        before = self.cpu_s()
        self.command("compact")
        return wall, cpu, self.cpu_s() - before

    def bytes(self):
        return bytes_in(self.folder / "data" / "tables" / "samples")

    def ask(self, sql):
        return self.con.execute(sql).fetchall()


class Takt_Keys(Takt):
    """The same with unit and operation in each line."""

    keys = True


PEERS = {peer.__name__.lower(): peer for peer in (DuckDB, DuckDB_Sorted, DataFusion, Takt, Takt_Keys)}


def plain(value):
    return value.timestamp() if hasattr(value, "timestamp") else value


def ordered(rows):
    """Rows with what is exact first, so that both sides sort alike."""
    rows = [tuple(plain(value) for value in row) for row in rows]
    exact = lambda row: [str(value) for value in row if not isinstance(value, float)]
    inexact = lambda row: [value for value in row if isinstance(value, float)]
    return sorted(rows, key=lambda row: (exact(row), inexact(row)))


def difference(ours, theirs):
    """What is different between two answers; none where they agree to a part in a million million."""
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, not {len(theirs)}"
    for one, other in zip(ordered(ours), ordered(theirs)):
        for a, b in zip(one, other, strict=True):
            same = math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) if isinstance(a, float) and b is not None else a == b
            if not same:
                return f"{one}, not {other}"
    return None


def run_one(name, settings, parameters):
    peer = PEERS[name](settings, parameters)
    found = {"durable": peer.durable}
    path = Path(settings.results) / f"{settings.size}.{name}.json"
    if path.exists():
        found |= json.loads(path.read_text())
    if "load" in settings.steps:
        peer.clear()
        peer.start()
        loaded = peer.load(settings.batch_rows)
        rows = parameters["samples"]
        if loaded:
            wall, cpu, settle = loaded
            found["load"] = {"wall_s": wall, "samples_per_s": rows / wall, "cpu_s_per_m": cpu / rows * 1e6,
                             "settle_cpu_s_per_m": settle / rows * 1e6, "peak_mb": peer.peak_mb()}
        peer.stop()
        # A start lets go of files that only wait for their readers.
        peer.start()
        peer.stop()
        found["bytes_per_sample"] = peer.bytes() / rows
        print(name, {key: found.get(key) for key in ("load", "bytes_per_sample")}, flush=True)
    if "query" in settings.steps:
        answers = found.setdefault("queries", {})
        asked = queries.questions(peer.dialect, parameters)
        for question in settings.queries:
            forget(peer.folder)
            peer.start()
            try:
                began = time.perf_counter()
                rows = peer.ask(asked[question])
                cold, warm, before = time.perf_counter() - began, [], peer.cpu_s()
                while len(warm) < settings.runs and (not warm or sum(warm) < 20):
                    began = time.perf_counter()
                    peer.ask(asked[question])
                    warm.append(time.perf_counter() - began)
                answers[question] = {"rows": len(rows), "cold_ms": cold * 1e3, "warm_ms": statistics.median(warm) * 1e3,
                                     "cpu_ms": (peer.cpu_s() - before) / len(warm) * 1e3, "peak_mb": peer.peak_mb()}
                answer = Path(settings.results) / f"{settings.size}.{question}.json"
                if name == "duckdb_sorted":
                    answer.write_text(json.dumps(ordered(rows)))
                elif answer.exists():
                    expected = [tuple(row) for row in json.loads(answer.read_text())]
                    answers[question]["differs"] = difference(rows, expected)
            except Exception as error:
                answers[question] = {"error": f"{type(error).__name__}: {error}"[:300]}
            finally:
                peer.stop()
            print(name, question, {key: round(value, 2) if isinstance(value, float) else value
                                   for key, value in answers[question].items()}, flush=True)
    path.write_text(json.dumps(found, indent=1))


def report(settings):
    results = {name: json.loads(path.read_text()) for name in settings.peers
               if (path := Path(settings.results) / f"{settings.size}.{name}.json").exists()}
    print(f"\n| {settings.size} | " + " | ".join(results) + " |\n|---" + "|---" * len(results) + "|")
    shown = lambda value, digits: "-" if value is None else f"{value:.{digits}f}"
    load = lambda key: [shown(result.get("load", {}).get(key), 2) for result in results.values()]
    print("| CPU s per M samples | " + " | ".join(load("cpu_s_per_m")) + " |")
    print("| settling, CPU s per M | " + " | ".join(load("settle_cpu_s_per_m")) + " |")
    print("| samples/s | " + " | ".join(load("samples_per_s")) + " |")
    print("| bytes per sample | " + " | ".join(shown(result.get("bytes_per_sample"), 2) for result in results.values()) + " |")
    for question in settings.queries:
        cells = []
        for result in results.values():
            answer = result.get("queries", {}).get(question, {})
            wrong = " !" if answer.get("differs") else ""
            cells.append(answer.get("error", "-")[:20] if "cpu_ms" not in answer
                         else f"{answer['cpu_ms']:.1f} ({answer['warm_ms']:.1f}, cold {answer['cold_ms']:.0f}){wrong}")
        print(f"| {question} {queries.TITLES[question]}: CPU ms (wall) | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = lambda text: text.split(",")
    parser.add_argument("--size", choices=workload.SIZES, default="small")
    parser.add_argument("--peers", type=listed, default=["duckdb", "duckdb_sorted", "datafusion", "takt"])
    parser.add_argument("--queries", type=listed, default=list(queries.TITLES))
    parser.add_argument("--steps", type=listed, default=["load", "query"])
    parser.add_argument("--runs", type=int, default=5, help="warm runs of a question")
    parser.add_argument("--batch-rows", type=int, default=20_000)
    parser.add_argument("--takt", type=Path, default=Path("target/release/takt"))
    parser.add_argument("--scratch", default="target/peers", help="data, databases and results go here")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    settings.takt, settings.scratch = settings.takt.resolve(), str(Path(settings.scratch).resolve())
    settings.results = str(Path(settings.scratch) / "results")
    Path(settings.results).mkdir(parents=True, exist_ok=True)
    data = Path(settings.scratch) / "data" / settings.size
    if not (data / "workload.json").exists():
        print(f"making {settings.size}", flush=True)
        workload.make(settings.size, data)
    parameters = json.loads((data / "workload.json").read_text())
    if settings.alone:
        return run_one(settings.alone, settings, parameters)
    for name in settings.peers:
        # A process for each: what one leaves in memory does not count for the next.
        if subprocess.run([sys.executable, __file__, *sys.argv[1:], "--alone", name]).returncode:
            sys.exit(f"{name} failed")
    report(settings)


if __name__ == "__main__":
    main()
