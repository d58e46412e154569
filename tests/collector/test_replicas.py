"""Several processes look for jobs at the same moment: each interval has one run."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from collector.jobs import due
from collector.models import Lease, Run
from distribution.storage.blob_store import blob_store

REPLICAS = 4


@pytest.mark.django_db(transaction=True)
def test_each_interval_has_one_run() -> None:
    blob_store().prepare()
    together = threading.Barrier(REPLICAS)

    def look(_: int) -> bool:
        try:
            together.wait(60)
            return due.run_due()
        finally:
            connection.close()

    for interval in range(3):
        with ThreadPoolExecutor(REPLICAS) as threads:
            assert all(threads.map(look, range(REPLICAS)))

        assert Run.objects.count() == interval + 1
        Run.objects.update(started_at=F("started_at") - timedelta(days=2))
    assert not Lease.objects.exists()
