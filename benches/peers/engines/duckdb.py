import queries

from .peer import RECORDS, Peer


class DuckDB(Peer):
    durable = "fsync"
    package = "duckdb"
    dialect = queries.Duck()
    con = None

    def start(self):
        import duckdb

        self.con = duckdb.connect(str(self.folder / "db.duckdb"))
        self.con.execute("SET TimeZone='UTC'")

    def stop(self):
        if self.con:
            self.con.close()

    def create(self):
        self.con.execute(f"CREATE TABLE samples AS SELECT * FROM '{self.data}/samples.parquet' LIMIT 0")

    def send(self, batches):
        for batch in batches:
            self.con.register("batch", batch)
            self.con.execute("INSERT INTO samples SELECT * FROM batch")

    def settle(self):
        self.con.execute("CHECKPOINT")

    def records(self):
        # One file holds everything, and blocks let go of too: those in use now are the samples.
        used = "SELECT used_blocks * block_size FROM pragma_database_size()"
        self.settled = self.con.execute(used).fetchone()[0]
        for name in RECORDS:
            self.con.execute(f"CREATE TABLE {name} AS SELECT * FROM '{self.data}/{name}.parquet'")
        self.con.execute("CHECKPOINT")

    def bytes(self):
        return self.settled

    def ask(self, question):
        return self.con.sql(question).to_arrow_table()


class DuckDB_Sorted(DuckDB):
    """The same with its table in the order of equipment, signal and time."""

    durable = "files"

    def load(self, batch_rows):
        self.con.execute(f"CREATE TABLE samples AS SELECT * FROM '{self.data}/samples_sorted.parquet'")
        self.settle()
        self.records()
        return None
