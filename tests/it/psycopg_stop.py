"""How long heavy statements go on once they are to stop: by a cancel request, and by statement_timeout.

Usage: psycopg_stop.py PORT. Prints, for each statement and way, the longest time in milliseconds between the moment at which it
was to stop and the answer. The joins would run for hours, the others for seconds.
"""
import json
import sys
import threading
import time

import psycopg

PAIRS = "generate_series(1, 100000) AS a(x), generate_series(1, 100000) AS b(y)"
FEWER = "generate_series(1, 2000) AS a(x), generate_series(1, 2000) AS b(y)"
STATEMENTS = {
    "cross join": f"SELECT count(*) FROM {PAIRS} WHERE (x * y) % 7 = 3",
    "join without a match": f"SELECT count(*) FROM {PAIRS} WHERE x * y = -1",
    "sort": f"SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY x * 7919 % 2003, y * 104729 % 2011, x, y) AS n FROM {FEWER})",
    "aggregate": f"SELECT count(*) FROM (SELECT x * 100003 + y AS k, count(*), max(y) FROM {FEWER} GROUP BY k)",
    "distinct": f"SELECT count(DISTINCT x * 100003 + y) FROM {FEWER}",
}
# Early, while rows are made, and late, while they are sorted or gathered.
AFTER_S = [0.1, 0.4, 1.0]


def connect():
    return psycopg.connect(host="127.0.0.1", port=sys.argv[1], user="takt", dbname="takt", autocommit=True)


def stopped(connection, statement):
    """Whether it was stopped: a fast machine may be done with it before."""
    try:
        connection.execute(statement)
    except psycopg.errors.QueryCanceled:
        return True
    return False


def by_cancel(connection, statement, after_s):
    asked = []

    def cancel():
        asked.append(time.monotonic())
        connection.cancel()

    timer = threading.Timer(after_s, cancel)
    timer.start()
    was_stopped = stopped(connection, statement)
    ended = time.monotonic()
    timer.cancel()
    timer.join()
    return ended - asked[0] if was_stopped else None


def by_timeout(connection, statement, after_s):
    connection.execute(f"SET statement_timeout = '{int(after_s * 1000)}ms'")
    start = time.monotonic()
    was_stopped = stopped(connection, statement)
    ended = time.monotonic()
    connection.execute("SET statement_timeout = 0")
    return ended - start - after_s if was_stopped else None


delays = {}
for name, statement in STATEMENTS.items():
    for way, stop in [("cancel", by_cancel), ("timeout", by_timeout)]:
        with connect() as connection:
            found = [stop(connection, statement, after_s) for after_s in AFTER_S]
            assert connection.execute("SELECT 1").fetchone() == (1,), f"after {name} by {way}"
        found = [delay for delay in found if delay is not None]
        assert found, f"{name} was never stopped by {way}"
        delays[f"{name}, {way}"] = round(1000 * max(found))
print(json.dumps(delays))
