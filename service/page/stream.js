// POST /v1/answer as events. Nothing here knows what events mean.

/** What the service said instead of an answer: a problem document (RFC 9457), or one of the same shape. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }
}

/** Events {name, data} of an answer, as they come. Throws Refused, and AbortError when `signal` ends it. */
export async function* ask(body, signal) {
  let response;
  try {
    response = await fetch("v1/answer", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({ ...body, stream: true }),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused({ title: "The service cannot be reached", detail: "It did not answer. Is it running?" });
  }
  if (!response.ok) throw new Refused(await problemOf(response));
  let terminal = false;
  try {
    for await (const event of parse(response.body)) {
      terminal ||= event.name === "done" || event.name === "error";
      yield event;
    }
  } catch (error) {
    if (signal.aborted || error instanceof SyntaxError) throw error;
  }
  if (!terminal) throw new Refused({ title: "The connection was lost", detail: "The answer broke off before its end." });
}

/** Server-sent events of a body: `event`, `data`; comments are pings. */
export async function* parse(body) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of pieces(body)) {
    rest += decoder.decode(chunk, { stream: true });
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const event = eventOf(block);
      if (event !== null) yield event;
    }
  }
}

async function* pieces(body) {
  const reader = body.getReader(); // streams are not iterable in every browser
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function eventOf(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
}

async function problemOf(response) {
  const after = response.headers.get("retry-after");
  try {
    return { ...(await response.json()), after };
  } catch {
    return { title: `The service answered ${response.status}`, detail: response.statusText, after };
  }
}
