"""What Prometheus is told is right, over all workers, and cannot be made to grow."""

from __future__ import annotations

import json
from pathlib import Path

import footnote_processes as processes
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.contract import StageReport
from service.holder import EngineHolder
from service.http.metrics import Metrics

QUESTION = {"query": "How long do refunds take?"}


def samples(text: str) -> dict[tuple, float]:
    """Values by name and sorted labels."""
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def total(found: dict[tuple, float], name: str, **labels: str) -> float:
    return sum(value for key, value in found.items() if key[0] == name and set(labels.items()) <= set(key[1:]))


@pytest.fixture
def with_model(client_over, shared_index, tmp_path):
    """A client of a service whose chat model fails every second time."""
    replies = [
        {"pieces": ["Refunds take 14 days [1]."], "prompt_tokens": 100, "completion_tokens": 10},
        {"pieces": [], "error": "server_error"},
    ]
    path = tmp_path / "script.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in replies))
    prices = {"scripted": {"prompt": 1e6, "completion": 2e6}}
    return client_over(
        shared_index, generator="scripted", generator_script=path, generator_prices=prices, abstain_below=0
    )


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_cost_calls_and_the_first_sentence_are_counted(with_model, stream):
    for _ in range(2):
        assert with_model.post("/v1/answer", json={**QUESTION, "stream": stream}).status_code == 200

    found = samples(with_model.get("/metrics").text)

    assert total(found, "footnote_generator_tokens_total", kind="prompt") == 100
    assert total(found, "footnote_generator_tokens_total", kind="completion") == 10
    assert total(found, "footnote_generator_cost_usd_total") == 120
    assert total(found, "footnote_generator_call_seconds_count", model="1:footnote", outcome="ok") == 1
    assert total(found, "footnote_generator_call_seconds_count", model="1:footnote", outcome="server_error") == 1
    assert total(found, "footnote_generator_first_text_seconds_count", model="1:footnote") == 1
    assert total(found, "footnote_first_sentence_seconds_count") == 2
    assert total(found, "footnote_degradations_total", stage="generate") == 1


def test_a_call_that_nobody_waits_for_any_more_is_counted_as_left(client_over, shared_index, tmp_path, serve, app_over):
    path = tmp_path / "script.jsonl"
    pieces = ["Refunds take 14 days [1]. ", "Write to the help desk"]
    path.write_text(json.dumps({"pieces": pieces, "stall": True}) + "\n")
    app = app_over(
        shared_index, generator="scripted", generator_script=path, abstain_below=0, generator_between_ms=60_000
    )
    server = serve(app)
    response = server.post("/v1/answer", {**QUESTION, "stream": True})
    while b"event: sentence" not in response.readline():  # by then the model was called
        pass
    for one in server.connections:
        one.close()

    def left() -> bool:
        text = server.raw(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").makefile().read()
        return 'footnote_generator_call_seconds_count{model="1:footnote",outcome="left"} 1.0' in text

    processes.wait(left)


def test_a_stage_that_overran_is_counted():
    metrics = Metrics(EngineHolder())
    metrics.stages([StageReport(name="rerank", budget_ms=5, took_ms=6, outcome="timeout")], [])
    metrics.stages([StageReport(name="rerank", budget_ms=5, took_ms=2, outcome="ok")], [])

    assert total(samples(metrics.render().decode()), "footnote_stage_overruns_total", stage="rerank") == 1


@pytest.mark.parametrize(
    ("path", "body", "stage"),
    [
        ("/v1/search", {"mode": "dense"}, "dense"),
        ("/v1/search", {}, "lexical"),
        ("/v1/answer", {"mode": "lexical"}, "lexical"),
        ("/v1/answer", {"mode": "lexical", "stream": True}, "lexical"),
    ],
)
def test_an_overrun_that_ends_as_an_error_is_counted_once(client_over, shared_index, path, body, stage):
    client = client_over(shared_index, budgets=True, dense_budget_ms=0.001, lexical_budget_ms=0.001)
    assert client.post(path, json=QUESTION | body).status_code == (200 if "stream" in body else 504)
    found = samples(client.get("/metrics").text)
    assert total(found, "footnote_stage_overruns_total", stage=stage) == 1
    assert total(found, "footnote_stage_seconds_count", stage=stage, outcome="timeout") == 1


def test_no_caller_can_add_series(with_model):
    """Paths, methods, header values, models, ids and bodies are the caller's: none becomes a label."""

    def hostile(number: int) -> None:
        word = f'x{number}"\\n{"y" * number}'
        with_model.get(f"/{word}/{word}")
        with_model.get(f"/v1/documents/{word}")
        with_model.get(f"/s/{number:064x}/{number}-{number + 1}")
        with_model.get(f"/page/{word}/{word}.js")
        with_model.request(f"BREW{number}", "/v1/search")
        with_model.request(f"BREW{number}", f"/{word}")
        told = {"x-request-id": f"id-{number}", "host": f"h{number}.example", "origin": f"http://o{number}.example"}
        with_model.post("/v1/search", json=QUESTION, headers=told)
        with_model.post("/v1/search", json={"query": f"refunds {number}", "mode": f"m{number}", "model": word})
        with_model.post("/v1/answer", json={**QUESTION, "model": word, "guardrail": word})
        with_model.post("/v1/answer", json={"messages": [{"role": word, "content": word}]})
        with_model.post("/v1/search", json={"query": word, "filter": {word: word}})
        with_model.post("/v1/answer", json={"query": f"refunds {number}"})

    for number in range(4):
        hostile(number)
    with_model.get("/metrics")
    before = set(samples(with_model.get("/metrics").text))
    for number in range(4, 24):
        hostile(number)
    after = set(samples(with_model.get("/metrics").text))

    assert after == before
    assert len(after) < 1_500


@pytest.mark.slow
def test_totals_are_over_all_workers_and_one_that_is_killed_takes_nothing_away(shared_index, tmp_path):
    with processes.serving(shared_index, "--workers", "2", cwd=tmp_path, budgets="false") as one:

        def told() -> dict[tuple, float]:
            return samples(one.request("GET", "/metrics")[2])

        def searches(found: dict[tuple, float]) -> tuple[float, float]:
            route = {"route": "/v1/search"}
            return (
                total(found, "footnote_http_requests_total", status="200", **route),
                total(found, "footnote_http_request_seconds_count", **route),
            )

        for _ in range(30):
            assert one.request("POST", "/v1/search", QUESTION)[0] == 200
        processes.wait(lambda: total(told(), "footnote_workers") == 2)
        before = told()
        assert searches(before) == (30, 30)
        assert total(before, "footnote_admission_limit", pool="answer") > 0
        assert total(before, "footnote_ready") == 1

        for number in (1, 2):
            victim = one.workers()[0]
            victim.kill()
            processes.wait(
                lambda: len(one.workers()) == 2 and total(told(), "footnote_worker_deaths_total") == number  # noqa: B023
            )
            assert searches(told()) == (30, 30)
        for _ in range(10):
            assert one.request("POST", "/v1/search", QUESTION)[0] == 200
        processes.wait(lambda: total(told(), "footnote_workers") == 2)
        after = told()

        assert searches(after) == (40, 40)
        assert total(after, "footnote_stage_seconds_count", stage="lexical") == 40
        assert after.keys() >= before.keys()
        assert {key[0] for key in after} == {key[0] for key in before}
        assert not any("pid" in dict(key[1:]) for key in after)
        environment = psutil.Process(one.workers()[0].pid).environ()
        folder = Path(environment["PROMETHEUS_MULTIPROC_DIR"])
        assert len(list(folder.glob("counter_*.db"))) == 3  # two that live, and all that ended
        one.tell(processes.TERM)
        assert one.ended() == 0
        assert not folder.exists()
