"""Answers of two engines side by side."""

import math


def plain(value):
    """Times as whole microseconds."""
    return round(value.timestamp() * 1e6) if hasattr(value, "timestamp") else value


def ordered(rows):
    """Rows with what is exact first, so that both sides sort alike."""
    rows = [tuple(plain(value) for value in row) for row in rows]
    exact = lambda row: [str(value) for value in row if not isinstance(value, float)]
    inexact = lambda row: [value for value in row if isinstance(value, float)]
    return sorted(rows, key=lambda row: (exact(row), inexact(row)))


def same(one, other):
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one == other


def difference(ours, theirs):
    """What is different between two answers; none where numbers agree to a part in a thousand million, and all else is equal."""
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, not {len(theirs)}"
    for one, other in zip(ordered(ours), ordered(theirs)):
        if len(one) != len(other) or not all(map(same, one, other)):
            return f"{one}, not {other}"
    return None
