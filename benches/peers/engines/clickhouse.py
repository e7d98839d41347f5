import queries

from .peer import RECORDS, Peer

ORDERS = {"operations": "(operation, unit)", "counts": "(equipment, time)", "states": "(equipment, start)",
          "measurements": "(equipment, characteristic, time)", "materials": "parent"}


class ClickHouse(Peer):
    """ClickHouse inside this process, by chDB: a MergeTree, merged into one part."""

    package = "chdb"
    dialect = queries.ClickHouse()
    settings_of_table = ""
    session = None

    def version(self):
        with self.running():
            said = self.session.query("SELECT version()", "TabSeparated")
        return f"{str(said).strip()} (chDB {super().version()})"

    def start(self):
        from chdb import session

        self.session = session.Session(str(self.folder / "db"))
        self.session.query("CREATE DATABASE IF NOT EXISTS plant ENGINE = Atomic")
        self.session.query("USE plant")

    def stop(self):
        if self.session:
            self.session.close()
            self.session = None

    def create(self):
        self.session.query(f"""CREATE TABLE samples (
            time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), equipment LowCardinality(String), signal LowCardinality(String),
            value Float64 CODEC(ZSTD(1)), quality Int64 CODEC(ZSTD(1)),
            unit LowCardinality(Nullable(String)), operation LowCardinality(Nullable(String)))
            ENGINE = MergeTree ORDER BY (equipment, signal, time) {self.settings_of_table}""")

    def send(self, batches):
        for batch in batches:  # the statement finds it by its name
            self.session.query("INSERT INTO samples SELECT * FROM Python(batch)")

    def settle(self):
        self.session.query("OPTIMIZE TABLE samples FINAL")

    def records(self):
        for name in RECORDS:
            self.session.query(f"""CREATE TABLE {name} ENGINE = MergeTree ORDER BY {ORDERS[name]}
                AS SELECT * FROM file('{self.data}/{name}.parquet', Parquet) SETTINGS schema_inference_make_columns_nullable = 0""")

    def bytes(self):
        """Of the parts in use: those merged away stay for some minutes."""
        with self.running():
            said = self.session.query("""SELECT sum(bytes_on_disk) FROM system.parts
                WHERE active AND database = 'plant' AND table = 'samples'""", "TabSeparated")
        return int(str(said))

    def ask(self, question):
        return self.session.query(question, "ArrowTable")


class ClickHouse_Fsync(ClickHouse):
    """The same with every batch on disk before its answer, which is not how it comes."""

    durable = "fsync"
    settings_of_table = "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
