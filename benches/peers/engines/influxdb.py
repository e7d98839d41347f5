import json
import subprocess
import time
from urllib.parse import urlencode

import machine

from .lines import bodies
from .peer import Server, poster, request

COLD_S = 10
CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
index-version = "tsi1"
query-log-enabled = false
cache-max-memory-size = "4g"
cache-snapshot-write-cold-duration = "{cold_s}s"
compact-full-write-cold-duration = "{cold_s}s"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
"""


def any_of(tag, values):
    return "(" + " OR ".join(f"{tag} = '{value}'" for value in values) + ")"


class InfluxDB(Server):
    """InfluxDB 1.x: equipment and signal are tags; unit and operation are fields, as each unit would be series of its own
    otherwise. It joins nothing, has no windows over rows, and groups by tags alone."""

    durable = "fsync"
    program, install = "influxd", "apt install influxdb"

    def version(self):
        return subprocess.run([self.program, "version"], check=True, capture_output=True, text=True).stdout.split()[1]

    def start(self):
        self.port = self.free_port()
        configuration = self.folder / "influxdb.conf"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, port=self.port, cold_s=COLD_S))
        self.spawn([self.program, "-config", configuration], lambda: self.ask("SHOW DATABASES"))

    def create(self):
        request(self.port, "POST", "/query?" + urlencode({"q": "CREATE DATABASE plant WITH DURATION INF"}))

    def prepare(self, slab, batch_rows):
        return bodies(slab, batch_rows, keys=True)

    def connect(self):
        return poster(self.port, "/write?db=plant&precision=u")

    def settle(self):
        """Nothing tells it to: it compacts what has not been written to for a while."""
        time.sleep(COLD_S + 2)
        self.quiet()

    def bytes(self):
        return machine.bytes_in(self.folder / "data") + machine.bytes_in(self.folder / "wal")

    def questions(self):
        p = self.parameters
        (equipment, signal), (irregular_at, irregular) = p["one"], p["irregular"]
        at = "time >= {}u AND time < {}u".format
        some = f"{any_of('equipment', p['some_equipment'])} AND {any_of('signal', p['some_signals'])}"
        # Against the order of time a difference is to the sample after, and the time is that of the sample itself.
        pairs = f"""SELECT difference(value) AS gone, moving_average(value, 2) AS middle, elapsed(value, 1u) AS until FROM samples
            WHERE equipment = '{irregular_at}' AND signal = '{irregular}' AND {at(p["start_us"], p["end_us"])} ORDER BY time DESC"""
        weighed = f"SELECT (middle + gone / 2) * until AS weighed, until FROM ({pairs}) ORDER BY time DESC"
        return {
            "Q1": f"""SELECT mean(value), min(value), max(value) FROM samples WHERE equipment = '{equipment}'
                AND signal = '{signal}' AND {at(p["start_us"], p["day_end_us"])}
                GROUP BY time({p["bucket_us"]}u, {p["start_us"] % p["bucket_us"]}u) fill(none)""",
            "Q2": "SELECT last(value) FROM samples GROUP BY equipment, signal",
            "Q3": f"""SELECT mean(value) FROM samples WHERE {some} AND {at(p["hour_us"], p["hour_us"] + 3_600_000_000)}
                GROUP BY time(1m), equipment, signal fill(none)""",
            "Q4": f"""SELECT value FROM samples WHERE unit = '{p["unit"]}' AND operation = '{p["operation"]}'
                GROUP BY equipment, signal""",
            "Q6": "SELECT count(value), mean(value), min(value), max(value) FROM samples GROUP BY signal",
            "Q7": f"""SELECT sum(weighed) / sum(until) FROM ({weighed})
                WHERE {at(p["start_us"], p["end_us"])} GROUP BY time(1h) fill(none) ORDER BY time DESC""",
        }

    def ask(self, question):
        return request(self.port, "GET", "/query?" + urlencode({"db": "plant", "epoch": "u", "q": question}))

    def rows(self, answer, question):
        result = json.loads(answer)["results"][0]
        if "error" in result:
            raise RuntimeError(result["error"])
        row = {
            "Q1": lambda tags, time, *values: (time, *map(float, values)),
            "Q6": lambda tags, time, count, *values: (tags["signal"], count, *map(float, values)),
            "Q7": lambda tags, time, value: ((time - self.parameters["start_us"]) // 3_600_000_000, float(value)),
        }.get(question, lambda tags, time, value: (tags["equipment"], tags["signal"], time, float(value)))
        return [row(series.get("tags"), *values) for series in result.get("series", []) for values in series["values"]]
