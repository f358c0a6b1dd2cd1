// The client: requests, and streams that read on by themselves.

import { ConnectionFailed, errorOf, FootnoteError, ProblemError, StreamBroken, TimedOut } from "./errors.js";
import { Fold } from "./fold.js";
import { EventParser } from "./sse.js";
import type {
  AnswerEvent,
  AnswerOptions,
  AnswerResponse,
  DocumentResponse,
  IndexResponse,
  Message,
  ReadyResponse,
  SearchOptions,
  SearchResponse,
} from "./types.js";

/** Of every call. */
export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface ClientOptions {
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** Longest silence; a stream is never silent for more than 15 s. */
  timeoutMs?: number;
  /** Before each attempt to read on, one after the other without an event between them. */
  pausesMs?: readonly number[];
  /** Used instead of the global one. */
  fetch?: typeof fetch;
}

interface Asked {
  method: "GET" | "POST" | "DELETE";
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
}

const PAUSES_MS = [0, 250, 500, 1000, 2000, 4000, 8000];

/** A Footnote service. Every method rejects with a FootnoteError, or with the reason of its signal. */
export class Footnote {
  #base: string;
  #headers: Record<string, string>;
  #timeoutMs: number;
  #fetch: typeof fetch;
  #pausesMs: readonly number[];

  constructor(baseUrl = "http://127.0.0.1:8000", options: ClientOptions = {}) {
    this.#base = baseUrl.replace(/\/+$/, "");
    this.#headers = options.headers ?? {};
    this.#timeoutMs = options.timeoutMs ?? 35_000;
    this.#pausesMs = options.pausesMs ?? PAUSES_MS;
    this.#fetch = options.fetch ?? ((...given) => fetch(...given)); // looked up when it is called
  }

  /** Ranked passages. */
  search(query: string, { signal, ...options }: SearchOptions & CallOptions = {}): Promise<SearchResponse> {
    return this.#json({ method: "POST", path: "/v1/search", body: { query, ...options } }, signal);
  }

  /** A checked answer, when it is whole. `asked` is a question, or a conversation whose last turn is the user's. */
  answer(asked: string | Message[], { signal, ...options }: AnswerOptions & CallOptions = {}): Promise<AnswerResponse> {
    return this.#json({ method: "POST", path: "/v1/answer", body: { ...question(asked), ...options } }, signal);
  }

  /** A checked answer as it comes: iterate over its events. `resumable`: read on where the connection breaks. */
  stream(
    asked: string | Message[],
    { signal, resumable = false, ...options }: AnswerOptions & CallOptions & { resumable?: boolean } = {},
  ): AnswerStream {
    const body = { ...question(asked), ...options, stream: true, ...(resumable ? { resumable } : {}) };
    return new AnswerStream(this.#connection(signal), { method: "POST", path: "/v1/answer", body }, this.#pausesMs);
  }

  /** A resumable answer that was asked for elsewhere, as in another tab; without an event id from its start. */
  resume(requestId: string, token: string, lastEventId: number | null = null, { signal }: CallOptions = {}): AnswerStream {
    const asked = eventsAfter(requestId, token, lastEventId);
    return new AnswerStream(this.#connection(signal), asked, this.#pausesMs, requestId, token, lastEventId);
  }

  /** End the work on a resumable answer that nobody wants any more. */
  async stop(requestId: string, token: string, { signal }: CallOptions = {}): Promise<void> {
    const headers = { "x-resume-token": token };
    await this.#json({ method: "DELETE", path: `/v1/answers/${encodeURIComponent(requestId)}`, headers }, signal);
  }

  /** A document with its canonical text; without a version as it is in the open snapshot. */
  document(id: string, version?: string, { signal }: CallOptions = {}): Promise<DocumentResponse> {
    const query = version === undefined ? "" : `?version=${encodeURIComponent(version)}`;
    return this.#json({ method: "GET", path: `/v1/documents/${encodeURIComponent(id)}${query}` }, signal);
  }

  /** What the open snapshot says of itself. */
  index({ signal }: CallOptions = {}): Promise<IndexResponse> {
    return this.#json({ method: "GET", path: "/v1/index" }, signal);
  }

  /** Whether a snapshot is open and warm; rejects while none is. */
  ready({ signal }: CallOptions = {}): Promise<ReadyResponse> {
    return this.#json({ method: "GET", path: "/readyz" }, signal);
  }

  /** Say whether an answer was right. */
  async feedback(requestId: string, rating: "up" | "down", comment?: string, { signal }: CallOptions = {}): Promise<void> {
    const body = { request_id: requestId, rating, ...(comment === undefined ? {} : { comment }) };
    await this.#json({ method: "POST", path: "/v1/feedback", body }, signal);
  }

  async #json<T>(asked: Asked, signal: AbortSignal | undefined): Promise<T> {
    const connection = this.#connection(signal);
    try {
      const response = await connection.open(asked);
      if (!response.ok) throw await errorOf(response);
      const text = await connection.within(response.text());
      return (text === "" ? undefined : JSON.parse(text)) as T;
    } catch (error) {
      if (error instanceof SyntaxError) {
        throw new ConnectionFailed(`the response to ${asked.path} is no JSON: is this a Footnote service?`);
      }
      throw error;
    } finally {
      connection.close();
    }
  }

  #connection(signal: AbortSignal | undefined): Connection {
    return new Connection(this.#fetch, this.#base, this.#headers, this.#timeoutMs, signal);
  }
}

/** One open response at a time, and a limit on silence. */
class Connection {
  #controller = new AbortController();

  constructor(
    readonly fetch: typeof globalThis.fetch,
    readonly base: string,
    readonly headers: Record<string, string>,
    readonly timeoutMs: number,
    readonly signal: AbortSignal | undefined,
  ) {}

  /** A response whose body is still to be read; what was open before is closed. */
  async open({ method, path, body, headers }: Asked): Promise<Response> {
    this.close();
    this.#controller = new AbortController();
    const init: RequestInit = { method, headers: { ...this.headers, ...headers }, signal: this.#controller.signal };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { "content-type": "application/json", ...init.headers };
    }
    return this.within(this.fetch(this.base + path, init));
  }

  /** What is awaited, if it comes in time. */
  async within<T>(awaited: Promise<T>): Promise<T> {
    let late = false;
    const stop = (): void => this.#controller.abort();
    const timer = setTimeout(() => {
      late = true;
      stop();
    }, this.timeoutMs);
    this.signal?.addEventListener("abort", stop);
    try {
      if (this.signal?.aborted) stop();
      return await awaited;
    } catch (error) {
      if (this.signal?.aborted) throw this.signal.reason;
      if (late) throw new TimedOut(`nothing came for ${this.timeoutMs} ms`);
      throw new ConnectionFailed(messageOf(error), { cause: error });
    } finally {
      clearTimeout(timer);
      this.signal?.removeEventListener("abort", stop);
    }
  }

  /** Wait, unless the signal ends it. */
  async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.signal?.addEventListener("abort", done);
    });
    this.signal?.throwIfAborted();
  }

  close(): void {
    this.#controller.abort();
  }
}

/**
 * An answer as it comes. Iterating, which can be done once, gives typed events, to `done`; an `error` event is thrown as
 * what it is. Where it is resumable a connection that breaks is opened anew, and no event is lost or comes twice.
 * Leaving the loop closes the connection; the work behind it stops, at once or, resumable, after a while.
 */
export class AnswerStream implements AsyncIterable<AnswerEvent> {
  /** The answer as far as it has come. */
  readonly soFar = new Fold();
  #response: Response | null = null;
  #begun = false;

  constructor(
    readonly connection: Connection,
    readonly asked: Asked,
    readonly pausesMs: readonly number[],
    public requestId: string | null = null,
    /** What it takes to read this answer from elsewhere; null where it is not resumable. */
    public resumeToken: string | null = null,
    /** Of the last event that was given out. */
    public lastEventId: number | null = null,
  ) {}

  /** The whole answer, once the rest of the events have come. */
  async answer(): Promise<AnswerResponse> {
    if (!this.soFar.complete) for await (const _ of this);
    return this.soFar.answer();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AnswerEvent, void, undefined> {
    if (this.#begun) throw new FootnoteError("a stream can be read once");
    this.#begun = true;
    try {
      await this.#connect(this.asked);
      for (let failures = 0; ; ) {
        let why: unknown = null;
        try {
          for await (const event of this.#read()) {
            if (event.name === "error" && event.id === null) throw new ProblemError(event.data); // about this reading
            if (event.id !== null) {
              if (event.id <= (this.lastEventId ?? 0)) continue;
              this.lastEventId = event.id;
            }
            failures = 0;
            this.soFar.add(event);
            yield event;
            if (event.name === "done") return;
          }
        } catch (error) {
          if (!helpedByReadingOn(error)) throw error;
          why = error;
        }
        failures = await this.#again(failures, why);
      }
    } finally {
      this.connection.close();
    }
  }

  /** Read on. Throws what cannot be helped by that; how often it failed since the last event. */
  async #again(failures: number, why: unknown): Promise<number> {
    if (this.requestId === null || this.resumeToken === null) {
      throw new StreamBroken("the stream ended before its end; it is not resumable", { cause: why });
    }
    let afterMs = 0;
    while (failures < this.pausesMs.length) {
      await this.connection.pause(Math.max(this.pausesMs[failures] ?? 0, afterMs));
      failures += 1;
      try {
        await this.#connect(eventsAfter(this.requestId, this.resumeToken, this.lastEventId));
        return failures;
      } catch (error) {
        const away = error instanceof ProblemError && error.status === 503;
        if (!away && !(error instanceof ConnectionFailed && !(error instanceof StreamBroken))) throw error;
        why = error;
        afterMs = away ? (error.retryAfterMs ?? 0) : 0;
      }
    }
    throw new StreamBroken(`the stream broke, and ${failures} attempts to read on failed`, { cause: why });
  }

  async #connect(asked: Asked): Promise<void> {
    const response = await this.connection.open(asked);
    if (response.status === 204) throw new StreamBroken("all events of this answer were read before");
    if (!response.ok) throw await errorOf(response);
    this.#response = response;
    if (asked.method === "POST") {
      this.requestId = response.headers.get("x-request-id");
      this.resumeToken = response.headers.get("x-resume-token");
    }
  }

  /** The events of one connection. */
  async *#read(): AsyncGenerator<AnswerEvent> {
    const parser = new EventParser();
    const reader = this.#response?.body?.getReader(); // streams are not iterable in every browser
    if (reader === undefined) return;
    for (;;) {
      const { done, value } = await this.connection.within(reader.read());
      if (done) return;
      let events: AnswerEvent[];
      try {
        events = [...parser.feed(value)];
      } catch (error) {
        throw new StreamBroken("an event is no JSON: is this a Footnote service?", { cause: error });
      }
      yield* events;
    }
  }
}

/** A connection that broke, or another worker's answer that cannot be asked for at the moment. */
function helpedByReadingOn(error: unknown): boolean {
  if (error instanceof ProblemError) return error.slug === "answers-unreachable";
  return error instanceof ConnectionFailed && !(error instanceof StreamBroken);
}

function question(asked: string | Message[]): { query: string } | { messages: Message[] } {
  return typeof asked === "string" ? { query: asked } : { messages: asked };
}

function eventsAfter(requestId: string, token: string, lastEventId: number | null): Asked {
  const headers: Record<string, string> = { "x-resume-token": token };
  if (lastEventId !== null) headers["last-event-id"] = String(lastEventId);
  return { method: "GET", path: `/v1/answers/${encodeURIComponent(requestId)}/events`, headers };
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
