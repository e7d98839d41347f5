from .peer import Files

HOUR_S = 3_600


class Polars(Files):
    package = "polars"

    def scan(self, name):
        import polars as pl

        return pl.scan_parquet(self.data / f"{name}.parquet")

    def questions(self):
        import polars as pl

        p, samples, value, time = self.parameters, self.scan("samples_sorted"), pl.col("value"), pl.col("time")
        stats = [value.mean().alias("mean"), value.min().alias("min"), value.max().alias("max")]
        moment = lambda us: pl.lit(us).cast(pl.Datetime("us", "UTC"))
        between = lambda column, start, end: (pl.col(column) >= moment(start)) & (pl.col(column) < moment(end))
        series = lambda place, signal: (pl.col("equipment") == place) & (pl.col("signal") == signal)
        us = lambda column: pl.col(column).cast(pl.Int64)
        bucket = lambda start, width: (start + (us("time") - start) // width * width).alias("bucket")
        seconds = lambda column: (us(column) - p["start_us"]) / 1e6
        day_s = (p["day_end_us"] - p["start_us"]) / 1e6
        units = (self.scan("operations").filter(pl.col("operation") == p["operation"]).sort("unit").head(p["units"])
                 .select("unit", "operation"))

        held = samples.filter(series(*p["irregular"])).sort("time").select(value, s=seconds("time"))
        held = held.with_columns(lasts=pl.col("s").shift(-1) - pl.col("s")).filter(pl.col("lasts") > 0)

        a, b, h, s, state = map(pl.col, ("a", "b", "h", "s", "state"))
        hour = lambda at: (at / HOUR_S).floor().cast(pl.Int64)
        spans = (self.scan("states").filter(between("start", p["start_us"], p["day_end_us"])).sort("equipment", "start")
                 .select("equipment", "state", a=seconds("start"))
                 .with_columns(b=a.shift(-1).over("equipment").fill_null(day_s)))
        parts = (spans.with_columns(h=pl.int_ranges(hour(a), hour(b - 1e-9) + 1)).explode("h").drop_nulls("h")
                 .with_columns(s=pl.min_horizontal(b, h * 3600.0 + 3600.0) - pl.max_horizontal(a, h * 3600.0)))
        times = parts.group_by("equipment", "h").agg(run_s=s.filter(state == "RUN").sum(),
                                                     planned_s=s.filter(~state.is_in(["OFF", "BREAK"])).sum())
        made = (self.scan("counts").filter(between("time", p["start_us"], p["day_end_us"]))
                .group_by("equipment", hour(seconds("time")).alias("h")).agg(pl.col("good").sum(), pl.col("total").sum()))
        run_s, planned_s, good, total = map(pl.col, ("run_s", "planned_s", "good", "total"))

        grouped = (self.scan("measurements").sort("time")
                   .with_columns(subgroup=pl.int_range(pl.len()).over("equipment", "characteristic") // 5)
                   .group_by("equipment", "characteristic", "subgroup")
                   .agg(mean=value.mean(), spread=value.max() - value.min(), n=pl.len()).filter(pl.col("n") == 5))
        mean, spread = pl.col("mean").mean(), pl.col("spread").mean()
        return {
            "Q1": samples.filter(series(*p["one"]) & between("time", p["start_us"], p["day_end_us"]))
            .group_by(bucket(p["start_us"], p["bucket_us"])).agg(stats).sort("bucket"),
            "Q2": samples.group_by("equipment", "signal").agg(us("time").max(), value.get(time.arg_max())),
            "Q3": samples.filter(pl.col("equipment").is_in(p["some_equipment"]) & pl.col("signal").is_in(p["some_signals"])
                                 & between("time", p["hour_us"], p["hour_us"] + HOUR_S * 1_000_000))
            .group_by("equipment", "signal", bucket(p["hour_us"], 60_000_000)).agg(value.mean()),
            "Q4": samples.filter((pl.col("unit") == p["unit"]) & (pl.col("operation") == p["operation"]))
            .select("equipment", "signal", us("time"), "value"),
            "Q5": samples.filter(pl.col("signal") == p["units_signal"]).join(units, on=["unit", "operation"])
            .group_by("unit").agg(stats),
            "Q6": samples.group_by("signal").agg(pl.len(), *stats),
            "Q7": held.group_by(hour(pl.col("s")).alias("bucket"))
            .agg((value * pl.col("lasts")).sum() / pl.col("lasts").sum()).sort("bucket"),
            "Q8": times.join(made, on=["equipment", "h"]).filter((run_s > 0) & (planned_s > 0))
            .select("equipment", "h", (run_s / planned_s).alias("availability"),
                    (p["ideal_cycle_s"] * total / run_s).alias("performance"), (good / total).alias("quality"),
                    (p["ideal_cycle_s"] * good / planned_s).alias("oee")),
            "Q9": self.trace,
            "Q10": grouped.group_by("equipment", "characteristic")
            .agg(mean, (mean + 0.577 * spread).alias("upper"), (mean - 0.577 * spread).alias("lower"),
                 (2.114 * spread).alias("range")),
        }

    def trace(self):
        """A level at a time: it has no recursion."""
        import polars as pl

        edges = self.scan("materials").select("parent", "child").collect()
        lots, levels = pl.DataFrame({"lot": [self.parameters["lot"]]}), []
        for depth in range(7):
            if lots.height:
                levels.append((depth, lots.height, lots["lot"].min(), lots["lot"].max()))
            lots = edges.join(lots, left_on="parent", right_on="lot", how="semi").select(lot="child").unique()
        return pl.DataFrame(levels, schema=["depth", "count", "min", "max"], orient="row")

    def ask(self, question):
        return question() if callable(question) else question.collect()

    def rows(self, answer, question):
        return answer.rows()
