"""The SDK's own client at /mcp of a running server: what is offered, what a call gives, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import urllib.request
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError

import pytest

from service.budget import StageOverrun
from service.contract import AnswerResponse, MetaEvent, SearchResponse
from service.http import routes_mcp
from service.http.models import DocumentResponse

mcp = pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
for name in ("httpcore2", "jsonschema.validators"):
    pytest.importorskip(name)  # else the client would load it on the loop that the guard watches

QUESTION = "How long do refunds take?"
META = MetaEvent(request_id="r", generation=1, query_used="q", guardrail="verified", model="m")
MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])
"""The protocol of 2026-07-28, and the one with a handshake that came before."""


@pytest.fixture
def app(app_over, shared_index, tmp_path):
    patient = {"admission_wait_ms": 20_000, "admission_standing_ms": 20_000}  # a busy machine is not a failure
    return app_over(shared_index, abstain_below=0.0, feedback=tmp_path / "feedback.sqlite", **patient)


@pytest.fixture
def connected(app, serve):
    """Runs a coroutine function with a client that is connected to the server."""
    address = f"http://127.0.0.1:{serve(app).port}"

    def run(work, mode="auto", **options):
        async def whole():
            async with asyncio.timeout(30):
                async with mcp.Client(f"{address}/mcp", mode=mode, **options) as client:
                    return await work(client)

        return asyncio.run(whole())

    run.address = address
    return run


def called(result):
    assert not result.is_error, result.content
    return result.structured_content


@MODES
def test_the_tools_are_offered_with_schemas_of_what_they_take_and_give(connected, mode):
    async def work(client):
        return (await client.list_tools()).tools, client.instructions

    tools, instructions = connected(work, mode)
    assert [tool.name for tool in tools] == ["search", "answer", "fetch"]
    assert "citations" in instructions
    for tool, required in zip(tools, (["query"], ["query"], ["id"]), strict=True):
        assert tool.input_schema["required"] == required
        assert tool.input_schema["additionalProperties"] is False
        assert all("description" in one for name, one in tool.input_schema["properties"].items() if name != "query")
        assert tool.annotations.read_only_hint
    assert "citations" in tools[1].output_schema["properties"]
    assert "vector" not in tools[0].input_schema["properties"]


@MODES
def test_an_answer_is_the_one_of_the_json_route_with_whole_citations_and_a_block_of_sources(connected, client, mode):
    async def work(client):
        return await client.call_tool("answer", {"query": QUESTION, "top_k": 3})

    result = connected(work, mode)
    given = AnswerResponse.model_validate(called(result))  # and the client checked it against the schema
    json_answer = AnswerResponse.model_validate(client.post("/v1/answer", json={"query": QUESTION, "top_k": 3}).json())
    apart = {"request_id": "", "stages": [], "abstention": None}
    if json_answer.verdict != "abstained":
        assert given.model_copy(update=apart) == json_answer.model_copy(update=apart)
    text = result.content[0].text
    assert given.citations
    assert text.startswith(given.answer.strip())
    assert "\n\nSources\n[1] Refunds (docs/refunds.md)\n" in text
    for citation in given.citations:
        assert f'"{" ".join(citation.quote.split())}"' in text
        span = f"{citation.source_start}-{citation.source_end}"
        assert f"{connected.address}/s/{citation.document_version}/{span}#quote" in text


def test_a_link_of_the_block_of_sources_leads_to_the_quote(connected, client):
    async def work(client):
        return await client.call_tool("answer", {"query": QUESTION})

    text = connected(work).content[0].text
    link = next(line.strip() for line in text.splitlines() if "#quote" in line)
    page = client.get(link.removeprefix(connected.address).removesuffix("#quote"))
    assert page.status_code == 200
    assert "Refunds take 14 days." in page.text


def test_sentences_are_told_as_progress_while_they_come(connected):
    seen = []

    async def progress(done, _total, message):
        seen.append((done, message))

    async def work(client):
        return await client.call_tool("answer", {"query": QUESTION}, progress_callback=progress)

    given = called(connected(work))
    assert "".join(message for _, message in seen) == given["answer"]
    assert [done for done, _ in seen] == list(range(1, len(given["sentences"]) + 1))


@MODES
def test_search_and_fetch_give_what_the_routes_give(connected, client, mode):
    async def work(client):
        found = await client.call_tool("search", {"query": "elephants", "filter": {"lang": "de"}, "mode": "lexical"})
        document = called(found)["results"][0]["document"]
        read = await client.call_tool("fetch", {"id": document["id"]})
        same = await client.call_tool("fetch", {"id": document["id"], "version": document["version"]})
        return found, read, same

    found, read, same = connected(work, mode)
    ranked = SearchResponse.model_validate(called(found))
    assert [one.document.id for one in ranked.results] == ["linked page"]
    assert (
        "1. Linked (linked page) https://example.org/a?b=1&c=2\nElephants sleep standing up." in found.content[0].text
    )
    document = DocumentResponse.model_validate(called(read))
    assert document.model_dump(mode="json") == client.get("/v1/documents/linked%20page").json()
    assert called(same) == called(read)
    assert "Elephants sleep standing up." in read.content[0].text


@pytest.mark.parametrize(
    ("tool", "arguments", "slug", "words"),
    [
        ("fetch", {"id": "docs/none.md"}, "not-found", "No document in the open snapshot has this id."),
        ("fetch", {"id": "secret/plan"}, "not-found", "No document in the open snapshot has this id."),
        ("fetch", {"id": "docs/refunds.md", "version": "0" * 64}, "version-gone", "No kept snapshot"),
        ("fetch", {"id": "docs/refunds.md", "version": "latest"}, "invalid-request", "version: String should match"),
        ("answer", {"query": "  \n"}, "invalid-request", "query: must not be empty"),
        ("answer", {}, "invalid-request", "query: Field required"),
        ("answer", {"query": "x" * 64_001}, "invalid-request", "must not be longer than 64000 bytes"),
        ("answer", {"query": "q", "messages": []}, "invalid-request", "messages: Extra inputs are not permitted"),
        ("search", {"query": "q", "top_k": 1_001}, "invalid-request", "top_k: Input should be less than or equal"),
        ("search", {"query": "q", "top_k": "5"}, "invalid-request", "top_k: Input should be a valid integer"),
        ("search", {"query": "q", "filter": {"a": {"$near": 1}}}, "invalid-filter", "'$near'"),
        ("search", {"query": "q", "deadline_ms": 0.000001}, "stage-overrun", "queue"),
    ],
)
def test_what_is_wrong_with_a_call_is_told_in_the_problems_words(connected, tool, arguments, slug, words):
    result = connected(lambda client: client.call_tool(tool, arguments))
    assert result.is_error
    assert result.structured_content is None
    assert words in result.content[0].text
    problem = result.meta["footnote.problem"]
    assert problem["type"] == f"urn:footnote:problem:{slug}"
    assert problem["request_id"] in result.content[0].text


def test_an_overrun_is_counted_as_on_the_other_routes(connected, monkeypatch):
    async def late(question, engine, deadline):  # as `search` has them
        deadline.record("passages", 1.0, deadline.clock() - 1, "timeout")
        raise StageOverrun("passages", 1.0)

    monkeypatch.setattr("service.mcp.tools.search", late)
    result = connected(lambda client: client.call_tool("search", {"query": "q"}))
    assert result.meta["footnote.problem"]["type"] == "urn:footnote:problem:stage-overrun"
    with urllib.request.urlopen(f"{connected.address}/metrics", timeout=10) as response:
        assert 'footnote_stage_overruns_total{stage="passages"} 1.0' in response.read().decode()


def test_what_nobody_foresaw_tells_nothing_of_itself(connected, monkeypatch, caplog):
    async def broken(*_):
        raise RuntimeError("/a/path and a secret")

    monkeypatch.setattr("service.mcp.tools.search", broken)
    result = connected(lambda client: client.call_tool("search", {"query": "what was asked"}))
    assert result.is_error
    assert "Something went wrong here" in result.content[0].text
    assert "secret" not in str(result)
    assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [True]
    assert "what was asked" not in caplog.text


def test_a_tool_that_there_is_not_is_an_error_of_the_protocol(connected):
    async def work(client):
        with pytest.raises(mcp.MCPError, match="There is no tool 'delete'; there are search, answer, fetch"):
            await client.call_tool("delete", {})

    connected(work)


def test_without_an_index_a_call_says_so(app_over, serve, tmp_path):
    address = f"http://127.0.0.1:{serve(app_over(tmp_path / 'none')).port}/mcp"

    async def work():
        async with mcp.Client(address) as client:
            return await client.call_tool("answer", {"query": "q"})

    result = asyncio.run(work())
    assert result.is_error
    assert "no snapshot is open yet" in result.content[0].text


def test_calls_run_side_by_side_and_each_gets_its_own_answer(connected):
    async def work(client):
        queries = [QUESTION, "Which Python is needed?", "elephants", "odd links"] * 4
        results = await asyncio.gather(*[client.call_tool("search", {"query": query}) for query in queries])
        return [(query, called(result)) for query, result in zip(queries, results, strict=True)]

    found = connected(work)
    tops = {
        query: {one["results"][0]["document"]["id"] for asked, one in found if asked == query} for query, _ in found
    }
    assert tops[QUESTION] == {"docs/refunds.md"}
    assert tops["elephants"] == {"linked page"}
    assert len({one["request_id"] for _, one in found}) == len(found)


def test_calls_share_the_places_of_the_routes(app_over, shared_index, serve, monkeypatch):
    app = app_over(shared_index, search_concurrency_max=1, admission_queue_max=0)
    address = f"http://127.0.0.1:{serve(app).port}/mcp"
    began, free = threading.Event(), threading.Event()

    async def slow(*_):
        began.set()
        await asyncio.to_thread(free.wait, 20)
        raise RuntimeError

    monkeypatch.setattr("service.mcp.tools.search", slow)

    async def work():
        async with mcp.Client(address) as client:
            first = asyncio.create_task(client.call_tool("search", {"query": "q"}))
            await asyncio.to_thread(began.wait, 20)
            second = await client.call_tool("search", {"query": "q"})
            free.set()
            await first
            return second

    refused = asyncio.run(work())
    assert refused.is_error
    assert "More is asked at the moment than can be answered in time" in refused.content[0].text


@pytest.fixture
def endless(monkeypatch):
    """An answer that is never whole; `.began` and `.closed` tell."""

    class Endless:
        began = threading.Event()
        closed = threading.Event()

    state = Endless()
    state.began, state.closed = threading.Event(), threading.Event()

    async def answer(*_):
        try:
            yield META
            state.began.set()
            await asyncio.sleep(60)
        finally:
            state.closed.set()

    monkeypatch.setattr("service.mcp.tools.answer", answer)
    return state


@MODES
def test_a_client_that_gives_up_a_call_or_leaves_stops_the_work(app, connected, endless, until, mode):
    async def work(client):
        call = asyncio.create_task(client.call_tool("answer", {"query": "q"}))
        await asyncio.to_thread(endless.began.wait, 10)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if mode == "auto":  # the older protocol has no way to tell a server without sessions but to leave
            assert await asyncio.to_thread(endless.closed.wait, 10)

    connected(work, mode)
    assert endless.closed.wait(10)
    until(lambda: app.state.service.holder._current.leases == 0)


@pytest.mark.parametrize("version", [None, "2025-06-18"])
def test_a_connection_that_breaks_stops_the_work(app, serve, endless, until, version):
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "answer", "arguments": {"query": "q"}},
    }
    data = json.dumps(body).encode()
    head = (
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\ncontent-length: {len(data)}\r\n"
    )
    head += "" if version is None else f"mcp-protocol-version: {version}\r\n"
    server = serve(app)
    opened = server.raw(head.encode() + b"\r\n" + data)
    assert endless.began.wait(10)
    opened.close()
    assert endless.closed.wait(10)
    until(lambda: app.state.service.holder._current.leases == 0)


HELLO = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream"}


def test_foreign_hosts_and_origins_are_refused(client):
    """A page of another site that resolves to this address must not reach the tools (DNS rebinding)."""
    foreign = client.post("/mcp", json=HELLO, headers=ACCEPT | {"host": "evil.example"})
    assert (foreign.status_code, foreign.json()["type"]) == (400, "urn:footnote:problem:bad-host")
    elsewhere = client.post("/mcp", json=HELLO, headers=ACCEPT | {"origin": "https://evil.example"})
    assert (elsewhere.status_code, elsewhere.json()["type"]) == (403, "urn:footnote:problem:forbidden-origin")


def test_bodies_have_the_limits_of_the_other_routes(client_over, shared_index):
    client = client_over(shared_index, body_bytes_max=500)
    large = client.post("/mcp", content=b" " * 501, headers=ACCEPT | {"content-type": "application/json"})
    assert (large.status_code, large.json()["type"]) == (413, "urn:footnote:problem:body-too-large")
    other = client.post("/mcp", content=b"{}", headers=ACCEPT | {"content-type": "text/plain"})
    assert (other.status_code, other.json()["type"]) == (415, "urn:footnote:problem:unsupported-media-type")


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', '{"jsonrpc": "2.0"}', "[" * 5_000, '{"id": 1e999}'])
@pytest.mark.parametrize("version", [None, "2025-06-18", "2026-07-28", "1999-01-01"])
def test_what_is_no_message_is_an_error_and_no_trace(client, body, version, caplog):
    headers = ACCEPT | {"content-type": "application/json"}
    headers |= {} if version is None else {"mcp-protocol-version": version}
    response = client.post("/mcp", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["code"] < 0
    assert "Traceback" not in response.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_are_no_sessions_to_listen_to_or_to_end(client, method):
    response = client.request(method, "/mcp", headers=ACCEPT)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


def test_without_the_extra_there_is_no_route(client_over, shared_index, monkeypatch):
    def missing(_name):
        raise PackageNotFoundError

    monkeypatch.setattr(routes_mcp, "version", missing)
    response = client_over(shared_index).post("/mcp", json=HELLO, headers=ACCEPT)
    assert (response.status_code, response.json()["type"]) == (404, "urn:footnote:problem:not-found")


def test_a_service_that_nobody_asks_for_tools_imports_nothing_for_them():
    program = "import sys, service.http.app, service.mcp.tools; print([n for n in sys.modules if n.startswith('mcp')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_service_ends_while_a_call_is_running(app, endless):
    """The server gives running requests some seconds; after that nothing may hold it up."""

    @asynccontextmanager
    async def running():
        async with app.router.lifespan_context(app):
            yield

    async def work():
        async with running():
            route = next(one for one in app.router.routes if getattr(one, "path", "") == "/mcp")
            await route.endpoint.__self__._started()
        assert route.endpoint.__self__._running.done()

    asyncio.run(work())
