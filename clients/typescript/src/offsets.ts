// The service counts Unicode code points; JavaScript's strings count UTF-16 code units.

import type { AnswerResponse, Citation } from "./types.js";

/** Offsets into one text, both ways. Made once, each question takes logarithmic time. */
export class Utf16 {
  #wide: number[] = []; // code point offsets of the characters that take two units
  #length = 0;

  /** @param text what the offsets point into: an answer, or a document's text */
  constructor(text: string) {
    for (const one of text) {
      if (one.length === 2) this.#wide.push(this.#length);
      this.#length += 1;
    }
  }

  /** The offset in UTF-16 code units. Throws RangeError outside the text. */
  offset(codePoints: number): number {
    if (!(codePoints >= 0 && codePoints <= this.#length)) {
      throw new RangeError(`${codePoints} is outside of a text of ${this.#length} code points`);
    }
    return codePoints + this.#before((at) => at >= codePoints);
  }

  /** The offset in code points. Throws RangeError outside the text, and inside of a character. */
  codePoints(offset: number): number {
    const wide = this.#before((at, index) => at + index >= offset);
    const last = this.#wide[wide - 1];
    if (last !== undefined && last + wide === offset) {
      throw new RangeError(`${offset} is inside of a character of two UTF-16 code units`);
    }
    const found = offset - wide;
    if (!(found >= 0 && found <= this.#length)) {
      throw new RangeError(`${offset} is outside of a text of ${this.#length + this.#wide.length} UTF-16 code units`);
    }
    return found;
  }

  /** How many wide characters come before the first one that is far enough. */
  #before(enough: (at: number, index: number) => boolean): number {
    let low = 0;
    let high = this.#wide.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (enough(this.#wide[middle]!, middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/**
 * An answer whose offsets into itself are UTF-16: of sentences, claims and markers, so that
 * `answer.slice(answer_start, answer_end)` is the claim. Offsets into documents (`source_start`, `source_end`, those of
 * passages) stay code points: `sourceSpan` converts them where the document's text is there.
 */
export function inUtf16(answer: AnswerResponse): AnswerResponse {
  const at = new Utf16(answer.answer);
  return {
    ...answer,
    sentences: answer.sentences.map((one) => ({ ...one, start: at.offset(one.start), end: at.offset(one.end) })),
    citations: answer.citations.map((one) => ({
      ...one,
      answer_start: at.offset(one.answer_start),
      answer_end: at.offset(one.answer_end),
      marker_start: at.offset(one.marker_start),
      marker_end: at.offset(one.marker_end),
    })),
  };
}

/** Where a citation's quote is in its document's text: `text.slice(...sourceSpan(text, citation)) === citation.quote`. */
export function sourceSpan(text: string, citation: Citation): [start: number, end: number] {
  const at = new Utf16(text);
  return [at.offset(citation.source_start), at.offset(citation.source_end)];
}
