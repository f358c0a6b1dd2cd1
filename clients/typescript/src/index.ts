export { AnswerStream, Footnote } from "./client.js";
export type { CallOptions, ClientOptions } from "./client.js";
export { ConnectionFailed, FootnoteError, ProblemError, StreamBroken, TimedOut } from "./errors.js";
export { Fold, fold } from "./fold.js";
export { inUtf16, sourceSpan, Utf16 } from "./offsets.js";
export type { components, operations, paths } from "./openapi.js";
export { EventParser } from "./sse.js";
export type * from "./types.js";
