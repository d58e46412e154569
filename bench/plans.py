"""How the database finds what a statement asks for."""

import json
import re
from collections.abc import Iterator
from typing import Any

LONGEST = 100


def plan_of(sql: str, params: Any) -> list[str]:
    """Return the parts of the plan that read tables."""
    from django.db import connection

    sql = re.sub(r"^DECLARE .*? FOR ", "", sql)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            return [row[3] for row in cursor.fetchall() if row[3].startswith(("SCAN", "SEARCH"))]
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        (plan,) = cursor.fetchone()
        return list(_reads(plan[0]["Plan"] if isinstance(plan, list) else json.loads(plan)[0]["Plan"]))


def _reads(node: dict[str, Any]) -> Iterator[str]:
    if "Scan" in node["Node Type"]:
        words = [node["Node Type"], node.get("Relation Name"), node.get("Index Name")]
        words += [f"{name}: {_short(node[name])}" for name in ("Index Cond", "Filter") if name in node]
        yield " ".join(word for word in words if word)
    for child in node.get("Plans", []):
        yield from _reads(child)


def _short(condition: str) -> str:
    """Return a condition without its values."""
    short = re.sub(r"'[^']*'(::[a-z ]+(\[\])?)?|= \d+", "…", condition)
    return short if len(short) <= LONGEST else f"{short[:LONGEST]}…"
