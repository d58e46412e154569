"""Whether a stress run was as it should be."""

from tests.stress.stress import CAST
from tests.stress.tally import Tally

HAPPEN = [
    *(f"rounds of {kind.__name__}" for kind in CAST),
    *(f"collected {what}" for what in ("manifests", "links", "blobs")),
    "collectors killed",
    "mounts",
    "pushes within their grace",
    "uses of what was found",
]
NEVER = ("deadlocks", "broken manifests", "collected failures")
# A busy database may answer 503 now and then; more often it would be a fault.
REQUESTS_A_503 = 200


def has_happened(tally: Tally) -> bool:
    """Tell whether there was everything that could go wrong before the end."""
    return all(tally.counts[name] for name in HAPPEN)


def wrongs(tally: Tally) -> list[str]:
    """Return what was wrong; also when too little happened for anything to go wrong."""
    found = [*tally.faults, *(f"{tally.counts[name]} {name}" for name in NEVER if tally.counts[name])]
    if tally.counts["unavailable"] > tally.counts["requests"] / REQUESTS_A_503:
        found.append(f"{tally.counts['unavailable']} of {tally.counts['requests']} answers were 503")
    return [*found, *(f"no {name}" for name in (*HAPPEN, "tags pulled in the end") if not tally.counts[name])]
