"""Logs in with USER and PASSWORD and prints who it is; prints `refused` with the server's words where it is not let in.

Usage: psycopg_login.py PORT USER PASSWORD
"""
import sys

import psycopg

port, user, password = sys.argv[1:]
try:
    with psycopg.connect(host="127.0.0.1", port=port, user=user, password=password, dbname="takt") as connection:
        name = connection.execute("SELECT current_user").fetchone()[0]
        print(name, "with a password" if connection.pgconn.used_password else "without a password")
except psycopg.OperationalError as error:
    print("refused", error)
