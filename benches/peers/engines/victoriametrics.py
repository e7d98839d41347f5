import json
import subprocess
from urllib.parse import urlencode

import machine

from .lines import bodies
from .peer import Server, poster, request

HOUR_US = 3_600_000_000


class VictoriaMetrics(Server):
    """VictoriaMetrics: value and quality are series of their own, and there is no unit and no operation, as each unit would be
    series of its own. It knows series alone, so the records are not in it. Times are kept to the millisecond."""

    program, install = "victoria-metrics", "apt install victoria-metrics"

    def version(self):
        said = subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout.strip()
        if not said:  # Debian's does not know its own
            said = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", self.program], capture_output=True, text=True).stdout
        return said or "unknown"

    def start(self):
        self.port = self.free_port()
        command = [self.program, f"-storageDataPath={self.folder}/data", f"-httpListenAddr=127.0.0.1:{self.port}",
                   "-retentionPeriod=100y", "-search.maxQueryDuration=10m", "-search.latencyOffset=0s", "-loggerLevel=WARN",
                   # A value holds over gaps of up to an hour, not of a few intervals.
                   "-search.minStalenessInterval=1h"]
        self.spawn(command, lambda: request(self.port, "GET", "/health"))

    def prepare(self, slab, batch_rows):
        return bodies(slab, batch_rows, keys=False)

    def connect(self):
        return poster(self.port, "/write?precision=us")

    def settle(self):
        request(self.port, "GET", "/internal/force_flush")
        request(self.port, "GET", "/internal/force_merge")
        self.quiet()

    def bytes(self):
        """Of values and the index of series; its caches are written too."""
        return machine.bytes_in(self.folder / "data" / "data") + machine.bytes_in(self.folder / "data" / "indexdb")

    def questions(self):
        """Paths. What is asked of a window is asked at its last millisecond: a window has its end in it, not its start."""
        p = self.parameters
        series = 'samples_value{{equipment="{}",signal="{}"}}'.format
        some = 'samples_value{{equipment=~"{}",signal=~"{}"}}'.format("|".join(p["some_equipment"]), "|".join(p["some_signals"]))
        last = lambda us: f"{(us - 1_000) / 1e6:.3f}"
        hours = -(-(p["end_us"] - p["start_us"]) // HOUR_US)
        all_ms = hours * 3_600_000

        def windows(query, start_us, end_us, width_us):
            return "/api/v1/query_range?" + urlencode({"query": query, "start": last(start_us + width_us), "end": last(end_us),
                                                       "step": f"{width_us // 1_000}ms", "nocache": 1})

        def once(query):
            return "/api/v1/query?" + urlencode({"query": query, "time": last(p["start_us"] + hours * HOUR_US), "nocache": 1})

        by_signal = lambda name, over: f'label_set({over}, "rollup", "{name}")'
        over = lambda how, by: f"{by}({how}_over_time(samples_value[{all_ms}ms])) by (signal)"
        # `integrate` cuts what holds over the hour's edge; the question counts all of it where it begins.
        weighted = f"""WITH (s = {series(*p["irregular"])}, first = tfirst_over_time(s[1h]), last = last_over_time(s[1h]),
            before = (last_over_time(s[1h] offset 1h) default 0),
            next = (tfirst_over_time(s[1h] offset -1h) default tlast_over_time(s[1h])))
            (integrate(s[1h]) - before * (first - (time() - 3600)) + last * (next - time())) / (next - first)"""
        stats = '"avg_over_time", "min_over_time", "max_over_time"'
        return {
            "Q1": windows(f"aggr_over_time(({stats}), {series(*p['one'])}[{p['bucket_us'] // 1_000}ms])",
                          p["start_us"], p["day_end_us"], p["bucket_us"]),
            "Q2": once(f'aggr_over_time(("tlast_over_time", "last_over_time"), samples_value[{all_ms}ms])'),
            "Q3": windows(f"avg_over_time({some}[1m])", p["hour_us"], p["hour_us"] + HOUR_US, 60_000_000),
            "Q6": once("union({})".format(", ".join([
                by_signal("count", over("count", "sum")), by_signal("mean", f"{over('sum', 'sum')} / {over('count', 'sum')}"),
                by_signal("min", over("min", "min")), by_signal("max", over("max", "max"))]))),
            "Q7": windows(weighted, p["start_us"], p["start_us"] + hours * HOUR_US, HOUR_US),
        }

    def ask(self, question):
        return request(self.port, "GET", question)

    def rows(self, answer, question):
        p, result = self.parameters, json.loads(answer)["data"]["result"]
        began = lambda at, width_us: round(at * 1e6) + 1_000 - width_us
        if question == "Q7":
            return [((began(at, HOUR_US) - p["start_us"]) // HOUR_US, float(value))
                    for series in result for at, value in series["values"]]
        if question == "Q3":
            return [(series["metric"]["equipment"], series["metric"]["signal"], began(at, 60_000_000), float(value))
                    for series in result for at, value in series["values"]]
        said = {}
        for series in result:
            labels = series["metric"]
            for at, value in series.get("values") or [series["value"]]:
                said.setdefault((labels.get("equipment"), labels["signal"], at), {})[labels["rollup"]] = float(value)
        row = {
            "Q1": lambda equipment, signal, at, of: (began(at, p["bucket_us"]), *(
                of[f"{stat}_over_time"] for stat in ("avg", "min", "max"))),
            "Q2": lambda equipment, signal, at, of: (equipment, signal, round(of["tlast_over_time"] * 1e6), of["last_over_time"]),
            "Q6": lambda equipment, signal, at, of: (signal, int(of["count"]), of["mean"], of["min"], of["max"]),
        }[question]
        return [row(*key, of) for key, of in said.items()]
