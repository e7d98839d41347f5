"""Prints the value of every row of signal `number`, read through the table log by another implementation."""
import sys

from deltalake import DeltaTable

table = DeltaTable(sys.argv[1]).to_pyarrow_table(columns=["signal", "value"])
for signal, value in zip(table["signal"].to_pylist(), table["value"].to_pylist()):
    if signal == "number":
        print(int(value))
