"""Tell what grows for ever from what fills up and from what goes up and down."""

from collections.abc import Sequence
from itertools import combinations
from statistics import median

Sample = tuple[float, float]
"""Seconds since the start, and the value at that time."""


def slope(samples: Sequence[Sample]) -> float:
    """Return the growth per minute: the median over all pairs (Theil-Sen), which peaks don't move. 0 for no pair."""
    pairs = combinations(samples, 2)
    slopes = [60 * (after - before) / (end - start) for (start, before), (end, after) in pairs if end > start]
    return median(slopes) if slopes else 0.0


def lasting_growth(samples: Sequence[Sample], seconds: float) -> float:
    """Return the growth per minute that is still there in the end, of a soak of `seconds`.

    The first half is for everything to fill up. A leak goes on through all of the second half; what takes one step in
    it, or still fills up at its beginning, doesn't grow in the last quarter.
    """
    return min(slope([sample for sample in samples if sample[0] >= start]) for start in (seconds / 2, seconds * 3 / 4))
