import io
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import machine
import queries

from .peer import RECORDS, Server

INDEXES = {"samples": ["equipment, signal, time", "unit, operation"], "operations": ["operation, unit"],
           "counts": ["equipment, time"], "states": ["equipment, start"],
           "measurements": ["equipment, characteristic, time"], "materials": ["parent"]}
MEMORY_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
CONFIGURATION = f"""
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = '{MEMORY_MB // 4} MB'
effective_cache_size = '{MEMORY_MB // 2} MB'
work_mem = '256 MB'
maintenance_work_mem = '1 GB'
max_wal_size = '8 GB'
wal_compression = on
random_page_cost = 1.1
timezone = 'UTC'
"""


def programs():
    """The folder of its programs: on the path, or the newest of those that Debian puts aside."""
    on_path = shutil.which("postgres")
    aside = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4].split(".")[0]))
    found = on_path or (aside[-1] if aside else None)
    return found and Path(found).resolve().parent


def column(field):
    if pa.types.is_timestamp(field.type):
        kind = "timestamptz"
    elif pa.types.is_integer(field.type):
        kind = "bigint"
    else:
        kind = "double precision" if pa.types.is_floating(field.type) else "text"
    return f"{field.name} {kind}"


def csv(table):
    out = io.BytesIO()
    pa.csv.write_csv(table, out, pa.csv.WriteOptions(include_header=False))
    return out.getvalue()


class PostgreSQL(Server):
    """PostgreSQL: COPY in batches, each a transaction; indexes are made after the last, which is its settling."""

    durable = "fsync"
    package = "psycopg"
    dialect = queries.Postgres()
    ends_with = signal.SIGINT  # it does not wait for those connected
    con = watch = None

    @classmethod
    def missing(cls, settings):
        if not programs():
            return "no program postgres: apt install postgresql"
        return super(Server, cls).missing(settings)

    def version(self):
        return subprocess.run([programs() / "postgres", "--version"], check=True, capture_output=True, text=True).stdout.split()[2]

    def start(self):
        import psycopg

        # It refuses to be root.
        user = "postgres" if os.geteuid() == 0 else None
        owner = {"user": user, "group": user, "extra_groups": []} if user else {}
        files, port = self.folder / "data", self.free_port()
        if not files.exists():
            files.mkdir()
            if user:
                shutil.chown(files, user, user)
            made = subprocess.run([programs() / "initdb", "-D", files, "-A", "trust", "-U", "plant", "-E", "UTF8", "--locale=C"],
                                  cwd="/", capture_output=True, text=True, **owner)
            if made.returncode:
                raise RuntimeError(f"initdb: {made.stderr.strip()}")
            with open(files / "postgresql.conf", "a") as configuration:
                configuration.write(CONFIGURATION)
        self.dsn = f"host=127.0.0.1 port={port} user=plant dbname=postgres"
        connect = lambda: psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None)
        self.con = self.spawn([programs() / "postgres", "-D", files, "-p", str(port)], connect, cwd="/", user=user)
        self.watch = machine.Watch(self.process.pid)
        self.watch.start()

    def stop(self):
        if self.watch:
            self.watch.ended.set()
            self.watch.join()
        if self.con:
            self.con.close()
        self.con = self.watch = None
        super().stop()

    def peak_mb(self):
        self.watch.look()
        return round(self.watch.peak)

    def table(self, name, schema):
        # What has a fixed width first: no bytes are lost between columns.
        fields = sorted(schema, key=lambda field: pa.types.is_string(field.type))
        self.con.execute(f"CREATE TABLE {name} ({', '.join(map(column, fields))})")

    def copy(self, con, name, names, text):
        with con.cursor().copy(f"COPY {name} ({', '.join(names)}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(text)

    def index(self, name):
        for columns in INDEXES[name]:
            self.con.execute(f"CREATE INDEX ON {name} ({columns})")
        self.con.execute(f"VACUUM ANALYZE {name}")

    def create(self):
        schema = pq.read_schema(self.data / "samples.parquet")
        self.names = schema.names
        self.table("samples", schema)

    def prepare(self, slab, batch_rows):
        return [csv(batch) for batch in super().prepare(slab, batch_rows)]

    @contextmanager
    def connect(self):
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as con:
            yield lambda text: self.copy(con, "samples", self.names, text)

    def settle(self):
        self.index("samples")
        self.con.execute("CHECKPOINT")

    def records(self):
        for name in RECORDS:
            rows = pq.read_table(self.data / f"{name}.parquet")
            self.table(name, rows.schema)
            self.copy(self.con, name, rows.column_names, csv(rows))
            self.index(name)
        self.con.execute("CHECKPOINT")

    def bytes(self):
        """Of the table and its indexes."""
        with self.running():
            return self.con.execute("SELECT pg_total_relation_size('samples')").fetchone()[0]

    def ask(self, question):
        return self.con.execute(question)

    def rows(self, answer, question):
        return answer.fetchall()
