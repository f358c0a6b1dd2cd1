// A question and what is known of its answer: a fold over the events. Pure; nothing here touches the page.

export function newTurn(question, asked) {
  return {
    id: crypto.randomUUID?.() ?? String(Math.random()).slice(2),
    began: Date.now(),
    question,
    asked,
    status: "waiting", // then streaming, and done, stopped or failed
    query: null,
    sources: [],
    sentences: [],
    withheld: [],
    degraded: [],
    response: null,
    problem: null,
    lost: false, // the connection, for now
    rating: null,
    request: null,
  };
}

/** The turn after an event; the turn itself is changed. */
export function take(turn, { name, data }) {
  switch (name) {
    case "meta":
      turn.request = data.request_id;
      turn.query = data.query_used;
      turn.status = "streaming";
      break;
    case "sources":
      turn.sources = data.sources;
      break;
    case "sentence":
      turn.sentences.push(data);
      break;
    case "withheld":
      turn.withheld.push(data);
      break;
    case "degraded":
      turn.degraded.push(data.message);
      break;
    case "lost":
    case "back":
      turn.lost = name === "lost";
      break;
    case "done":
      turn.response = summary(data);
      turn.status = "done";
      break;
    case "error":
      turn.problem = data;
      turn.status = "failed";
      break;
    default: // what a later service says besides is not for this page
  }
  return turn;
}

/** What is kept of the whole response beyond what its events said. */
function summary({ verdict, finish_reason, abstention, usage, stages, generation }) {
  return { verdict, finish_reason, abstention, usage, stages, generation };
}

/** The citations of a turn, in order. */
export function citationsOf(turn) {
  return turn.sentences.flatMap((one) => one.citations);
}

/** Sentences that were held back, without those that are shown and marked. */
export function heldBack(turn) {
  return turn.withheld.filter((one) => one.text === null || one.text === undefined);
}

export function answerOf(turn) {
  return turn.sentences.map((one) => one.text).join("");
}
