// From events to the answer: as it is so far, and in the end exactly what the service gives as JSON.

import { ProblemError } from "./errors.js";
import type { AnswerEvent, AnswerResponse, Citation, MetaData, Result, SentenceData, Withheld } from "./types.js";

/**
 * The answer that a series of events makes. What the events tell one by one is put together here; of the terminal event
 * come the verdict and what only the end can tell. Offsets are as the service has them: code points; see `inUtf16`.
 */
export class Fold {
  meta: MetaData | null = null;
  sources: Result[] = [];
  sentences: SentenceData[] = [];
  withheld: Withheld[] = [];
  degraded: string[] = [];
  #done: AnswerResponse | null = null;

  /** The answer's text so far. */
  get text(): string {
    return this.sentences.map((one) => one.text).join("");
  }

  /** The citations so far, in order. */
  get citations(): Citation[] {
    return this.sentences.flatMap((one) => one.citations);
  }

  /** Whether the terminal event has come. */
  get complete(): boolean {
    return this.#done !== null;
  }

  /** The next event; those of a newer service are let through. Throws ProblemError where it is an error. */
  add(event: AnswerEvent): void {
    switch (event.name) {
      case "meta":
        this.meta = event.data;
        break;
      case "sources":
        this.sources = event.data.sources;
        break;
      case "sentence":
        this.sentences.push(event.data);
        break;
      case "withheld":
        this.withheld.push(event.data);
        break;
      case "degraded":
        this.degraded.push(event.data.message);
        break;
      case "done":
        this.#done = event.data;
        break;
      case "error":
        throw new ProblemError(event.data);
    }
  }

  /** The whole answer. Throws before the terminal event. */
  answer(): AnswerResponse {
    if (this.#done === null || this.meta === null) throw new Error("the answer is not complete");
    return {
      ...this.#done,
      request_id: this.meta.request_id,
      generation: this.meta.generation,
      query_used: this.meta.query_used,
      answer: this.text,
      sentences: this.sentences.map(({ index, start, end, verdict, reason, citations }) => ({
        index,
        start,
        end,
        verdict,
        reason,
        citations: citations.map((one) => one.id),
      })),
      citations: this.citations,
      sources: this.sources,
      withheld: this.withheld,
      degraded: this.degraded,
    };
  }
}

/** The answer of a whole series of events. Throws ProblemError where it ends with an error. */
export function fold(events: Iterable<AnswerEvent>): AnswerResponse {
  const made = new Fold();
  for (const event of events) made.add(event);
  return made.answer();
}
