#!/usr/bin/env python3
"""takt and its peers on the same rows, on the same machine, one after another.

    python -m venv target/peers/venv && target/peers/venv/bin/pip install -r benches/peers/requirements.txt
    target/peers/venv/bin/python benches/peers/peers.py --size ten
    target/peers/venv/bin/python benches/peers/peers.py --size medium --peers duckdb_sorted,takt --steps query --queries Q1,Q4
    target/peers/venv/bin/python benches/peers/peers.py --size ten --steps report

Each peer takes the samples in, settles, is started anew with its files out of the page cache, and answers. Answers are
compared with DuckDB's, row by row; where one differs or something failed, it says so at the end and ends with 1. What is
reported is the CPU time of the peer alone; the client's is not in it. See README.md.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import answers
import machine
import queries
import workload
from engines import PEERS

REFERENCE = "duckdb_sorted"
VARIANTS = ["clickhouse_fsync", "takt_keys"]
STEPS = ["load", "query", "report"]


def now():
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def loaded(peer, settings):
    """How it took everything in."""
    rows, found = peer.parameters["samples"], {}
    peer.clear()
    with peer.running():
        taken = peer.load(settings.batch_rows)
        if taken:
            wall, cpu, settle = taken
            found = {"wall_s": wall, "samples_per_s": rows / wall, "cpu_s_per_m": cpu / rows * 1e6,
                     "settle_cpu_s_per_m": settle / rows * 1e6, "peak_mb": peer.peak_mb(), "batch_rows": settings.batch_rows}
    with peer.running():
        pass  # a start lets go of files that only wait for their readers
    return found | {"bytes_per_sample": peer.bytes() / rows, "date": now()}


def rest(peer, most_s=60, step_s=0.2):
    """Waits until a server has done what it does by itself after its start: that is no part of an answer."""
    end, before = time.monotonic() + most_s, peer.cpu_s()
    while time.monotonic() < end:
        time.sleep(step_s)
        spent, before = peer.cpu_s() - before, peer.cpu_s()
        if spent < step_s / 50:
            return


def answered(peer, name, asked, settings):
    """How it answered one question, by its name and in its own words."""
    peer.forget()
    with peer.running():
        began = time.perf_counter()
        answer = peer.ask(asked)
        cold = time.perf_counter() - began
        rows = peer.rows(answer, name)
        rest(peer)
        warm, before = [], peer.cpu_s()
        while len(warm) < settings.runs and (not warm or sum(warm) < 20):
            began = time.perf_counter()
            answer = peer.ask(asked)
            warm.append(time.perf_counter() - began)
        found = {"rows": len(rows), "cold_ms": cold * 1e3, "warm_ms": statistics.median(warm) * 1e3,
                 "cpu_ms": (peer.cpu_s() - before) / len(warm) * 1e3, "peak_mb": peer.peak_mb(), "date": now()}
    expected = settings.results / f"{settings.size}.{name}.json"
    if peer.name() == REFERENCE:
        expected.write_text(json.dumps(answers.ordered(rows)))
    elif expected.exists():
        found["differs"] = answers.difference(rows, [tuple(row) for row in json.loads(expected.read_text())])
    return found


def run_one(name, settings, parameters):
    peer = PEERS[name](settings, parameters)
    path = settings.results / f"{settings.size}.{name}.json"
    found = json.loads(path.read_text()) if path.exists() and "load" not in settings.steps else {}

    def keep():
        path.write_text(json.dumps(found, indent=1))

    if "load" in settings.steps:
        found["load"] = loaded(peer, settings)
        print(name, found["load"], flush=True)
    found |= {"durable": peer.durable, "version": peer.version(), "machine": machine.described(), "date": now()}
    keep()
    if "query" not in settings.steps:
        return
    kept, asked = found.setdefault("queries", {}), peer.questions()
    for question in settings.queries:
        if question not in asked:
            kept.pop(question, None)
            continue
        try:
            kept[question] = answered(peer, question, asked[question], settings)
        except Exception as error:
            kept[question] = {"error": f"{type(error).__name__}: {error}"[:300]}
        keep()
        print(name, question, {key: round(value, 2) if isinstance(value, float) else value
                               for key, value in kept[question].items()}, flush=True)


def cell(answer, reference):
    if answer is None:
        return ""
    if "error" in answer:
        return "error"
    mark = "" if reference else " ?" if "differs" not in answer else " !" if answer["differs"] else ""
    return f"{answer['cpu_ms']:.1f} ({answer['warm_ms']:.1f}, cold {answer['cold_ms']:.0f}){mark}"


def faults(results, settings):
    """Answers that are not the reference's, and questions that have none."""
    for name, result in results.items():
        for question in settings.queries:
            answer = result.get("queries", {}).get(question, {})
            if "error" in answer:
                yield f"{name} {question} failed"
            elif name != REFERENCE and answer.get("differs"):
                yield f"{name} {question} differs"


def report(settings, failed=()):
    """Prints the table, and says what failed or differs, if anything."""
    results = {name: json.loads(path.read_text()) for name in settings.peers
               if (path := settings.results / f"{settings.size}.{name}.json").exists()}
    for said in {json.dumps(result["machine"]): result["machine"] for result in results.values()}.values():
        print(f"\n{said['cpu']}, {said['cores']} cores, {said['memory_gb']} GB")

    def row(title, cells):
        print(f"| {title} | " + " | ".join(cells) + " |")

    def numbers(title, key, digits):
        values = [result.get("load", {}).get(key) for result in results.values()]
        row(title, ["" if value is None else f"{value:,.{digits}f}" for value in values])

    print()
    row(settings.size, results)
    print("|---" * (len(results) + 1) + "|")
    row("version", [result["version"] for result in results.values()])
    row("measured", [result["date"] for result in results.values()])
    row("durable before the answer", [result["durable"] for result in results.values()])
    numbers("taking in, CPU s per M samples", "cpu_s_per_m", 2)
    numbers("settling, CPU s per M samples", "settle_cpu_s_per_m", 2)
    numbers("samples/s", "samples_per_s", 0)
    numbers("peak memory taking in, MB", "peak_mb", 0)
    numbers("bytes per sample", "bytes_per_sample", 2)
    for question in settings.queries:
        row(f"{question} {queries.TITLES[question]}: CPU ms (wall)",
            [cell(result.get("queries", {}).get(question), name == REFERENCE) for name, result in results.items()])
    peaks = [[answer["peak_mb"] for answer in result.get("queries", {}).values() if "peak_mb" in answer]
             for result in results.values()]
    row("peak memory asked, MB", [f"{max(peak)}" if peak else "" for peak in peaks])
    print(f"\n! differs from {REFERENCE}; ? nothing to compare with; an empty cell is what the peer does not do")
    found = [*(f"{name} failed" for name in failed), *faults(results, settings)]
    return f"wrong: {', '.join(found)}" if found else None


def several(choices):
    def parse(text):
        chosen = text.split(",")
        for word in chosen:
            if word not in choices:
                raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(choices)}")
        return chosen

    return parse


def wait_for(command):
    """Runs a command to its end; one that ends early ends its server first."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except SystemExit:
        process.terminate()
        raise
    finally:
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=workload.SIZES, default="small")
    parser.add_argument("--peers", type=several(PEERS), default=[name for name in PEERS if name not in VARIANTS],
                        help=", ".join(PEERS))
    parser.add_argument("--queries", type=several(queries.TITLES), default=list(queries.TITLES))
    parser.add_argument("--steps", type=several(STEPS), default=STEPS, help="load begins anew; report alone runs nothing")
    parser.add_argument("--runs", type=int, default=5, help="warm runs of a question")
    parser.add_argument("--batch-rows", type=int, default=20_000)
    parser.add_argument("--takt", type=Path, default=Path("target/release/takt"))
    parser.add_argument("--scratch", type=Path, default=Path("target/peers"), help="data, databases and results go here")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    settings.takt, settings.scratch = settings.takt.resolve(), settings.scratch.resolve()
    settings.results = settings.scratch / "results"
    settings.results.mkdir(parents=True, exist_ok=True)
    if settings.steps == ["report"]:
        return report(settings)
    # So that what is open is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    data = settings.scratch / "data" / settings.size
    if not (data / "workload.json").exists():
        print(f"making {settings.size}", flush=True)
        workload.make(settings.size, data)
    if settings.alone:
        return run_one(settings.alone, settings, json.loads((data / "workload.json").read_text()))
    failed = []
    # The reference first: the others are compared with it.
    for name in sorted(settings.peers, key=lambda name: name != REFERENCE):
        missing = PEERS[name].missing(settings)
        if missing:
            print(f"{name} is left out: {missing}", flush=True)
        # A process for each: what one leaves in memory does not count for the next.
        elif wait_for([sys.executable, __file__, *sys.argv[1:], "--alone", name]):
            print(f"{name} failed", flush=True)
            failed.append(name)
    return report(settings, failed)


if __name__ == "__main__":
    sys.exit(main())
