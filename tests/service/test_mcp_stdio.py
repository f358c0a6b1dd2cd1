"""`footnote mcp` as a client starts it: the real process, the SDK's own client, its stdin and stdout."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

mcp = pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")},
    "PYTHONPATH": str(ROOT),
    "FOOTNOTE_ABSTAIN_BELOW": "0",
}


@pytest.fixture(autouse=True)
def unguarded(loop_guard):
    """The only event loop here is the client's, whose package reads files on it."""
    loop_guard.deactivate()


def command(index: Path, *more: str) -> list[str]:
    return ["-m", "footnote", "mcp", "--index", str(index), "--no-budgets", *more]


def connected(index: Path, tmp_path: Path, work, mode: str = "auto"):
    from mcp.client.stdio import StdioServerParameters, stdio_client

    async def run():
        with (tmp_path / "log").open("w") as log:
            started = StdioServerParameters(
                command=sys.executable, args=command(index), env=ENVIRONMENT, cwd=str(tmp_path)
            )
            async with asyncio.timeout(100), mcp.Client(stdio_client(started, errlog=log), mode=mode) as client:
                return await work(client)

    return asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_that_starts_the_program_can_use_every_tool(small_index, tmp_path, tmp_path_factory, mode):
    index = tmp_path_factory.mktemp("own") / "index"  # beside the shared one others may have had answers remembered
    shutil.copytree(small_index, index)

    async def work(client):
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answers, found, unknown, empty, bad = await asyncio.gather(
            client.call_tool("answer", {"query": "How long do cats sleep?"}),
            client.call_tool("search", {"query": "tokyo", "mode": "lexical"}),
            client.call_tool("fetch", {"id": "secret"}),
            client.call_tool("answer", {"query": ""}),
            client.call_tool("search", {"query": "a", "filter": {"$not": 1}}),
        )
        whole = await client.call_tool("fetch", {"id": found.structured_content["results"][0]["document"]["id"]})
        return tools, answers, found, whole, (unknown, empty, bad)

    tools, answers, found, whole, wrong = connected(index, tmp_path, work, mode)
    assert tools == ["search", "answer", "fetch"]
    assert {one["document_id"] for one in answers.structured_content["citations"]} == {"cats"}
    assert "\n\nSources\n[1] Cats (cats)\n" in answers.content[0].text
    assert '    "Cats sleep for most of the day."' in answers.content[0].text
    assert "/s/" not in answers.content[0].text  # nobody serves such pages
    assert found.structured_content["results"][0]["document"]["id"] == "tokyo"
    assert whole.structured_content["text"] == "東京は日本の首都です。😀 Tokyo is large."
    assert [one.is_error for one in wrong] == [True] * 3
    assert "No document in the open snapshot has this id." in wrong[0].content[0].text
    assert "must not be empty" in wrong[1].content[0].text
    assert "The filter cannot be understood" in wrong[2].content[0].text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]  # nothing is remembered
    assert not index.with_name("index-feedback.sqlite").exists()


@pytest.mark.slow
def test_an_index_that_comes_later_is_opened_and_nothing_but_protocol_is_on_stdout(tmp_path, make_index, jsonl):
    """Spoken by hand, line by line, so that every byte of stdout is seen."""
    index = tmp_path / "index"
    environment = {**ENVIRONMENT, "FOOTNOTE_RELOAD_POLL_MS": "50", "FOOTNOTE_LOG_LEVEL": "info"}
    process = subprocess.Popen(
        [sys.executable, *command(index)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
        text=True,
    )
    number = 0
    seen = []

    def ask(method, params):
        nonlocal number
        number += 1
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        seen.append(json.loads(line))
        assert seen[-1]["id"] == number
        return seen[-1]

    try:
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        assert ask("initialize", about)["result"]["serverInfo"]["name"] == "footnote"
        process.stdin.write('{"jsonrpc": "2.0", "method": "notifications/initialized"}\nthis is no message\n')
        call = {"name": "search", "arguments": {"query": "moles dig"}}
        early = ask("tools/call", call)["result"]
        assert early["isError"]
        assert "no snapshot is open yet" in early["content"][0]["text"]
        make_index(index, jsonl(tmp_path / "later.jsonl", [{"id": "moles", "text": "Moles dig tunnels."}]))
        for _ in range(200):
            late = ask("tools/call", call)["result"]
            if not late.get("isError"):
                break
        assert late["structuredContent"]["results"][0]["document"]["id"] == "moles"
        rest, log = process.communicate(timeout=60)  # closes stdin: the client has gone
    finally:
        process.kill()
    assert process.returncode == 0
    assert rest == ""
    assert "generation 1 is served" in log
    assert "Traceback" not in log
    assert "moles dig" not in log
    assert all(one["jsonrpc"] == "2.0" for one in seen)


@pytest.mark.slow
def test_a_call_that_is_cancelled_leaves_the_program_working(small_index, tmp_path):
    async def work(client):
        calls = [asyncio.create_task(client.call_tool("search", {"query": "cats"})) for _ in range(5)]
        await asyncio.sleep(0)
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return await client.call_tool("search", {"query": "dogs bark", "mode": "lexical"})

    assert connected(small_index, tmp_path, work).structured_content["results"][0]["document"]["id"] == "dogs"


def test_help_shows_how_a_client_is_told():
    from footnote.cli import app

    shown = CliRunner().invoke(app, ["mcp", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert '"mcpServers"' in shown
    assert '"args": ["mcp", "--index", "/path/to/index"]' in shown


def test_without_the_extra_the_command_says_what_to_install(monkeypatch):
    from footnote.cli import app
    from service.http import routes_mcp
    from store.errors import UsageError

    def missing(_name):
        raise PackageNotFoundError

    monkeypatch.setattr(routes_mcp, "version", missing)
    result = CliRunner().invoke(app, ["mcp"])
    assert isinstance(result.exception, UsageError)
    assert 'pip install "footnote[mcp]"' in str(result.exception)
