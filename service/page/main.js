// The page: what is asked, and what happens then.

import { placeOf, TurnView } from "./answer.js";
import { element } from "./element.js";
import { Filters } from "./filters.js";
import { HistorySheet, keep, onDeleted } from "./history.js";
import { QuotePopover } from "./quote.js";
import { Reader } from "./reader.js";
import { ask, Refused } from "./stream.js";
import { answerOf, newTurn, take } from "./turn.js";
import { count } from "./words.js";

const TURNS_SENT = 6; // of a conversation, the last questions and answers
const by = (id) => document.getElementById(id);
const { feedback, resumable, guardrail, example } = document.body.dataset;

const reader = new Reader();
const popover = new QuotePopover((citation, marker) => reader.show(placeOf(citation), marker));
const filters = new Filters(by("filters"), by("filters-say"), guardrail);
let thread = { id: crypto.randomUUID?.() ?? String(Math.random()).slice(2), turns: [] };
let running = null; // an AbortController while an answer comes

const page = {
  popover,
  feedback: feedback === "true",
  open: (place, from) => reader.show(place, from),
  retry: (turn) => !running && begin(turn.question),
  changed: () => keep(thread),
};
const history = new HistorySheet(openThread, (id) => id === thread.id && forgetThis());

function forgetThis() {
  thread.turns.length = 0; // what still runs is not kept again
  startAnew();
}

function show() {
  const asked = thread.turns.length > 0;
  by("main").classList.toggle("asked", asked);
  document.body.classList.toggle("asked-page", asked);
  by("new").hidden = !asked;
  by("question").placeholder = asked ? "Ask a follow-up" : "Ask a question";
  document.title = asked ? `${thread.turns[0].question.slice(0, 60)} · Footnote` : "Footnote";
}

function openThread(kept) {
  running?.abort();
  thread = { id: kept.id, turns: kept.turns.map((one) => (["waiting", "streaming"].includes(one.status) ? { ...one, status: "stopped" } : one)) };
  by("thread").replaceChildren(...thread.turns.map((turn) => new TurnView(turn, page).element));
  thread.turns.forEach((turn) => filters.learn(turn.sources));
  show();
  by("thread").lastElementChild?.scrollIntoView({ block: "start", behavior: "instant" });
  by("question").focus({ preventScroll: true });
}

function startAnew() {
  running?.abort();
  thread = { id: crypto.randomUUID?.() ?? String(Math.random()).slice(2), turns: [] };
  by("thread").replaceChildren();
  by("said").replaceChildren();
  show();
  by("question").focus();
}

async function begin(question) {
  const own = thread;
  const asked = filters.asked();
  const before = own.turns.filter((one) => one.status === "done" && answerOf(one).trim()).slice(-TURNS_SENT);
  const turn = newTurn(question, asked);
  own.turns.push(turn);
  const view = new TurnView(turn, page);
  by("thread").append(view.element);
  show();
  view.element.scrollIntoView({ block: "start" });
  by("said").replaceChildren();
  keep(own); // a reload meanwhile loses the answer, not the question
  const controller = new AbortController();
  setRunning(controller);
  const messages = before.flatMap((one) => [
    { role: "user", content: one.question },
    { role: "assistant", content: answerOf(one).trim() },
  ]);
  const body = messages.length ? { messages: [...messages, { role: "user", content: question }], ...asked } : { query: question, ...asked };
  try {
    for await (const event of ask(body, controller.signal, { resumable: resumable === "true" })) {
      if (event.name === "sentence") note(turn, event.data);
      take(turn, event);
      view.draw();
      if (event.name === "sources") filters.learn(turn.sources);
      if (event.name === "sentence") announce(event.data.text);
      if (event.name === "withheld" && !event.data.text) announce("A sentence was held back.");
      if (event.name === "lost") announce("The connection was lost. Trying again.");
    }
  } catch (error) {
    if (controller.signal.aborted) turn.status = "stopped";
    else {
      turn.status = "failed";
      turn.problem = error instanceof Refused ? error.problem : { title: "The answer could not be read", detail: String(error.message) };
      if (/invalid-filter/.test(turn.problem.type ?? "")) {
        filters.complain(turn.problem.detail);
        toggleFilters(true);
      }
    }
  }
  view.draw();
  announce(view.element.querySelector(".verdict").textContent);
  if (own.turns.includes(turn)) keep(own);
  if (running === controller) setRunning(null);
}

/** The time from a first sentence's event to its paint, for whoever measures: performance.getEntriesByType("measure"). */
function note(turn, sentence) {
  if (turn.sentences.length) return;
  const name = `footnote:sentence-${sentence.index}`;
  const received = performance.now();
  requestAnimationFrame(() => {
    const channel = new MessageChannel(); // its message comes after the frame is drawn
    channel.port1.onmessage = () => performance.measure(`${name}-painted`, { start: received, end: performance.now() });
    channel.port2.postMessage(null);
  });
}

/** Tell who cannot see it. */
function announce(text) {
  by("said").append(element("p", {}, text.replace(/\s*\[\d+\]/g, "")));
}

function setRunning(controller) {
  running = controller;
  const busy = controller !== null;
  by("send").setAttribute("aria-label", busy ? "Stop" : "Ask");
  by("send").querySelector("use").setAttribute("href", busy ? "#icon-stop" : "#icon-send");
  ready();
}

function ready() {
  by("send").disabled = running === null && by("question").value.trim() === "";
}

function toggleFilters(open) {
  by("filters").hidden = !open;
  by("filters-open").setAttribute("aria-expanded", String(open));
}

function submit() {
  const question = by("question").value.trim();
  if (running !== null) {
    running.abort();
    return;
  }
  if (!question) return;
  by("question").value = "";
  toggleFilters(false);
  grow();
  begin(question);
}

/** As high as what is in it, where the browser does not see to it. */
function grow() {
  const field = by("question");
  if (!CSS.supports("field-sizing", "content")) {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  }
  ready();
}

by("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
by("question").addEventListener("input", grow);
by("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (running === null) submit();
});
by("filters-open").addEventListener("click", () => toggleFilters(by("filters").hidden));
by("filters").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.tagName === "INPUT") {
    event.preventDefault();
    by("question").focus();
  }
});
// Escape closes what is on top: a quote, else a dialog (the browser sees to that), else the filters.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (popover.shown) popover.hide();
  else if (!document.querySelector("dialog[open]") && !by("filters").hidden) {
    const inside = by("filters").contains(document.activeElement);
    toggleFilters(false);
    if (inside) by("filters-open").focus();
  }
});
by("history-opens").addEventListener("click", () => history.show());
onDeleted((id) => id === thread.id && forgetThis());
by("new").addEventListener("click", startAnew);
by("name").addEventListener("click", (event) => {
  event.preventDefault();
  startAnew();
});

/** The other theme than the one that is seen. */
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function drawTheme() {
  by("theme").setAttribute("aria-pressed", String(isDark()));
  by("theme").querySelector("use").setAttribute("href", isDark() ? "#icon-light" : "#icon-dark");
}

by("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("footnote:theme", theme);
  } catch {
    // it lasts as long as the page
  }
  drawTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);

async function tellWhatIsThere() {
  if (by("state").dataset.troubled === "true" && by("state").textContent.startsWith("Not ready")) return;
  try {
    const response = await fetch("v1/index");
    if (!response.ok) return;
    const { documents, passages, generation } = await response.json();
    by("counts").textContent = `${count(documents, "document")}, ${count(passages, "passage")}, generation ${generation}`;
  } catch {
    // the page says so when a question is asked
  }
}

if (example) {
  const pick = element("button", { type: "button", click: () => begin(example) }, example);
  by("below").prepend(element("p", { class: "suggestion" }, pick));
}
drawTheme();
show();
ready();
tellWhatIsThere();
