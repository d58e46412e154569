"""How many runs are remembered: the last ones of each trigger and outcome.

So runs that fail every ten minutes push out none that removed something, and runs by hand none of the schedule, whose
last ones say when the next is due.
"""

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from collector.models import Run, RunFinding
from core.db import transactions
from distribution.models import remove

KEPT = 1000
"""How many ended runs of each trigger and outcome are kept."""

STEP = 100
"""How many are removed at once: a run adds one."""


def prune() -> None:
    """Remove up to STEP of the runs that are beyond KEPT, with what they found."""
    rank = Window(RowNumber(), [F("trigger"), F("state")], [F("started_at").desc(), F("pk").desc()])
    ended = Run.objects.filter(ended_at__isnull=False).annotate(rank=rank)
    pks = [run.pk for run in ended.filter(rank__gt=KEPT).order_by("started_at", "pk").only("pk")[:STEP]]
    if pks:
        transactions.run(_remove, pks)


def _remove(pks: list[int]) -> None:
    remove(RunFinding.objects.filter(run__in=pks))
    remove(Run.objects.filter(pk__in=pks))
