import json
import subprocess
import time

import machine
import queries

from .lines import bodies
from .peer import RECORDS, Server, poster


class Takt(Server):
    """takt: line protocol in, PostgreSQL wire out. Keys derived from executions, which are sent first."""

    durable = "fsync"
    package = "psycopg"
    dialect = queries.Takt()
    keys = False
    con = None

    @classmethod
    def missing(cls, settings):
        if not settings.takt.exists():
            return f"no {settings.takt}: cargo build --release, or --takt PATH"
        return super(Server, cls).missing(settings)

    def version(self):
        return subprocess.run([self.settings.takt, "--version"], check=True, capture_output=True, text=True).stdout.strip()

    def start(self):
        import psycopg

        listening = self.folder / "data" / "listening.json"
        listening.unlink(missing_ok=True)
        command = [self.settings.takt, "serve", "--data", self.folder / "data", "--plant", self.data / "plant.toml"]
        for listener in ("mqtt", "http", "pg"):
            command += [f"--{listener}", "127.0.0.1:0"]
        self.ports = self.spawn(command, lambda: {
            name: int(address.rsplit(":", 1)[1])
            for name, address in json.loads(listening.read_text()).items() if name in ("http", "pg")})
        port = self.ports["pg"]
        self.con = psycopg.connect(f"host=127.0.0.1 port={port} user=takt dbname=takt", autocommit=True, prepare_threshold=None)

    def stop(self):
        if self.con:
            self.con.close()
        super().stop()

    def command(self, *arguments):
        url = ["--url", f"http://127.0.0.1:{self.ports['http']}"]
        subprocess.run([self.settings.takt, *arguments, *url], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def create(self):
        for name in RECORDS:
            began, before = time.perf_counter(), self.cpu_s()
            self.command("import", "--table", name, self.data / f"{name}.parquet")
            rows = self.parameters["rows"][name]
            print(f"  {name}: {rows} rows in {time.perf_counter() - began:.1f} s, {self.cpu_s() - before:.1f} CPU s", flush=True)

    def prepare(self, slab, batch_rows):
        return bodies(slab, batch_rows, self.keys)

    def connect(self):
        return poster(self.ports["http"], "/api/v2/write?precision=us")

    def settle(self):
        self.command("compact")

    def bytes(self):
        return machine.bytes_in(self.folder / "data" / "tables" / "samples")

    def ask(self, question):
        return self.con.execute(question)

    def rows(self, answer, question):
        return answer.fetchall()


class Takt_Keys(Takt):
    """The same with unit and operation in each line."""

    keys = True
