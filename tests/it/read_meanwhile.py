"""Reads a growing table again and again, with three implementations in turn, until the end of standard input.

Usage: read_meanwhile.py TABLE_FOLDER COUNT. The values of the table are 0, 1, 2 …, written in that order, COUNT of them before
the start: whatever is read must be 0 … n, each once, and n never goes back. Prints after each round how many different n
each one saw.
"""
import json
import sys
import threading

import duckdb
import polars
from deltalake import DeltaTable

folder, known = sys.argv[1], int(sys.argv[2])


def with_deltalake():
    return DeltaTable(folder).to_pyarrow_table(columns=["value"])["value"].to_pylist()


def with_polars():
    return polars.scan_delta(folder).select("value").collect()["value"].to_list()


def with_duckdb():
    files = DeltaTable(folder).file_uris()
    return [value for (value,) in duckdb.read_parquet(files).project("value").fetchall()]


ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
seen = {"deltalake": [], "polars": [], "duckdb": []}
while not ended.is_set():
    for name, read in [("deltalake", with_deltalake), ("polars", with_polars), ("duckdb", with_duckdb)]:
        values = sorted(read())
        assert values == [float(number) for number in range(len(values))], f"{name}: {len(values)} rows, not 0 to n"
        assert len(values) >= known, f"{name}: {len(values)} rows, {known} were there before"
        known = len(values)
        seen[name].append(known)
    print(json.dumps({name: len(set(moments)) for name, moments in seen.items()}), flush=True)
