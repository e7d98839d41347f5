"""Ten questions, written once; a dialect says in which words an engine counts time."""

from datetime import UTC, datetime

TITLES = {
    "Q1": "one signal, 24 h, 1000 buckets",
    "Q2": "newest value of every signal",
    "Q3": "100 signals, 1 h, by minute",
    "Q4": "samples of one unit at one operation",
    "Q5": "statistics for 10,000 units",
    "Q6": "full scan by signal",
    "Q7": "time-weighted average by hour",
    "Q7F": "the same as a historian means it: held values, only Good ones; `time_weighted_avg`",
    "Q8": "OEE of all equipment by hour, one day",
    "Q8F": "the same with micro-stops; `oee('1 hour')`",
    "Q9": "trace, depth 6, 1 M edges",
    "Q9F": "the same, each lot once, by its shortest way; `trace_forward`",
    "Q10": "X-bar R limits",
}


# OPC UA: the first StatusCode that is not Good.
UNCERTAIN = 0x4000_0000
# What takt takes for a micro-stop unless the plant says otherwise.
MICROSTOP_US = 120_000_000


class Dialect:
    """What all of them say alike."""

    def at(self, us):
        return f"TIMESTAMPTZ '{datetime.fromtimestamp(us / 1e6, UTC):%Y-%m-%d %H:%M:%S.%f}+00'"

    def each(self, low, high):
        return f"unnest(range({low}, {high} + 1))"

    def of_its_own(self, p):
        """Questions that takt has functions for, and the same written out in SQL: nobody else is asked."""
        return {}

    def newest_of_each(self):
        return f"SELECT equipment, signal, max(time), {self.newest} FROM samples GROUP BY equipment, signal"


class Duck(Dialect):
    newest = "arg_max(value, time)"

    def bucket(self, column, width_us, origin_us):
        return f"time_bucket(INTERVAL '{width_us} microseconds', {column}, {self.at(origin_us)})"

    def seconds(self, column, origin_us):
        return f"((epoch_us({column}) - {origin_us}) / 1e6)"

    def of_its_own(self, p):
        """By definition: spans of time cut at the hours, each weighing as long as it lasts."""
        (equipment, signal), hour_us, start_us, end_us = p["irregular"], 3_600_000_000, p["start_us"], p["day_end_us"]
        cut = f"unnest(range(a // {hour_us}, (b - 1) // {hour_us} + 1)) AS h"
        within = f"least(b, (h + 1) * {hour_us}) - greatest(a, h * {hour_us})"
        return {
            "Q7F": f"""WITH spans AS (
                  SELECT epoch_us(time) AS a, lead(epoch_us(time), 1, {end_us}) OVER (ORDER BY time) AS b, value, quality
                  FROM samples WHERE equipment = '{equipment}' AND signal = '{signal}'
                  AND time >= {self.at(start_us)} AND time < {self.at(end_us)}),
                pieces AS (SELECT *, {cut} FROM spans WHERE b > a AND quality < {UNCERTAIN}),
                parts AS (SELECT h, value, {within} AS us FROM pieces)
                SELECT make_timestamptz(h * {hour_us}), sum(value * us) / sum(us) FROM parts GROUP BY h""",
            "Q8F": f"""WITH spans AS (
                  SELECT equipment, category, epoch_us(start) AS a, lead(epoch_us(start)) OVER (
                           PARTITION BY equipment ORDER BY start) AS ended, least(coalesce(ended, {end_us}), {end_us}) AS b
                  FROM states WHERE start >= {self.at(start_us)}),
                pieces AS (SELECT equipment, a, b, {cut},
                                  CASE WHEN category = 'unplanned' AND ended - a < {MICROSTOP_US} THEN 'run' ELSE category END AS time
                           FROM spans WHERE b > a),
                parts AS (SELECT equipment, h, time, ({within}) / 1e6 AS s FROM pieces),
                times AS (SELECT equipment, h, sum(s) FILTER (time = 'run') AS run_s,
                                 sum(s) FILTER (time <> 'planned') AS planned_s FROM parts GROUP BY 1, 2),
                made AS (SELECT equipment, epoch_us(time) // {hour_us} AS h, sum(good) AS good, sum(total) AS total FROM counts
                         WHERE time >= {self.at(start_us)} AND time < {self.at(end_us)} GROUP BY 1, 2)
                SELECT equipment, make_timestamptz(h * {hour_us}), run_s / planned_s, {p["ideal_cycle_s"]} * total / run_s,
                       good / total, {p["ideal_cycle_s"]} * good / planned_s
                FROM times JOIN made USING (equipment, h) WHERE total > 0 AND run_s > 0""",
            "Q9F": f"""WITH RECURSIVE reached AS (
                  SELECT '{p["lot"]}' AS lot, 0 AS depth
                  UNION SELECT m.child, r.depth + 1 FROM reached r JOIN materials m ON m.parent = r.lot WHERE r.depth < 6),
                nearest AS (SELECT lot, min(depth) AS depth FROM reached GROUP BY lot)
                SELECT depth, count(*), min(lot), max(lot) FROM nearest WHERE depth > 0 GROUP BY depth ORDER BY depth""",
        }


class Fusion(Dialect):
    newest = "last_value(value ORDER BY time)"

    def bucket(self, column, width_us, origin_us):
        return f"date_bin(INTERVAL '{width_us / 1e6:.6f} seconds', {column}, {self.at(origin_us)})"

    def seconds(self, column, origin_us):
        return f"(CAST(CAST({column} AS BIGINT) - {origin_us} AS DOUBLE) / 1e6)"


class Takt(Fusion):
    def bucket(self, column, width_us, origin_us):
        return f"time_bucket('{width_us} us', {column}, {self.at(origin_us)})"

    def of_its_own(self, p):
        (equipment, signal), start, end = p["irregular"], self.at(p["start_us"]), self.at(p["day_end_us"])
        return {
            "Q7F": f"""SELECT time, value FROM time_weighted_avg('1 hour', 'stepped', {start}, {end})
                WHERE equipment = '{equipment}' AND signal = '{signal}'""",
            "Q8F": f"""SELECT equipment, time, availability, performance, quality, oee FROM oee('1 hour')
                WHERE time >= {start} AND time < {end} AND equipment LIKE '%/station-%' AND total > 0 AND performance > 0""",
            "Q9F": f"""SELECT depth, count(*), min(unit), max(unit) FROM trace_forward('{p["lot"]}', 'depth=6')
                GROUP BY depth ORDER BY depth""",
        }


class ClickHouse(Dialect):
    newest = "argMax(value, time)"

    def at(self, us):
        return f"toDateTime64('{datetime.fromtimestamp(us / 1e6, UTC):%Y-%m-%d %H:%M:%S.%f}', 6, 'UTC')"

    def each(self, low, high):
        return f"arrayJoin(range({low}, {high} + 1))"

    def bucket(self, column, width_us, origin_us):
        since = f"(toUnixTimestamp64Micro({column}) - {origin_us})"
        return f"fromUnixTimestamp64Micro(intDiv({since}, {width_us}) * {width_us} + {origin_us}, 'UTC')"

    def seconds(self, column, origin_us):
        return f"((toUnixTimestamp64Micro({column}) - {origin_us}) / 1e6)"


class Postgres(Dialect):
    def each(self, low, high):
        return f"generate_series({low}, {high})"

    def bucket(self, column, width_us, origin_us):
        return f"date_bin(INTERVAL '{width_us} microseconds', {column}, {self.at(origin_us)})"

    def seconds(self, column, origin_us):
        return f"date_part('epoch', {column} - {self.at(origin_us)})"

    def newest_of_each(self):
        """From series to series along the index: it would read all of it otherwise."""
        return """WITH RECURSIVE series AS (
              (SELECT equipment, signal FROM samples ORDER BY equipment, signal LIMIT 1)
              UNION ALL SELECT n.equipment, n.signal FROM series s CROSS JOIN LATERAL (
                SELECT equipment, signal FROM samples WHERE (equipment, signal) > (s.equipment, s.signal)
                ORDER BY equipment, signal LIMIT 1) n)
            SELECT s.equipment, s.signal, n.time, n.value FROM series s CROSS JOIN LATERAL (
              SELECT time, value FROM samples x WHERE x.equipment = s.equipment AND x.signal = s.signal
              ORDER BY time DESC LIMIT 1) n"""


def listed(values):
    return ", ".join(f"'{value}'" for value in values)


def hour_of(seconds):
    return f"CAST(floor({seconds} / 3600.0) AS BIGINT)"


def questions(d, p):
    """Question to SQL, in dialect `d`, for the workload's parameters `p`."""
    (equipment, signal), (irregular_at, irregular) = p["one"], p["irregular"]
    start, end = d.at(p["start_us"]), d.at(p["day_end_us"])
    day_s = (p["day_end_us"] - p["start_us"]) / 1e6
    at = d.seconds("time", p["start_us"])
    began = d.seconds("start", p["start_us"])
    hour, minute_us = d.at(p["hour_us"]), 60_000_000
    return {
        "Q1": f"""SELECT {d.bucket("time", p["bucket_us"], p["start_us"])} AS bucket, avg(value), min(value), max(value)
            FROM samples WHERE equipment = '{equipment}' AND signal = '{signal}' AND time >= {start} AND time < {end}
            GROUP BY 1 ORDER BY 1""",
        "Q2": d.newest_of_each(),
        "Q3": f"""SELECT equipment, signal, {d.bucket("time", minute_us, p["hour_us"])} AS bucket, avg(value)
            FROM samples WHERE equipment IN ({listed(p["some_equipment"])}) AND signal IN ({listed(p["some_signals"])})
            AND time >= {hour} AND time < {d.at(p["hour_us"] + 3_600_000_000)} GROUP BY 1, 2, 3""",
        "Q4": f"""SELECT equipment, signal, time, value FROM samples
            WHERE unit = '{p["unit"]}' AND operation = '{p["operation"]}'""",
        "Q5": f"""SELECT s.unit, avg(s.value), min(s.value), max(s.value) FROM samples s
            JOIN (SELECT unit, operation FROM operations WHERE operation = '{p["operation"]}' ORDER BY unit
                  LIMIT {p["units"]}) u ON s.unit = u.unit AND s.operation = u.operation
            WHERE s.signal = '{p["units_signal"]}' GROUP BY s.unit""",
        "Q6": "SELECT signal, count(*), avg(value), min(value), max(value) FROM samples GROUP BY signal",
        "Q7": f"""SELECT {hour_of("s")} AS bucket, sum(value * (next - s)) / sum(next - s) FROM (
            SELECT {at} AS s, value, lead({at}) OVER (ORDER BY time) AS next FROM samples
            WHERE equipment = '{irregular_at}' AND signal = '{irregular}') x WHERE next > s GROUP BY 1 ORDER BY 1""",
        "Q8": f"""WITH spans AS (
              SELECT equipment, state, {began} AS a,
                     lead({began}, 1, CAST({day_s:.1f} AS double precision)) OVER (PARTITION BY equipment ORDER BY start) AS b
              FROM states WHERE start >= {start} AND start < {end}),
            pieces AS (SELECT equipment, state, a, b, {d.each(hour_of("a"), hour_of("(b - 1e-9)"))} AS h FROM spans),
            parts AS (SELECT equipment, h, state, least(b, h * 3600.0 + 3600.0) - greatest(a, h * 3600.0) AS s FROM pieces),
            times AS (SELECT equipment, h, sum(CASE WHEN state = 'RUN' THEN s ELSE 0.0 END) AS run_s,
                             sum(CASE WHEN state NOT IN ('OFF', 'BREAK') THEN s ELSE 0.0 END) AS planned_s
                      FROM parts GROUP BY equipment, h),
            made AS (SELECT equipment, {hour_of(at)} AS h, sum(good) AS good, sum(total) AS total FROM counts
                     WHERE time >= {start} AND time < {end} GROUP BY 1, 2)
            SELECT t.equipment, t.h, run_s / planned_s, {p["ideal_cycle_s"]} * total / run_s, good / total,
                   {p["ideal_cycle_s"]} * good / planned_s
            FROM times t JOIN made m ON m.equipment = t.equipment AND m.h = t.h WHERE run_s > 0 AND planned_s > 0""",
        "Q9": f"""WITH RECURSIVE reached AS (
              SELECT CAST('{p["lot"]}' AS text) AS lot, CAST(0 AS bigint) AS depth
              UNION ALL SELECT DISTINCT m.child, r.depth + 1 FROM reached r JOIN materials m ON m.parent = r.lot
              WHERE r.depth < 6)
            SELECT depth, count(*), min(lot), max(lot) FROM reached GROUP BY depth ORDER BY depth""",
        "Q10": """SELECT equipment, characteristic, avg(mean), avg(mean) + 0.577 * avg(spread), avg(mean) - 0.577 * avg(spread),
                   2.114 * avg(spread) FROM (
              SELECT equipment, characteristic, subgroup, avg(value) AS mean, max(value) - min(value) AS spread FROM (
                SELECT equipment, characteristic, value, CAST(floor((row_number() OVER (
                  PARTITION BY equipment, characteristic ORDER BY time) - 1) / 5.0) AS bigint) AS subgroup
                FROM measurements) n GROUP BY 1, 2, 3 HAVING count(*) = 5) g GROUP BY 1, 2""",
    } | d.of_its_own(p)
