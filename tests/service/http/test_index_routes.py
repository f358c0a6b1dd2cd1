"""Health, readiness, the index's facts, reloading, metrics, and the log."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from contextlib import closing

import pytest

from service.http import serve
from service.http.models import IndexResponse
from service.http.reload import Watcher
from service.settings import ServiceSettings
from service.wiring import Service
from store.index import IndexDirectory


def kind(response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].removeprefix("urn:footnote:problem:")


def change(own_index, text: str) -> None:
    (own_index.sources / "docs" / "refunds.md").write_text(text)
    own_index.rebuild()


def test_without_an_index_the_service_lives_and_says_why_it_is_not_ready(client_over, tmp_path):
    client = client_over(tmp_path / "none")
    assert client.get("/healthz").json()["status"] == "ok"
    response = client.get("/readyz")
    assert kind(response) == (503, "index-missing")
    assert "there is no index at" in response.json()["detail"]
    for path in ("/v1/index", "/v1/documents/x", f"/s/{'0' * 64}/0-3"):
        assert kind(client.get(path)) == (503, "index-missing")
    assert kind(client.post("/v1/search", json={"query": "a"})) == (503, "index-missing")
    assert kind(client.post("/v1/index/reload")) == (503, "index-missing")
    assert "Not ready" in client.get("/").text
    assert "footnote_ready 0.0" in client.get("/metrics").text


def test_it_becomes_ready_by_itself_once_an_index_is_there(client_over, own_index, until):
    moved = own_index.folder.rename(own_index.folder.with_name("elsewhere"))
    client = client_over(own_index.folder)
    assert client.get("/readyz").status_code == 503
    moved.rename(own_index.folder)
    until(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/readyz").json() == {"status": "ready", "generation": 1, "degraded": []}


@pytest.mark.parametrize("damage", [b"", b"nonsense\n", b"000001-00000000 " + b"0" * 64 + b"\n"])
def test_a_damaged_current_is_named_in_readiness_while_a_kept_snapshot_is_served(client_over, own_index, damage):
    (own_index.folder / "CURRENT").write_bytes(damage)
    client = client_over(own_index.folder)
    ready = client.get("/readyz").json()
    assert ready["generation"] == 1
    assert "CURRENT is damaged" in ready["degraded"][0]


def test_where_no_snapshot_verifies_the_service_lives_and_readiness_names_the_damage(client_over, own_index):
    (stored,) = (own_index.folder / "snapshots").glob("*/vectors.f32")
    stored.write_bytes(b"")
    client = client_over(own_index.folder)
    assert client.get("/healthz").status_code == 200
    assert kind(client.get("/readyz")) == (503, "index-missing")
    assert "vectors.f32 is damaged" in client.get("/readyz").json()["detail"]


def test_a_damaged_file_of_a_new_snapshot_leaves_the_old_one_serving(client_over, own_index, until):
    client = client_over(own_index.folder, reload_poll_ms=60_000)
    change(own_index, "# Refunds\n\nRefunds take 3 days.\n")
    (newest,) = [one for one in IndexDirectory(own_index.folder).published() if one.name.startswith("000002")]
    stored = newest / "passages.sqlite"
    data = bytearray(stored.read_bytes())
    data[-1] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(data)
    assert kind(client.post("/v1/index/reload")) == (500, "store-corrupt")
    assert client.get("/readyz").json()["generation"] == 1
    assert client.post("/v1/search", json={"query": "refunds"}).json()["generation"] == 1


def test_a_start_on_a_damaged_snapshot_serves_the_one_before_and_says_so_everywhere(
    client_over, own_index, caplog, capsys, until
):
    change(own_index, "# Refunds\n\nRefunds take 3 days.\n")
    damaged = IndexDirectory(own_index.folder).published()[-1] / "passages.sqlite"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with caplog.at_level(logging.WARNING):
        client = client_over(own_index.folder)
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["generation"]) == ("ready", 1)
    (note,) = ready["degraded"]
    assert note.startswith("serving generation 1: generation 2 is damaged: ")
    assert "passages.sqlite is damaged: expected sha256" in note
    assert client.get("/v1/index").json()["degraded"] == [note]
    assert "serving generation 1" in client.get("/").text
    assert samples(client)["footnote_snapshot_fallback"] == 1
    assert note in [one.getMessage() for one in caplog.records]
    assert client.post("/v1/search", json={"query": "refunds"}).json()["generation"] == 1
    serve._announce(client.app.state.service.settings, 8000, client.app.state.service)
    assert note in capsys.readouterr().out

    change(own_index, "# Refunds\n\nRefunds take 4 days.\n")
    until(lambda: client.get("/readyz").json()["generation"] == 3)
    assert client.get("/readyz").json()["degraded"] == client.get("/v1/index").json()["degraded"] == []
    assert samples(client)["footnote_snapshot_fallback"] == 0


def test_reload_opens_what_was_published_and_says_if_there_was_nothing_new(client_over, own_index):
    client = client_over(own_index.folder, reload_poll_ms=60_000)
    assert client.post("/v1/index/reload").json() == {"generation": 1, "reloaded": False}
    change(own_index, "# Refunds\n\nRefunds take 3 days.\n")
    assert client.get("/readyz").json()["generation"] == 1
    assert client.post("/v1/index/reload").json() == {"generation": 2, "reloaded": True}
    assert "3 days" in client.post("/v1/search", json={"query": "refunds"}).text


def test_reloads_that_wait_leave_searches_alone(client_over, own_index):
    client = client_over(own_index.folder, reload_poll_ms=60_000)
    service = client.app.state.service
    reloads = [threading.Thread(target=client.post, args=("/v1/index/reload",)) for _ in range(8)]
    with service._guard:  # one of them is opening a large index
        for one in reloads:
            one.start()
        found = client.post("/v1/search", json={"query": "refunds", "deadline_ms": 10_000})
    for one in reloads:
        one.join(10)
    assert found.status_code == 200
    assert len(found.json()["results"]) > 0


def test_looking_for_snapshots_goes_on_whatever_opening_and_falling_back_raise(own_index, monkeypatch, caplog):
    with closing(Service(ServiceSettings(index=own_index.folder))) as service:

        def broken(*_):
            raise OSError(5, "Input/output error")

        for name in ("require_current", "published"):
            monkeypatch.setattr(service.index, name, broken)
        watcher = Watcher(service)
        asyncio.run(watcher.look())
        assert "the index cannot be opened" in caplog.text
        assert "no kept snapshot can be opened either" in caplog.text
        monkeypatch.undo()
        watcher._retry_at = 0.0
        asyncio.run(watcher.look())
        assert service.holder.generation == 1


def test_a_publish_and_a_rollback_are_noticed_without_being_told(client_over, own_index, until):
    client = client_over(own_index.folder)
    change(own_index, "# Refunds\n\nRefunds take 3 days.\n")
    until(lambda: client.get("/readyz").json()["generation"] == 2)
    directory = IndexDirectory(own_index.folder)
    with directory.lock():
        directory.rollback(1)
    until(lambda: client.get("/readyz").json()["generation"] == 1)


def test_with_an_admin_token_only_its_holder_may_reload(client_over, shared_index):
    client = client_over(shared_index, admin_token="s3cret")
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "s3cret"},
        {"authorization": b"Bearer \xff"},
    ):
        response = client.post("/v1/index/reload", headers=headers)
        assert kind(response) == (401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
        assert "s3cret" not in response.text
    assert client.post("/v1/index/reload", headers={"authorization": "Bearer s3cret"}).status_code == 200
    assert client.post("/v1/search", json={"query": "a"}).status_code == 200


def test_what_cannot_be_opened_is_not_tried_again_at_every_look(client_over, own_index, caplog):
    (own_index.folder / "CURRENT").write_bytes(b"000001-00000000 " + b"0" * 64 + b"\n")
    client = client_over(own_index.folder, reload_poll_ms=1)
    with caplog.at_level(logging.WARNING, "footnote.http"):
        for _ in range(50):
            client.get("/readyz")
    assert sum("cannot be opened" in one.getMessage() for one in caplog.records) <= 1


def test_the_index_tells_what_both_sides_agree_on(client, shared_index):
    found = IndexResponse.model_validate(client.get("/v1/index").json())
    manifest = json.loads(next((shared_index / "snapshots").glob("*/manifest.json")).read_text())
    assert (found.generation, found.documents, found.passages) == (1, 5, 5)
    assert found.fingerprint == found.space.fingerprint
    assert (found.space.model, found.space.dimension) == ("hash:64", 64)
    assert (found.analyzer, found.created_at) == (manifest["analyzer"], manifest["created_at"])
    assert found.vector_index.model_dump() == manifest["vector_index"]
    assert found.recall_at_10 == 1.0


def samples(client) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_count_requests_by_template_and_status_and_time_stages(client):
    client.post("/v1/search", json={"query": "refunds"})
    client.post("/v1/search", json={})
    client.post("/v1/answer", json={"query": "refunds", "rerank": True})
    found = samples(client)
    assert found['footnote_http_requests_total{method="POST",route="/v1/search",status="200"}'] == 1
    assert found['footnote_http_requests_total{method="POST",route="/v1/search",status="422"}'] == 1
    assert found['footnote_http_request_seconds_count{route="/v1/search"}'] == 2
    assert found['footnote_stage_seconds_count{outcome="ok",stage="lexical"}'] == 2
    assert found['footnote_degradations_total{stage="rerank"}'] == 1
    assert sum(value for name, value in found.items() if name.startswith("footnote_answers_total")) == 1
    assert (found["footnote_ready"], found["footnote_snapshot_generation"]) == (1, 1)


def test_what_clients_make_up_adds_no_series(client):
    client.get("/metrics")
    client.request("BREW", "/pot")
    before = set(samples(client))
    for number in range(20):
        client.get(f"/made/up/{number}")
        client.get(f"/v1/documents/{number}")
        client.get(f"/s/{number:064}/0-{number}")
        client.request(f"BREW{number}", "/pot")
    added = {name for name in set(samples(client)) - before if not name.startswith("python")}
    assert all(str(number) not in name for name in added for number in (17, 18, 19)), added
    assert len([name for name in added if "_total" in name]) <= 4


def test_two_applications_count_apart(client_over, shared_index):
    one, other = client_over(shared_index), client_over(shared_index)
    one.get("/healthz")
    assert not any("/healthz" in name for name in samples(other))


def test_the_log_has_one_line_a_request_and_never_the_question(client, caplog):
    with caplog.at_level(logging.INFO, "footnote.http"):
        response = client.post("/v1/search?token=hunter2", json={"query": "private matters"})
        client.get("/v1/documents/private%20document")
        client.get("/private/path")
    lines = [one.getMessage() for one in caplog.records]
    assert len(lines) == 3
    assert lines[0].startswith("POST /v1/search 200 ")
    assert lines[0].endswith(f" ms {response.headers['x-request-id']}")
    assert lines[2].startswith("GET unmatched 404 ")
    assert "private" not in "".join(lines)
    assert "hunter2" not in "".join(lines)


def test_the_end_of_the_application_closes_the_snapshot(app_over, shared_index):
    from starlette.testclient import TestClient

    app = app_over(shared_index)
    with TestClient(app) as client:
        assert client.get("/readyz").status_code == 200
    assert not app.state.service.holder.ready
