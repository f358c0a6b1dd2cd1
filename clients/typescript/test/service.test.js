// Against the running service at FOOTNOTE_URL.

import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";

const { ConnectionFailed, Footnote, inUtf16, ProblemError, sourceSpan, StreamBroken, TimedOut } = await import(
  process.env.FOOTNOTE_CLIENT
);
const footnote = new Footnote(process.env.FOOTNOTE_URL);
const QUESTION = "How long do refunds take?";

test("search, answer, document, index and ready", async () => {
  const found = await footnote.search(QUESTION, { top_k: 1, filter: { path: "refunds.md" } });
  assert.equal(found.results[0].document.id, "docs/refunds.md");
  const answer = await footnote.answer(QUESTION);
  assert.equal(answer.verdict, "grounded");
  for (const citation of answer.citations) {
    const { text } = await footnote.document(citation.document_id, citation.document_version);
    assert.equal(text.slice(...sourceSpan(text, citation)), citation.quote);
  }
  assert.equal((await footnote.index()).documents, 5);
  assert.equal((await footnote.ready()).status, "ready");
});

test("the stream folds to what the answer is without a stream", async () => {
  for (const resumable of [false, true]) {
    const asked = [{ role: "user", content: QUESTION }];
    const stream = footnote.stream(asked, { resumable });
    const { request_id, stages, ...streamed } = await stream.answer();
    const { request_id: _id, stages: _stages, ...whole } = await footnote.answer(asked);
    assert.deepEqual(streamed, whole);
    assert.equal(stream.requestId, request_id);
    assert.ok(stages.length > 0);
    assert.equal(stream.resumeToken !== null, resumable);
    if (!resumable) continue;
    const rest = [];
    for await (const event of footnote.resume(stream.requestId, stream.resumeToken, 2)) rest.push(event.name);
    assert.deepEqual(rest, ["sentence", "done"]);
    await assert.rejects(footnote.resume(stream.requestId, stream.resumeToken, 4).answer(), StreamBroken);
    await assert.rejects(footnote.resume(stream.requestId, "guessed").answer(), { status: 404, slug: "not-found" });
    await assert.rejects(footnote.stop(stream.requestId, "guessed"), { status: 404, slug: "not-found" });
    assert.equal(await footnote.stop(stream.requestId, stream.resumeToken), undefined);
    await assert.rejects(footnote.resume(stream.requestId, stream.resumeToken).answer(), { status: 410, slug: "answer-gone" });
  }
});

test("offsets of an answer with characters beyond the first plane", async () => {
  const answer = inUtf16(await footnote.answer("Zürich 東京 pays too"));
  assert.ok(answer.answer.includes("\u{1f600}"), answer.answer);
  for (const one of answer.citations) {
    assert.equal(answer.answer.slice(one.marker_start, one.marker_end), `[${one.marker}]`);
  }
});

test("problems are typed", async () => {
  await assert.rejects(footnote.search("q", { top_k: 0 }), (error) => {
    assert.ok(error instanceof ProblemError);
    assert.deepEqual([error.status, error.slug, error.problem.errors[0].loc], [422, "invalid-request", ["top_k"]]);
    return true;
  });
  await assert.rejects(footnote.stream(" ").answer(), { status: 422 });
  await assert.rejects(footnote.document("no/such document?#"), { status: 404 });
  await assert.rejects(footnote.answer("q", { deadline_ms: 0.001 }), { status: 504 });
  await assert.rejects(new Footnote("http://127.0.0.1:9").ready(), ConnectionFailed);
});

test("silence is timed out, and a signal ends a call", async () => {
  const silent = http.createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.on("listening", resolve));
  const client = new Footnote(`http://127.0.0.1:${silent.address().port}`, { timeoutMs: 50 });
  await assert.rejects(client.ready(), TimedOut);
  await assert.rejects(client.stream("q").answer(), TimedOut);
  const controller = new AbortController();
  const patient = new Footnote(`http://127.0.0.1:${silent.address().port}`);
  setTimeout(() => controller.abort(new Error("enough")), 20);
  await assert.rejects(patient.stream("q", { signal: controller.signal, resumable: true }).answer(), /enough/);
  await assert.rejects(patient.ready({ signal: AbortSignal.abort(new Error("never")) }), /never/);
  silent.closeAllConnections();
  silent.close();
});

test("a real service is read on where the connection broke", async () => {
  let cut = 1;
  let size = Infinity;
  const broken = async (url, init) => {
    const response = await fetch(url, init);
    if (init.method !== "POST") return response;
    let left = cut;
    const body = response.body.pipeThrough(
      new TransformStream({
        transform(chunk, controller) {
          controller.enqueue(chunk.subarray(0, left));
          left -= chunk.length;
          if (left <= 0) controller.error(new TypeError("terminated"));
        },
      }),
    );
    return new Response(body, { status: response.status, headers: response.headers });
  };
  const client = new Footnote(process.env.FOOTNOTE_URL, { fetch: broken });
  for (; cut < size; cut += 397) {
    const stream = client.stream(QUESTION, { resumable: true });
    const answer = await stream.answer();
    assert.deepEqual([answer.verdict, stream.lastEventId], ["grounded", 4]);
    size = JSON.stringify(answer).length * 2;
  }
  await assert.rejects(new Footnote(process.env.FOOTNOTE_URL, { fetch: (...given) => ((cut = 60), broken(...given)) }).stream(QUESTION).answer(), {
    name: "StreamBroken",
    message: /not resumable/,
  });
});

test("leaving the loop closes the connection, and a stream is read once", async () => {
  const stream = footnote.stream(QUESTION);
  for await (const event of stream) {
    assert.equal(event.name, "meta");
    break;
  }
  await assert.rejects(stream.answer(), /once/);
});
