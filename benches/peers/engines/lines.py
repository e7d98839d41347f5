"""Samples as line protocol."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def lines(table, keys):
    """Rows of `samples` as line protocol, one text each; with `keys`, unit and operation are in it."""
    text = lambda name: table[name].combine_chunks().cast(pa.string())
    line = pc.binary_join_element_wise("samples,equipment=", text("equipment"), ",signal=", text("signal"), " value=",
                                       text("value"), ",quality=", text("quality"), "i", "")
    if keys:
        named = pc.binary_join_element_wise(',unit="', text("unit"), '",operation="', text("operation"), '"', "")
        line = pc.binary_join_element_wise(line, pc.fill_null(named, ""), "")
    return pc.binary_join_element_wise(line, pc.cast(table["time"].combine_chunks(), pa.int64()).cast(pa.string()), " ")


def bodies(table, rows, keys):
    all_lines = lines(table, keys)
    offsets = pa.array(np.append(np.arange(0, len(all_lines), rows), len(all_lines)).astype(np.int32))
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, all_lines), "\n")
    return [body.as_buffer().to_pybytes() for body in joined]
