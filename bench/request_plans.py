"""Print the query plans of requests: `python -m bench.request_plans PATH…`.

The requests are made in this process, on the database of the configuration that CONFIG_PATH names and with the header
in BENCH_AUTHORIZATION, as the server makes them. Exit status 1:
a plan reads a table of the registry from its beginning to its end, or sorts it, or no query was seen at all.
"""

import os
import re
import sys
from collections.abc import Sequence

from bench import django_process

# A table of accounts or rules has a handful of rows: a database may well read all of them.
_READS_ALL = re.compile(r"^\s*SCAN|Seq Scan on distribution_", re.MULTILINE)
_SORTS = re.compile(r"TEMP B-TREE|\bSort\b")


def plan_of(sql: str) -> str:
    """Return the database's own plan."""
    from django.db import connection

    with connection.cursor() as cursor:
        word = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{word} {sql}")
        return "\n".join(str(row[0] if connection.vendor == "postgresql" else row[3]) for row in cursor.fetchall())


def statements(path: str) -> list[str]:
    """Return what the tables of the registry are asked to answer a GET with 200."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        response = Client().get(path, HTTP_AUTHORIZATION=os.environ["BENCH_AUTHORIZATION"], HTTP_HOST="127.0.0.1")
    if response.status_code != 200:
        sys.exit(f"{path}: {response.status_code} {response.content.decode()}")
    asked = [query["sql"].strip() for query in captured.captured_queries]
    return [sql for sql in asked if sql.upper().startswith("SELECT") and "distribution_" in sql]


def fault_of(plan: str) -> str:
    """Return what is wrong with a plan, empty when nothing is."""
    if _READS_ALL.search(plan):
        return "READS A WHOLE TABLE"
    return "SORTS" if _SORTS.search(plan) else ""


def main(paths: Sequence[str]) -> int:
    """Print the plans and return the exit status."""
    django_process.load()
    faults = []
    for path in paths:
        found = [plan_of(sql) for sql in statements(path)]
        faults += ["NO QUERY WAS SEEN"] if not found else [fault for plan in found if (fault := fault_of(plan))]
        print(f"GET {path}")
        for plan in found:
            print("\n".join(f"    {line}" for line in plan.splitlines()))
    print("; ".join(faults) or "no plan reads a whole table, none sorts")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
