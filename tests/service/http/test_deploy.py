"""The dashboard, the alert rules and the units speak of what there is."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from service.settings import ServiceSettings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
_WORDS = {"sum", "min", "max", "by", "rate", "increase", "absent", "histogram_quantile", "ignoring", "group_left"}


def rules() -> list[dict]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict]:
    board = json.loads((DEPLOY / "grafana" / "footnote.json").read_text())
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    found = [rule["expr"] for rule in rules()]
    return found + [target["expr"] for panel in panels() for target in panel["targets"]]


def spoken_of(expression: str) -> tuple[dict[str, set[str]], set[str]]:
    """Metric names with the labels that are matched on each, and all labels that results are grouped by."""
    grouped = {
        label.strip()
        for inside in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", expression)
        for label in inside.split(",")
    }
    plain = re.sub(r"\b(?:by|on|ignoring|without)\s*\([^)]*\)", " ", expression)
    plain = re.sub(r"\[[^\]]*\]", " ", plain)
    metrics: dict[str, set[str]] = {}
    for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?", re.sub(r'"[^"]*"', '""', plain)):
        if name not in _WORDS:
            metrics.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    return metrics, grouped


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, set[str]]:
    """Every sample name of a real /metrics with its labels, after some of everything has happened."""
    from starlette.testclient import TestClient

    from indexer.build import Request, build
    from indexer.progress import Silent
    from indexer.settings import IndexerSettings
    from service.contract import StageReport
    from service.http.app import create_app
    from service.wiring import Service
    from store.index import IndexDirectory

    folder = tmp_path_factory.mktemp("deploy")
    (folder / "refunds.md").write_text("# Refunds\n\nRefunds take 14 days.\n")
    index = folder / "index"
    build(
        IndexDirectory(index),
        Request(sources=[str(folder / "refunds.md")]),
        IndexerSettings(embedding_model="hash:64"),
        Silent(),
    )
    replies = [
        {"pieces": ["Refunds take 14 days [1]. ", "Refunds take 99 days [1]."]},
        {"pieces": [], "error": "server_error"},
    ]
    (folder / "script.jsonl").write_text("".join(json.dumps(one) + "\n" for one in replies))
    settings = ServiceSettings(
        index=index,
        generator="scripted",
        generator_script=folder / "script.jsonl",
        generator_fallbacks=[
            {"generator": "openai", "model": "m", "api_key": "some-key", "base_url": "http://127.0.0.1:1/v1"}
        ],
        abstain_below=0,
        budgets=False,
    )
    with TestClient(create_app(Service(settings))) as client:
        for _ in range(2):
            answered = client.post("/v1/answer", json={"query": "How long do refunds take?", "rerank": True})
            assert answered.status_code == 200
        metrics = client.app.state.metrics
        metrics.stages([StageReport(name="queue", budget_ms=1, took_ms=2, outcome="timeout")], [])
        text = client.get("/metrics").text
    return {
        one.name: set().union(*(other.labels for other in family.samples if other.name == one.name))
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_label_that_is_spoken_of_is_told(told, expression):
    metrics, grouped = spoken_of(expression)

    assert metrics
    for name, labels in metrics.items():
        assert name in told, name
        assert labels <= told[name], (name, labels)
    assert grouped <= set().union(*(told[name] for name in metrics)), grouped


@pytest.mark.parametrize("expression", expressions())
def test_brackets_close(expression):
    for opened, closed in ("()", "{}", "[]"):
        assert expression.count(opened) == expression.count(closed)
    assert not re.search(r"rate\([^\[]*\)", expression), "a rate has a range"


def test_the_reading_of_expressions_would_notice_a_wrong_name():
    metrics, grouped = spoken_of('sum by (le, model) (rate(footnote_no_bucket{a="b", c=~"d|e"}[5m])) > 0.5')

    assert metrics == {"footnote_no_bucket": {"a", "c"}}
    assert grouped == {"le", "model"}


def test_every_alert_says_what_it_is_and_where_what_to_do_is_written():
    text = (ROOT / "docs" / "operating.md").read_text()
    names = [rule["alert"] for rule in rules()]

    assert len(set(names)) == len(names) >= 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["annotations"]["summary"].endswith(".")
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page, anchor) == ("docs/operating.md", rule["alert"].lower())
        below = text.split(f"### {rule['alert']}\n\n")[1].split("\n#")[0].strip()
        assert len(below.split()) >= 20
        assert "\n\n" not in below
    assert [name for name in re.findall(r"^### (Footnote\w+)$", text, flags=re.MULTILINE) if name not in names] == []


def test_panels_have_places_of_their_own_and_a_source_that_is_chosen():
    board = json.loads((DEPLOY / "grafana" / "footnote.json").read_text())
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}


def test_systemds_units_leave_time_to_drain_and_set_what_can_be_set():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "footnote.service")
    service = unit["Service"]
    settings = ServiceSettings.model_fields

    drained_s = (settings["drain_grace_ms"].default + settings["drain_limit_ms"].default) / 1000
    assert int(service["TimeoutStopSec"]) > drained_s + 2
    for name in re.findall(r"FOOTNOTE_([A-Z_]+)=", service["Environment"]):
        assert name.lower() in settings
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")


def test_nginx_hangs_up_before_the_service_does():
    """Else a request may go out on a connection that is just being closed, and is a 502."""
    (seconds,) = re.findall(r"keepalive_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text())
    assert int(seconds) * 1000 < ServiceSettings().keep_alive_ms
