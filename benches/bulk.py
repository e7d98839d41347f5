#!/usr/bin/env python3
"""What `takt import` of Parquet costs: CPU seconds of the server and of the client per million samples, and of merging
afterwards. The samples are those of `benches/peers`, in the order of time and sorted by series.

    python3 benches/peers/peers.py --size ten --peers takt --steps load
    python3 benches/bulk.py --takt target/release/takt [--data target/peers/data/ten] [--rounds 2]
"""

import argparse
import json
import pathlib
import resource
import subprocess
import tempfile
import time

from records import Server

FILES = {"in the order of time": "samples.parquet", "sorted by series": "samples_sorted.parquet"}


def client_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(takt, data, name):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(takt, folder, data / "plant.toml")
        try:
            cpu, client, wall = server.cpu_s(), client_s(), time.monotonic()
            subprocess.run([takt, "import", data / name, "--url", f"http://{server.address}"],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wall, client, taken = time.monotonic() - wall, client_s() - client, server.cpu_s()
            server.post("/api/v1/compact")
            settled = server.cpu_s()
            answer = json.loads(server.post("/api/v1/sql", json.dumps({"sql": "SELECT count(*) FROM samples"})))
            count = answer["rows"][0][0]
        finally:
            server.process.kill()
            server.process.wait()
    per_m = 1e6 / count
    return (f"{(taken - cpu) * per_m:.3f} and {(settled - taken) * per_m:.3f} to settle, client {client * per_m:.3f}, "
            f"{count} rows, {count / wall:,.0f} a second")


def main():
    root = pathlib.Path(__file__).parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takt", type=pathlib.Path, default=root / "target" / "release" / "takt")
    parser.add_argument("--data", type=pathlib.Path, default=root / "target" / "peers" / "data" / "ten")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    for _ in range(given.rounds):
        for order, name in FILES.items():
            print(f"{order}: {measured(given.takt, given.data, name)}", flush=True)


if __name__ == "__main__":
    main()
