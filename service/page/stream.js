// POST /v1/answer as events. Nothing here knows what events mean.

/** What the service said instead of an answer: a problem document (RFC 9457), or one of the same shape. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }
}

const AGAIN_MS = [300, 1000, 2000, 4000, 8000, 8000]; // an answer that nobody reads is kept for 30 s

/** Events {name, data} of an answer, as they come. Throws Refused, and AbortError when `signal` ends it, and the work with it.
 *
 * resumable: where the connection breaks the answer is taken up where it broke off; `lost` and `back` events tell of it.
 */
export async function* ask(body, signal, { resumable = false } = {}) {
  let response = await post({ ...body, stream: true, ...(resumable ? { resumable } : {}) }, signal);
  if (resumable && response.status === 409) response = await post({ ...body, stream: true }, signal); // not with these workers
  if (!response.ok) throw new Refused(await problemOf(response));
  const [token, request] = ["x-resume-token", "x-request-id"].map((name) => response.headers.get(name));
  const stop = () => void stopped(request, token);
  if (token) signal.addEventListener("abort", stop);
  let last = null;
  try {
    for (;;) {
      try {
        for await (const event of parse(response.body)) {
          if (event.id !== null && last !== null && event.id <= last) continue;
          last = event.id ?? last;
          yield event;
          if (event.name === "done" || event.name === "error") return;
        }
      } catch (error) {
        if (signal.aborted || error instanceof SyntaxError) throw error;
      }
      if (!token) throw brokenOff();
      yield { name: "lost", data: null };
      response = await resumed(request, token, last, signal);
      yield { name: "back", data: null };
    }
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Tell the service that nobody wants an answer any more; where that cannot be told it ends by itself after a while. */
async function stopped(request, token) {
  const asked = { method: "DELETE", headers: { "x-resume-token": token }, keepalive: true };
  await fetch(`v1/answers/${encodeURIComponent(request)}`, asked).catch(() => undefined);
}

async function post(body, signal) {
  try {
    return await fetch("v1/answer", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused({ title: "The service cannot be reached", detail: "It did not answer. Is it running?" });
  }
}

/** What follows event `last` of an answer, once the service can be reached again. */
async function resumed(request, token, last, signal) {
  for (const wait of AGAIN_MS) {
    await pause(wait, signal);
    let response;
    try {
      response = await fetch(`v1/answers/${encodeURIComponent(request)}/events`, {
        headers: { accept: "text/event-stream", "x-resume-token": token, ...(last === null ? {} : { "last-event-id": String(last) }) },
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw error;
      continue;
    }
    if (response.status === 200) return response;
    if (response.status < 500) break; // it is not kept any more
  }
  throw brokenOff();
}

/** So many milliseconds, or less where the network comes back meanwhile. */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", stop);
      resolve();
    };
    const stop = () => (end(), reject(signal.reason));
    const timer = setTimeout(end, milliseconds);
    addEventListener("online", end);
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
  });
}

function brokenOff() {
  return new Refused({ title: "The connection was lost", detail: "The answer broke off before its end." });
}

/** Server-sent events of a body: `event`, `data`, and `id` as a number; comments are pings. */
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
  let id = null;
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && /^\d+$/.test(value)) id = Number(value);
  }
  return data.length ? { name, id, data: JSON.parse(data.join("\n")) } : null;
}

async function problemOf(response) {
  const after = response.headers.get("retry-after");
  try {
    return { ...(await response.json()), after };
  } catch {
    return { title: `The service answered ${response.status}`, detail: response.statusText, after };
  }
}
