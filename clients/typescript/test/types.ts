// Compiled and never run: what the types promise to those who use them.

import { Footnote, inUtf16, type AnswerEvent, type AnswerResponse } from "../src/index.js";

export async function use(footnote: Footnote): Promise<AnswerResponse> {
  await footnote.search("q", { top_k: 3, mode: "dense", filter: { lang: "en" } });
  // @ts-expect-error  there is no such mode
  await footnote.search("q", { mode: "fuzzy" });
  // @ts-expect-error  whether it streams is the method's to say
  await footnote.answer("q", { stream: true });
  const stream = footnote.stream([{ role: "user", content: "q" }], { resumable: true, guardrail: "flagged" });
  for await (const event of stream) told(event);
  const answer = await stream.answer();
  const page: number | null = answer.citations[0]!.page;
  // @ts-expect-error  a list may be empty
  answer.citations[0].quote.length;
  return page === null ? inUtf16(answer) : answer;
}

function told(event: AnswerEvent): string {
  switch (event.name) {
    case "sentence":
      return event.data.text;
    case "withheld":
      return event.data.reason;
    case "done":
      return event.data.verdict;
    default:
      return event.name;
  }
}
