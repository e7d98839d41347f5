"""The peers, by name."""

from .clickhouse import ClickHouse, ClickHouse_Fsync
from .datafusion import DataFusion
from .duckdb import DuckDB, DuckDB_Sorted
from .influxdb import InfluxDB
from .polars import Polars
from .postgresql import PostgreSQL
from .takt import Takt, Takt_Keys
from .victoriametrics import VictoriaMetrics

PEERS = {peer.name(): peer for peer in (DuckDB_Sorted, DuckDB, DataFusion, Polars, ClickHouse, ClickHouse_Fsync, PostgreSQL,
                                        InfluxDB, VictoriaMetrics, Takt, Takt_Keys)}
