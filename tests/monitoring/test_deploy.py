"""The dashboard and the alerts of deploy/, against a scrape of a running server."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from core.metrics.families import families
from monitoring.state import DESCRIBED
from tests import documents
from tests.clients.server import ROOT
from tests.monitoring.scrape import MonitoredServer

# The suffixes of the samples of a histogram.
_PARTS = ("_bucket", "_count", "_sum")
# What Prometheus itself and Grafana add to each series.
_ADDED = {"job", "instance", "le"}


def panels() -> list[dict[str, Any]]:
    """Return the panels that show something."""
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def alerts() -> list[dict[str, Any]]:
    """Return the alerting rules."""
    (group,) = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def expressions() -> Iterator[str]:
    """Yield every expression."""
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (rule["expr"] for rule in alerts())


def metric_names(expression: str) -> set[str]:
    """Return the metrics that an expression names."""
    return set(re.findall(r"\bregistry_\w+", expression))


def labels_by_name() -> dict[str, set[str]]:
    """Return the labels of every metric."""
    counted = {name: set(family.label_names) for name, family in families.items()}
    return counted | {name: set(described.labels) for name, described in DESCRIBED.items()}


def family_of(name: str) -> str:
    """Return the family that a sample belongs to."""
    known = labels_by_name()
    return next((name.removesuffix(part) for part in _PARTS if name.removesuffix(part) in known), name)


def test_every_metric_that_is_shown_or_watched_is_in_a_scrape(monitored: MonitoredServer) -> None:
    text = monitored.scrape_answer().body.decode()
    named = {family_of(name) for expression in expressions() for name in metric_names(expression)}

    # Those that a new server has nothing to say of.
    later = {name for name in named if "_scrub_" in name or "_last_run_" in name or "_webhook_" in name}
    assert len(named) > 25
    assert later <= DESCRIBED.keys()
    assert [name for name in sorted(named - later) if f"# TYPE {name} " not in text] == []


@pytest.mark.parametrize("expression", list(expressions()))
def test_every_label_is_one_of_its_metric(expression: str) -> None:
    known = labels_by_name() | {"registry_build_info": {"version", "python", "database"}, "registry_processes": set()}

    for name, selector in re.findall(r"\b(registry_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selector)) <= known[family_of(name)] | _ADDED
    grouped = {word.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for word in group.split(",")}
    assert grouped <= set().union(*(known[family_of(name)] for name in metric_names(expression)), _ADDED)


@pytest.mark.parametrize("expression", list(expressions()))
def test_brackets_of_every_expression_are_closed(expression: str) -> None:
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


def test_every_panel_has_its_own_place_and_name() -> None:
    titles = [panel["title"] for panel in panels()]

    assert len(set(titles)) == len(titles)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels())
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()}) == len(titles)


def test_every_alert_is_explained_and_graded() -> None:
    explained = documents.text("docs/monitoring.md")

    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert f"`{rule['alert']}`" in explained


def test_every_metric_is_described(monitored: MonitoredServer) -> None:
    described = documents.text("docs/monitoring.md")

    assert [name for name in labels_by_name() if name.startswith("registry_") and f"`{name}`" not in described] == []
