import queries

from .peer import RECORDS, Files


class DataFusion(Files):
    package = "datafusion"
    dialect = queries.Fusion()

    def start(self):
        import datafusion

        config = datafusion.SessionConfig().set("datafusion.execution.parquet.pushdown_filters", "true")
        self.context = datafusion.SessionContext(config)
        self.context.register_parquet("samples", str(self.data / "samples_sorted.parquet"))
        for name in RECORDS:
            self.context.register_parquet(name, str(self.data / f"{name}.parquet"))

    def ask(self, question):
        return self.context.sql(question).collect()

    def rows(self, answer, question):
        return [row for batch in answer for row in super(DataFusion, self).rows(batch, question)]
