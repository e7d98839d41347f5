"""Fills the gaps of a table of samples with DuckDB and prints, as JSON, a row for each signal and bucket: signal, bucket in
microseconds, count, mean, last mean carried forward, mean interpolated.

Usage: gap_fill.py TABLE_FOLDER WIDTH FROM TO, all in microseconds. Buckets begin at multiples of the width.
"""
import json
import sys

import duckdb
from deltalake import DeltaTable

folder, (width, start, end) = sys.argv[1], map(int, sys.argv[2:])
duckdb.read_parquet(DeltaTable(folder).file_uris()).create_view("stored")
rows = duckdb.sql(f"""
    WITH inside AS (
        SELECT signal, epoch_us(time) AS us, value FROM stored WHERE epoch_us(time) >= {start} AND epoch_us(time) < {end}
    ), means AS (
        SELECT signal, us - us % {width} AS bucket, count(*) AS count, avg(value) AS mean FROM inside GROUP BY ALL
    ), grid AS (
        SELECT signal, bucket
        FROM (SELECT DISTINCT signal FROM inside),
             (SELECT unnest(generate_series({start - start % width}, {end - 1}, {width})) AS bucket)
    ), filled AS (
        SELECT * FROM grid LEFT JOIN means USING (signal, bucket)
    ), around AS (
        SELECT *,
            last_value(mean IGNORE NULLS) OVER before AS mean0,
            last_value(if(mean IS NULL, NULL, bucket) IGNORE NULLS) OVER before AS bucket0,
            first_value(mean IGNORE NULLS) OVER after AS mean1,
            first_value(if(mean IS NULL, NULL, bucket) IGNORE NULLS) OVER after AS bucket1
        FROM filled
        WINDOW before AS (PARTITION BY signal ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
               after AS (PARTITION BY signal ORDER BY bucket ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    )
    SELECT signal, bucket, count, mean, mean0,
           coalesce(mean, mean0 + (mean1 - mean0) * (bucket - bucket0) / (bucket1 - bucket0))
    FROM around ORDER BY signal, bucket
""").fetchall()
print(json.dumps(rows))
