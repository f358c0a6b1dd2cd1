// Server-sent events: from bytes to events. No input or output here.

import type { AnswerEvent } from "./types.js";

/** Bytes in, in pieces of any size; events out, each once its blank line has come. */
export class EventParser {
  #decoder = new TextDecoder();
  #rest = "";
  #lines: string[] = [];

  /** The events that these bytes complete; their kinds may be those of a newer service. */
  *feed(bytes: Uint8Array): Generator<AnswerEvent> {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const held = text.endsWith("\r"); // its line feed may still come
    const lines = (held ? text.slice(0, -1) : text).split(/\r\n|\r|\n/);
    this.#rest = (lines.pop() ?? "") + (held ? "\r" : "");
    for (const line of lines) {
      if (line !== "") {
        this.#lines.push(line);
        continue;
      }
      const event = eventOf(this.#lines);
      this.#lines = [];
      if (event !== null) yield event;
    }
  }
}

function eventOf(lines: string[]): AnswerEvent | null {
  let name = "message";
  let id: number | null = null;
  const data: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && /^\d+$/.test(value)) id = Number(value);
  }
  return data.length ? ({ name, id, data: JSON.parse(data.join("\n")) } as AnswerEvent) : null;
}
