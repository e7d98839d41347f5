"""Reads a table with three other implementations and prints, as JSON, the columns with their types and the rows of each.

Usage: read_tables.py TABLE_FOLDER COLUMN…. Rows are sorted by the given columns; times are printed as SQL over HTTP does.
"""
import datetime
import json
import sys

import duckdb
import polars
from deltalake import DeltaTable

folder, order = sys.argv[1], sys.argv[2:]
EPOCH = datetime.datetime(1970, 1, 1)


def instant(us):
    if us is None:
        return None
    return (EPOCH + datetime.timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def answer(types, columns):
    rows = [dict(zip(columns, values)) for values in zip(*columns.values())]
    rows.sort(key=lambda row: [row[name] for name in order])
    return {"types": types, "rows": rows}


def with_deltalake(delta):
    table = delta.to_pyarrow_table()
    columns = {}
    for field in table.schema:
        column = table[field.name]
        is_time = str(field.type).startswith("timestamp")
        columns[field.name] = [instant(us) for us in column.cast("int64").to_pylist()] if is_time else column.to_pylist()
    return answer({field.name: str(field.type) for field in table.schema}, columns)


def with_polars():
    rows = polars.scan_delta(folder).collect()
    types = {name: str(kind) for name, kind in rows.schema.items()}
    columns = {}
    for name, kind in rows.schema.items():
        is_time = isinstance(kind, polars.Datetime)
        values = (rows[name].cast(polars.Int64) if is_time else rows[name]).to_list()
        columns[name] = [instant(us) for us in values] if is_time else values
    return answer(types, columns)


def with_duckdb(delta):
    rows = duckdb.read_parquet(delta.file_uris())
    types = {name: str(kind) for name, kind in zip(rows.columns, rows.types)}
    columns = {}
    for name, kind in types.items():
        is_time = kind.startswith("TIMESTAMP")
        values = [row[0] for row in rows.project(f'epoch_us("{name}")' if is_time else f'"{name}"').fetchall()]
        columns[name] = [instant(us) for us in values] if is_time else values
    return answer(types, columns)


def filtered(delta, name):
    """Rows of each value of a column, as filters find them: readers skip files by what the table log says of them."""
    duckdb.register("dataset", delta.to_pyarrow_dataset())
    values = [value for (value,) in duckdb.sql(f'SELECT DISTINCT "{name}" FROM dataset').fetchall()]
    count = f'SELECT count(*) FROM dataset WHERE "{name}" = ?'
    return {str(value): duckdb.execute(count, [value]).fetchone()[0] for value in values}


def filtered_by_polars(name):
    """The same with filters that Polars pushes into the scan."""
    rows = polars.scan_delta(folder)
    values = rows.select(name).unique().collect()[name].to_list()
    return {str(value): rows.filter(polars.col(name) == value).select(polars.len()).collect().item() for value in values}


table = DeltaTable(folder)
print(json.dumps({
    "deltalake": with_deltalake(table),
    "polars": with_polars(),
    "duckdb": with_duckdb(table),
    "filtered": [filtered(table, order[0]), filtered_by_polars(order[0])],
}))
