// What can go wrong: FootnoteError > ConnectionFailed (> TimedOut, StreamBroken) | ProblemError.

import type { Problem } from "./types.js";

/** Anything that goes wrong. */
export class FootnoteError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The service was not reached, or the connection broke. */
export class ConnectionFailed extends FootnoteError {}

/** The service was silent for longer than the client waits. */
export class TimedOut extends ConnectionFailed {}

/** A stream ended before its terminal event and could not be resumed. */
export class StreamBroken extends ConnectionFailed {}

/** The service says what is wrong (RFC 9457). */
export class ProblemError extends FootnoteError {
  /**
   * @param problem what the service said
   * @param retryAfterMs milliseconds after which asking again makes sense, where the service says so
   */
  constructor(
    readonly problem: Problem,
    readonly retryAfterMs: number | null = null,
  ) {
    super(`${problem.title}: ${problem.detail} (request ${problem.request_id})`);
  }

  /** The stable name of this kind of problem: the last part of its `type`. */
  get slug(): string {
    return this.problem.type.replace("urn:footnote:problem:", "");
  }

  get status(): number {
    return this.problem.status;
  }
}

/** The error of a response that is none of 200 to 299; what is no problem object, such as a proxy's page, too. */
export async function errorOf(response: Response): Promise<ProblemError> {
  const problem: Problem = {
    type: "about:blank",
    title: `HTTP ${response.status}`,
    detail: "The response is no problem object.",
    status: response.status,
    request_id: response.headers.get("x-request-id") ?? "",
    errors: null,
  };
  try {
    const given: unknown = await response.json();
    if (typeof given === "object" && given !== null && !Array.isArray(given)) Object.assign(problem, given);
  } catch {
    // the page of a proxy
  }
  return new ProblemError({ ...problem, status: response.status }, milliseconds(response.headers.get("retry-after")));
}

function milliseconds(given: string | null): number | null {
  if (given === null) return null;
  if (/^\d+$/.test(given.trim())) return Number(given) * 1000;
  const at = Date.parse(given);
  return Number.isNaN(at) ? null : Math.max(at - Date.now(), 0);
}
