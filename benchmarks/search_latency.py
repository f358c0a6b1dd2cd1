"""What one client waits for `POST /v1/search`, warm, and what the service adds to the work it must do.

    python -m benchmarks.search_latency ../shared/data/scifact

starts the service on the set's index (made by `footnote evaluate SET` if it is not there yet) and asks every judged
question once after a warm-up, on one kept-alive connection. Overhead is the whole request less the embedding and the
slower leg, as the response's own stages report them. A control runs in the same minute: /healthz, which does nothing.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time

from evaluation.measures import percentile
from evaluation.run import index_of
from evaluation.sets import read_set
from evaluation.settings import EvaluationSettings
from indexer.progress import Lines
from indexer.settings import IndexerSettings


def main() -> None:
    questions = read_set(sys.argv[1])
    index = index_of(questions, EvaluationSettings(), IndexerSettings(), Lines())
    command = [sys.executable, "-m", "footnote", "serve", "--port", "0", "--index", str(index)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port)
        texts = [one.text for one in questions.judged]
        for text in texts[:50]:
            search(connection, text)
        whole, overhead, control, degraded = [], [], [], 0
        for text in texts:
            took_ms, body = search(connection, text)
            stages = {stage["name"]: stage["took_ms"] for stage in body["stages"]}
            whole.append(took_ms)
            overhead.append(took_ms - stages["embed"] - max(stages["dense"], stages["lexical"]))
            degraded += bool(body["degraded"])
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            control.append((time.perf_counter() - began) * 1000)
    finally:
        server.terminate()
        server.wait(20)
    print(f"{len(whole)} questions of {questions.name}, one client, warm; {degraded} degraded")
    for name, values in (("/v1/search", whole), ("overhead", overhead), ("/healthz (control)", control)):
        print(f"{name:>20}: p50 {percentile(values, 50):6.2f} ms   p99 {percentile(values, 99):6.2f} ms")


def search(connection: http.client.HTTPConnection, text: str) -> tuple[float, dict]:
    began = time.perf_counter()
    connection.request(
        "POST", "/v1/search", json.dumps({"query": text, "mode": "hybrid"}), {"content-type": "application/json"}
    )
    data = connection.getresponse().read()
    return (time.perf_counter() - began) * 1000, json.loads(data)


if __name__ == "__main__":
    main()
