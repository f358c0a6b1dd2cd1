"""The documents are true: settings, commands, paths and figures' commands."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import typer.main

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def settings_table() -> str:
    """The table of operating.md as the settings themselves would write it."""
    from evaluation.settings import EvaluationSettings
    from indexer.settings import IndexerSettings
    from service.settings import ServiceSettings

    rows = {}
    for kind in (IndexerSettings, ServiceSettings, EvaluationSettings):
        for name, field in kind.model_fields.items():
            default = "" if field.default is None else str(field.default).replace("|", "\\|")
            meaning = (field.description or "stage budget").replace("|", "\\|")
            rows[name] = f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |"
    return "\n".join(rows[name] for name in sorted(rows))


def test_every_setting_is_documented_with_its_default():
    text = (ROOT / "docs" / "operating.md").read_text()
    table = text.split("| setting | default | meaning |\n| --- | --- | --- |\n")[1].split("\n\n")[0]

    assert table == settings_table()


def test_every_command_is_in_the_operating_page():
    from footnote.cli import app

    text = (ROOT / "docs" / "operating.md").read_text()
    commands = typer.main.get_command(app).commands

    assert set(commands) >= {"index", "status", "verify", "search", "ask", "serve", "evaluate", "config"}
    assert [name for name in commands if f"`footnote {name}" not in text] == []


def test_every_command_below_evaluate_is_in_the_operating_page():
    from evaluation.commands import evaluating

    text = (ROOT / "docs" / "operating.md").read_text()
    group = typer.main.get_command(evaluating)
    names = group.list_commands(typer.Context(group))

    assert names == ["compare", "ablate", "report", "support"]
    assert [name for name in names if f"footnote evaluate {name}" not in text] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    named = re.findall(r"`((?:store|indexer|service|evaluation|footnote|corpus|docs|benchmarks|tests)/[\w./-]+)`", text)
    broken = [link for link in links if not (page.parent / link).exists()]
    broken += [path for path in named if not (ROOT / path).exists()]

    assert broken == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_modules_named_in_commands_exist(page):
    modules = re.findall(r"python -m ((?:benchmarks|evaluation|service)[\w.]*)", page.read_text())

    for module in modules:
        assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_page_has_one_title(page):
    outside_code = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)

    assert len(re.findall(r"^# ", outside_code, flags=re.MULTILINE)) == 1


def test_make_targets_named_in_the_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {name for page in DOCS for name in re.findall(r"\bmake ([a-z-]+)`", page.read_text())}

    assert named - targets == set()
