// Names for what the OpenAPI document describes. openapi.ts is made from it: npm run types

import type { components } from "./openapi.js";

type Schemas = components["schemas"];

export type SearchResponse = Schemas["SearchResponse"];
export type AnswerResponse = Schemas["AnswerResponse"];
export type DocumentResponse = Schemas["DocumentResponse"];
export type IndexResponse = Schemas["IndexResponse"];
export type ReadyResponse = Schemas["ReadyResponse"];
export type Result = Schemas["Result"];
export type Citation = Schemas["Citation"];
export type SentenceRecord = Schemas["SentenceRecord"];
export type SentenceData = Schemas["SentenceEvent"];
export type Withheld = Schemas["Withheld"];
export type MetaData = Schemas["MetaEvent"];
export type Message = Schemas["Message"];
export type Problem = Schemas["Problem"];

export type SearchOptions = Partial<Omit<Schemas["SearchRequest"], "query">>;
export type AnswerOptions = Partial<Omit<Schemas["AnswerRequest"], "query" | "messages" | "stream" | "resumable">>;

/** An event of an answer. `id` is null where it is about the reading and not about the answer. */
export type AnswerEvent =
  | { name: "meta"; id: number | null; data: MetaData }
  | { name: "sources"; id: number | null; data: Schemas["SourcesEvent"] }
  | { name: "sentence"; id: number | null; data: SentenceData }
  | { name: "withheld"; id: number | null; data: Schemas["WithheldEvent"] }
  | { name: "degraded"; id: number | null; data: Schemas["DegradedEvent"] }
  | { name: "done"; id: number | null; data: AnswerResponse }
  | { name: "error"; id: number | null; data: Problem };
