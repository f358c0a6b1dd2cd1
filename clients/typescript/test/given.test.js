// Whole streams that the service's own code made, beside its JSON answers: one a line of the file FOOTNOTE_GIVEN.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const { EventParser, Fold, Footnote, fold, inUtf16, sourceSpan, Utf16 } = await import(process.env.FOOTNOTE_CLIENT);
const given = readFileSync(process.env.FOOTNOTE_GIVEN, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));

function eventsOf(bytes, cuts = []) {
  const parser = new EventParser();
  const bounds = [0, ...cuts.map((one) => Math.min(one, bytes.length)).sort((a, b) => a - b), bytes.length];
  return bounds.slice(1).flatMap((end, index) => [...parser.feed(bytes.subarray(bounds[index], end))]);
}

test("events fold to the JSON answer however they are cut", () => {
  assert.ok(given.length >= 50);
  for (const { frames, json, cuts } of given) {
    const events = eventsOf(Buffer.from(frames.join("")), cuts);
    assert.deepEqual(events.map((one) => one.id), frames.map((_, index) => index + 1));
    assert.deepEqual(fold(events), json);
  }
});

test("what was put together on the way is the answer before its end", () => {
  for (const { frames, json } of given) {
    const made = new Fold();
    for (const event of eventsOf(Buffer.from(frames.slice(0, -1).join("")))) made.add(event);
    assert.equal(made.text, json.answer);
    assert.deepEqual(made.citations, json.citations);
    assert.equal(made.complete, false);
    assert.throws(() => made.answer(), /not complete/);
  }
});

test("in UTF-16 offsets slice what they say, where code points do not", () => {
  let differ = 0;
  for (const { frames, json } of given) {
    const answer = inUtf16(fold(eventsOf(Buffer.from(frames.join("")))));
    answer.citations.forEach((one, index) => {
      assert.equal(answer.answer.slice(one.answer_start, one.answer_end), one.quote);
      assert.equal(answer.answer.slice(one.marker_start, one.marker_end), `[${one.marker}]`);
      assert.equal(one.quote.slice(...sourceSpan(one.quote, one)), one.quote);
      const points = json.citations[index];
      differ += points.answer_end !== one.answer_end;
      assert.equal(points.source_end, one.source_end);
    });
    assert.equal(answer.sentences.map((one) => answer.answer.slice(one.start, one.end)).join(""), json.answer);
  }
  assert.ok(differ > 0);
});

test("offsets go both ways, and not to where there is none", () => {
  for (const { json } of given) {
    const at = new Utf16(json.answer);
    const starts = [0];
    for (const one of json.answer) starts.push(starts.at(-1) + one.length);
    starts.forEach((unit, point) => {
      assert.equal(at.offset(point), unit);
      assert.equal(at.codePoints(unit), point);
    });
    for (let unit = 0; unit < json.answer.length; unit++) {
      if (!starts.includes(unit)) assert.throws(() => at.codePoints(unit), /inside/);
    }
    for (const outside of [-1, starts.length, NaN]) assert.throws(() => at.offset(outside), RangeError);
    for (const outside of [-1, json.answer.length + 1]) assert.throws(() => at.codePoints(outside), /outside/);
  }
});

/** A service that keeps one answer, over connections that break after `cuts` bytes. */
function resumable({ frames, cuts }, clean, refusals = []) {
  const left = [...cuts];
  const asked = [];
  const fetch = async (url, init) => {
    let after = 0;
    const headers = { "x-request-id": "r" };
    if (init.method === "POST") {
      assert.deepEqual(JSON.parse(init.body), { query: "q", stream: true, resumable: true });
      headers["x-resume-token"] = "t";
    } else {
      assert.ok(url.endsWith("/v1/answers/r/events"));
      assert.equal(init.headers["x-resume-token"], "t");
      after = Number(init.headers["last-event-id"] ?? 0);
      asked.push(after);
      const refusal = refusals.shift();
      if (refusal === "away") throw new TypeError("fetch failed");
      if (refusal !== undefined) {
        const body = { type: `urn:footnote:problem:x`, title: "t", status: refusal, detail: "d", request_id: "r" };
        return new Response(refusal === 204 ? null : JSON.stringify(body), { status: refusal, headers: { "retry-after": "0" } });
      }
    }
    const bytes = Buffer.from(frames.slice(after).join(""));
    const cut = left.shift() ?? bytes.length;
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.subarray(0, cut));
        if (cut >= bytes.length || clean) controller.close();
      },
      pull(controller) {
        controller.error(new TypeError("terminated"));
      },
    });
    return new Response(body, { status: 200, headers });
  };
  return { client: new Footnote("http://service", { fetch, pausesMs: Array(7).fill(0) }), asked };
}

test("a resumable stream is whole wherever its connections break", async () => {
  for (const one of given) {
    for (const clean of [false, true]) {
      const { client, asked } = resumable(one, clean);
      const stream = client.stream("q", { resumable: true });
      const ids = [];
      for await (const event of stream) ids.push(event.id);
      assert.deepEqual(ids, one.frames.map((_, index) => index + 1));
      assert.deepEqual(await stream.answer(), one.json);
      assert.deepEqual(asked, [...asked].sort((a, b) => a - b));
    }
  }
});

test("what is gone is said, what is away is asked for again, and not for ever", async () => {
  const one = { frames: given[0].frames, cuts: [60] };
  const ask = (refusals) => {
    const { client, asked } = resumable(one, false, refusals);
    return { answer: client.stream("q", { resumable: true }).answer(), asked };
  };
  for (const status of [404, 409, 410]) {
    const { answer, asked } = ask(Array(9).fill(status));
    await assert.rejects(answer, { name: "ProblemError", status });
    assert.equal(asked.length, 1);
  }
  const read = ask([204]);
  await assert.rejects(read.answer, { name: "StreamBroken", message: /read before/ });
  const away = ask(["away", 503, "away"]);
  assert.deepEqual(await away.answer, given[0].json);
  assert.equal(away.asked.length, 4);
  const forEver = ask(Array(99).fill("away"));
  await assert.rejects(forEver.answer, { name: "StreamBroken", message: /7 attempts/ });
  assert.equal(forEver.asked.length, 7);
});

test("what is no event of a Footnote breaks the stream", async () => {
  const fetch = async () => new Response("event: meta\ndata: <html>\n\n", { status: 200 });
  await assert.rejects(new Footnote("http://service", { fetch }).stream("q").answer(), { name: "StreamBroken", message: /no JSON/ });
  await assert.rejects(new Footnote("http://service", { fetch }).ready(), { name: "ConnectionFailed", message: /no JSON/ });
});

test("a new kind of event is let through, and lines may end as the standard allows", () => {
  const kinds = "event: later\rdata: [1]\r\r";
  for (const end of ["\n", "\r\n", "\r"]) {
    const text = `\ufeff: ping\n\nevent: sentence\ndata: {\ndata:}\nid: 3\nretry: 5\n\n`.replaceAll("\n", end) + "\n" + kinds + "\n";
    const bytes = Buffer.from(text);
    for (let cut = 0; cut < bytes.length; cut++) {
      const events = eventsOf(bytes, [cut]);
      assert.deepEqual(events, [
        { name: "sentence", id: 3, data: {} },
        { name: "later", id: null, data: [1] },
      ]);
      const made = new Fold();
      made.add(events[1]);
    }
  }
});
