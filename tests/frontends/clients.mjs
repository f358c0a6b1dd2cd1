// What the AI SDK's clients make of a running service: node clients.mjs ADDRESS CASE; the last line is JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  DefaultChatTransport,
  generateText,
  parseJsonEventStream,
  readUIMessageStream,
  streamText,
  uiMessageChunkSchema,
} from "ai";

const [address, name, question, ...rest] = process.argv.slice(2);
const options = JSON.parse(rest[0] ?? "{}");
const openai = createOpenAI({ baseURL: `${address}/v1`, apiKey: "none" });
const compatible = createOpenAICompatible({
  name: "footnote",
  baseURL: `${address}/v1`,
  includeUsage: true,
  transformRequestBody: (body) => ({ ...body, ...options.body }),
});
const id = options.model ?? "default";
const models = { responses: openai(id), chat: openai.chat(id), compatible: compatible(id) };

function told(result) {
  console.log(JSON.stringify(result));
}

// A whole answer.
async function whole(model) {
  const { text, sources, finishReason, usage } = await generateText({ model, prompt: question, maxRetries: 0 });
  return { text, sources, finishReason, usage };
}

// A streamed one; with `abort` it is left after the first text.
async function streamed(model) {
  const leaving = new AbortController();
  const parts = [];
  const result = streamText({ model, prompt: question, maxRetries: 0, abortSignal: leaving.signal, onError: () => {} });
  for await (const part of result.fullStream) {
    parts.push(part);
    if (options.abort && part.type === "text-delta") leaving.abort();
  }
  const error = parts.find((part) => part.type === "error")?.error;
  const finish = parts.find((part) => part.type === "finish");
  return {
    types: parts.map((part) => part.type),
    text: parts.flatMap((part) => (part.type === "text-delta" ? [part.text] : [])).join(""),
    sources: parts.filter((part) => part.type === "source"),
    finishReason: finish?.finishReason,
    usage: finish?.totalUsage,
    error: error && { message: error.message ?? JSON.stringify(error), status: error.statusCode },
  };
}

// What useChat does: its transport, its parser, its message.
async function useChat() {
  const leaving = new AbortController();
  const transport = new DefaultChatTransport({ api: `${address}/v1/chat/ui`, body: options.body });
  const messages = options.messages ?? [{ id: "u1", role: "user", parts: [{ type: "text", text: question }] }];
  const chunks = [];
  let message;
  let error;
  try {
    const stream = await transport.sendMessages({
      chatId: "c1",
      messages,
      trigger: options.trigger ?? "submit-message",
      messageId: undefined,
      abortSignal: leaving.signal,
    });
    const [noted, read] = stream.tee();
    const noting = (async () => {
      for await (const chunk of noted) {
        chunks.push(chunk);
        if (options.abort && chunk.type === "text-delta") leaving.abort();
      }
    })().catch(() => {});
    for await (const one of readUIMessageStream({ stream: read, onError: (found) => (error = found.message) })) message = one;
    await noting;
  } catch (found) {
    error = found.message;
  }
  return { chunks, message, error };
}

// Every frame against the SDK's own schema, which refuses what it does not know.
async function schema() {
  const response = await fetch(`${address}/v1/chat/ui`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: "c", messages: [{ id: "u", role: "user", parts: [{ type: "text", text: question }] }] }),
  });
  const wrong = [];
  let count = 0;
  for await (const one of parseJsonEventStream({ stream: response.body, schema: uiMessageChunkSchema })) {
    count += 1;
    if (!one.success) wrong.push(String(one.error));
  }
  return { count, wrong, version: response.headers.get("x-vercel-ai-ui-message-stream") };
}

const [kind, which] = name.split(":");
const cases = { whole, streamed, useChat, schema };
try {
  told(await cases[kind](models[which]));
} catch (error) {
  told({ error: { message: error.message, status: error.statusCode } });
}
process.exit(0);
