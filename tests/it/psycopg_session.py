"""What psycopg does over the PostgreSQL wire: parameters of many types, text and binary, cursors, cancel, settings.

Usage: psycopg_session.py PORT. Expects ten temperatures 0.5, 1.5, … of the press, one a minute from 2025-03-03 10:00 UTC.
"""
import datetime
import decimal
import sys
import threading
import time

import psycopg

PRESS = "cologne/line-1/press"
UTC = datetime.timezone.utc
ENDLESS = (
    "SELECT count(*) FROM generate_series(1, 100000) AS a(x), generate_series(1, 100000) AS b(y) WHERE (x * y) % 7 = 3"
)


def connect(**more):
    return psycopg.connect(host="127.0.0.1", port=sys.argv[1], user="takt", dbname="takt", autocommit=True, **more)


def minute(minute, zone=UTC):
    return datetime.datetime(2025, 3, 3, 10, minute, tzinfo=UTC).astimezone(zone)


def check(got, expected, what):
    assert got == expected, f"{what}: {got!r}, expected {expected!r}"


def refused(connection, statement, error):
    try:
        connection.execute(statement)
    except error as caught:
        return caught
    raise AssertionError(f"{statement} was not refused")


def types(connection, binary):
    row = connection.execute(
        "SELECT 1::int, 2::bigint, 1.5::float8, 'x'::text, true, NULL, timestamptz '2025-01-01T01:02:03.000004Z', "
        "date '2025-01-01', 1.25::numeric(10, 2), timestamp '2025-01-01 01:02:03.000004'",
        binary=binary,
    ).fetchone()
    instant = datetime.datetime(2025, 1, 1, 1, 2, 3, 4)
    expected = (1, 2, 1.5, "x", True, None, instant.replace(tzinfo=UTC), datetime.date(2025, 1, 1))
    check(row, (*expected, decimal.Decimal("1.25"), instant), f"types, binary={binary}")


def parameters(connection, binary):
    def one(query, *values):
        return connection.execute(query, values, binary=binary).fetchall()

    berlin = datetime.timezone(datetime.timedelta(hours=1))
    where = "SELECT time, value FROM samples WHERE time >= %s AND time < %s ORDER BY time"
    for zone in (UTC, berlin):
        got = one(where, minute(2, zone), minute(4, zone))
        check(got, [(minute(2), 2.5), (minute(3), 3.5)], f"timestamptz, binary={binary}")
    # Texts come without a type: it follows from the place.
    limited = "SELECT value FROM samples ORDER BY time LIMIT %s OFFSET %s"
    for two, three in ((2, 3), ("2", "3")):
        check(one(limited, two, three), [(3.5,), (4.5,)], f"LIMIT and OFFSET, binary={binary}")
    check(one(limited, None, "8"), [(8.5,), (9.5,)], f"no LIMIT, binary={binary}")
    check(one("SELECT count(*) FROM samples WHERE equipment = %s AND value > %s AND quality = %s", PRESS, 4.0, 0), [(6,)],
          "text, float and int")
    check(one("SELECT count(*) FROM samples WHERE value = ANY(%s)", [1.5, 2.5]), [(2,)], "array")
    check(one("SELECT 'b c' = ANY(%s), 'd' = ANY(%s), %s::text[]", ["a", "b c"], ["a", 'd,"e'], ["NULL", None, 'x"y\\z', "", "{}"]),
          [(True, False, ["NULL", None, 'x"y\\z', "", "{}"])], "lists of texts that need quotes")
    check(one("SELECT count(*) FROM samples WHERE unit = %s", None), [(0,)], "null")
    check(one("SELECT value FROM samples ORDER BY time LIMIT %s", 2), [(0.5,), (1.5,)], "limit")
    check(one("SELECT count(*) FROM samples WHERE time > %s", datetime.date(2025, 3, 3)), [(10,)], "date")
    check(one("SELECT count(*) FROM samples WHERE time > %s AND time < %s", datetime.datetime(1600, 1, 1, tzinfo=UTC),
              datetime.datetime(9999, 12, 30, tzinfo=UTC)), [(10,)], "times that nanoseconds have no room for")
    check(one("SELECT count(*) FROM samples WHERE time < '9999-12-31'"), [(10,)], "the last day that is written")
    hour = datetime.timedelta(hours=1)
    check(one("SELECT timestamptz '2025-03-03 09:00Z' + %s, %s * 2, %s * interval '1 hour'", hour, hour * 24, 1.5),
          [(minute(0), hour * 48, hour * 1.5)], "intervals")
    check(one("SELECT %s * interval '1 hour', interval '1 hour' * %s", None, "2"), [(None, hour * 2)], "numbers of intervals")
    check(one("SELECT count(*) FROM samples WHERE time > timestamptz '2025-03-03 10:09Z' - %s", 4 * hour / 60), [(4,)], "ago")
    check(one("SELECT %b::bytea", b"\x00\xff"), [(b"\x00\xff",)], "bytes")
    check(one("SELECT %s::text, %s::int, %s::float8, %s::bool, %s::timestamptz", "a'b", 1, 2.5, True, minute(0)),
          [("a'b", 1, 2.5, True, minute(0))], "echo")
    check(one("SELECT count(*) FROM oee(%s, %s, %s) WHERE equipment = %s", "1 hour", minute(0),
              minute(0) + datetime.timedelta(hours=3), PRESS), [(3,)], "table function")
    check(one("SELECT time_bucket(%s, time) AS t, count(*) FROM samples GROUP BY t ORDER BY t", "5 minutes"),
          [(minute(0), 5), (minute(5), 5)], "time_bucket")
    check(one("SELECT time_bucket_gapfill(%s, time) AS t, count(*), locf(max(value)), interpolate(max(value)) FROM samples "
              "WHERE time >= %s AND time < %s AND value NOT BETWEEN 4 AND %s GROUP BY t ORDER BY t",
              "3 minutes", minute(0), minute(12), 9.0),
          [(minute(0), 3, 2.5, 2.5), (minute(3), 1, 3.5, 3.5), (minute(6), None, 3.5, 6.5), (minute(9), 1, 9.5, 9.5)],
          "time_bucket_gapfill")


def prepared(connection):
    query = "SELECT count(*) FROM samples WHERE value > %s"
    counts = [connection.execute(query, (value,), prepare=True).fetchone()[0] for value in (1.0, 2.0, 20.0, 1.0)]
    check(counts, [9, 8, 0, 9], "prepared statement")


def cursors(connection):
    with connection.transaction():
        with connection.cursor(name="chunks") as cursor:
            cursor.execute("SELECT value FROM samples WHERE value > %s ORDER BY time", (1.0,))
            check([column.name for column in cursor.description], ["value"], "description of a server-side cursor")
            check(cursor.fetchmany(4), [(1.5,), (2.5,), (3.5,), (4.5,)], "first rows of a server-side cursor")
            check(len(cursor.fetchall()), 5, "the other rows")


def copies(connection):
    def rows(where, format):
        with connection.cursor().copy(f"COPY (SELECT time, value FROM samples WHERE {where} ORDER BY time) TO STDOUT {format}") as copy:
            copy.set_types(["timestamptz", "float8"])
            return list(copy.rows())

    for format in ("", "(FORMAT binary)"):
        check(rows("value < 2", format), [(minute(0), 0.5), (minute(1), 1.5)], f"COPY {format}")
        check(rows("value < 0", format), [], f"COPY {format} of nothing")


def refusals(connection):
    error = refused(connection, "DELETE FROM samples", psycopg.errors.ReadOnlySqlTransaction)
    check(error.sqlstate, "25006", "read only")
    refused(connection, "INSERT INTO units (unit) VALUES ('x')", psycopg.errors.ReadOnlySqlTransaction)
    refused(connection, "EXPLAIN ANALYZE DELETE FROM samples", psycopg.errors.ReadOnlySqlTransaction)
    error = refused(connection, "SELECT valu FROM samples", psycopg.errors.UndefinedColumn)
    check(error.diag.statement_position, "8", "position")
    refused(connection, "SELECT 1 FROM nowhere", psycopg.errors.UndefinedTable)
    refused(connection, "SELEC 1", psycopg.errors.SyntaxError)
    check(connection.execute("SELECT 1").fetchone(), (1,), "after errors")


def transactions(connection):
    connection.execute("BEGIN")
    refused(connection, "SELECT nothing", psycopg.errors.UndefinedColumn)
    refused(connection, "SELECT 1", psycopg.errors.InFailedSqlTransaction)
    connection.execute("ROLLBACK")
    check(connection.execute("SELECT 1").fetchone(), (1,), "after a rollback")


def cancel(connection):
    timer = threading.Timer(0.3, connection.cancel)
    start = time.monotonic()
    timer.start()
    refused(connection, ENDLESS, psycopg.errors.QueryCanceled)
    timer.join()
    assert time.monotonic() - start < 5, "a cancelled query went on"
    check(connection.execute("SELECT 1").fetchone(), (1,), "after a cancel")


def statement_timeout(connection):
    connection.execute("SET statement_timeout = '500ms'")
    start = time.monotonic()
    refused(connection, ENDLESS, psycopg.errors.QueryCanceled)
    assert time.monotonic() - start < 5, "statement_timeout was not kept"
    check(connection.execute("SELECT 1").fetchone(), (1,), "after a timeout")


def sessions(connection):
    connection.execute("SET TIME ZONE 'America/New_York'")
    with connect() as other:
        check(other.execute("SHOW statement_timeout").fetchone(), ("0",), "another session's timeout")
        check(other.execute("SHOW TIME ZONE").fetchone(), ("UTC",), "another session's zone")
    check(connection.execute("SHOW TIME ZONE").fetchone(), ("America/New_York",), "its own zone")
    first = connection.execute("SELECT time FROM samples ORDER BY time LIMIT 1").fetchone()[0]
    check((first, first.utcoffset()), (minute(0), datetime.timedelta(hours=-5)), "the same instant, shown there")


with connect() as session:
    for as_binary in (False, True):
        types(session, as_binary)
        parameters(session, as_binary)
    prepared(session)
    cursors(session)
    copies(session)
    refusals(session)
    transactions(session)
    cancel(session)
    statement_timeout(session)
    sessions(session)
