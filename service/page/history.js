// Conversations kept in this browser, one entry each, so that two tabs lose nothing of one another's.

import { element, icon } from "./element.js";
import { closeOnVeil } from "./reader.js";
import { count } from "./words.js";

const PREFIX = "footnote:thread:";
const KEPT_MAX = 100;

/** Threads in storage, the newest first; entries that are none are passed over. */
export function threads() {
  const found = [];
  try {
    for (let place = 0; place < localStorage.length; place++) {
      const key = localStorage.key(place);
      if (!key.startsWith(PREFIX)) continue;
      const thread = read(key);
      if (thread !== null) found.push(thread);
    }
  } catch {
    return []; // storage may be closed to this page
  }
  return found.sort((a, b) => b.changed - a.changed);
}

/** The thread under a key; null where it is none. */
function read(key) {
  try {
    const thread = JSON.parse(localStorage.getItem(key));
    const whole = typeof thread.id === "string" && Array.isArray(thread.turns) && thread.turns.every(isTurn) && thread.turns.length > 0;
    return whole ? { ...thread, changed: Number(thread.changed) || 0 } : null;
  } catch {
    return null;
  }
}

function isTurn(turn) {
  const lists = [turn.sources, turn.sentences, turn.withheld, turn.degraded];
  return typeof turn.question === "string" && lists.every(Array.isArray) && turn.sentences.every((one) => Array.isArray(one.citations));
}

/** Keep a thread; where there is no room, the oldest go. False where nothing can be kept.
 *
 * What another tab did with the same thread stays: turns that it added are put where they belong by the time they began,
 * and one that it saw to its end is kept as it ended.
 */
export function keep(thread) {
  const theirs = new Map((read(PREFIX + thread.id)?.turns ?? []).filter((one) => one.id).map((one) => [one.id, one]));
  const own = thread.turns.map((one) => (one.status !== "done" && theirs.get(one.id)?.status === "done" ? theirs.get(one.id) : one));
  own.forEach((one) => theirs.delete(one.id));
  const turns = [...own, ...theirs.values()].sort((a, b) => (a.began ?? 0) - (b.began ?? 0));
  const written = JSON.stringify({ ...thread, turns, changed: Date.now() });
  const others = threads().filter((one) => one.id !== thread.id);
  others.splice(KEPT_MAX - 1).forEach((one) => drop(one.id));
  for (;;) {
    try {
      localStorage.setItem(PREFIX + thread.id, written);
      return true;
    } catch (error) {
      if (error.name !== "QuotaExceededError" || others.length === 0) return false;
      drop(others.pop().id);
    }
  }
}

export function drop(id) {
  try {
    localStorage.removeItem(PREFIX + id);
  } catch {
    // nothing was kept either
  }
}

const tabs = new BroadcastChannel("footnote");

/** told(id) of each thread that is deleted in another tab; one that merely had to make room is not. */
export function onDeleted(told) {
  tabs.addEventListener("message", ({ data }) => told(data.deleted));
}

/** The list of what is kept, in a dialog. */
export class HistorySheet {
  #dialog;
  #body;
  #open;
  #dropped;

  /** open(thread) shows one; dropped(id) is told of each that goes. */
  constructor(open, dropped) {
    this.#open = open;
    this.#dropped = dropped;
    this.#body = element("div", { class: "sheet-body" });
    const close = element("button", { type: "button", class: "quiet", "aria-label": "Close", click: () => this.#dialog.close() }, icon("close"));
    this.#dialog = element(
      "dialog",
      { class: "side narrow", id: "history", "aria-labelledby": "history-title" },
      element(
        "div",
        { class: "sheet-top" },
        element("div", {}, element("h2", { id: "history-title" }, "History"), element("p", {}, "Kept in this browser only.")),
        close,
      ),
      this.#body,
    );
    closeOnVeil(this.#dialog);
    document.body.append(this.#dialog);
    addEventListener("storage", () => this.#dialog.open && this.#draw());
  }

  show() {
    this.#draw();
    this.#dialog.showModal();
  }

  #draw() {
    const kept = threads();
    if (kept.length === 0) {
      this.#body.replaceChildren(element("p", { class: "soft" }, "Nothing was asked yet."));
      return;
    }
    const forget = (id) => {
      drop(id);
      tabs.postMessage({ deleted: id });
      this.#dropped(id);
    };
    const list = element("ul", { class: "threads" });
    for (const thread of kept) {
      const title = thread.turns[0].question;
      const open = () => {
        this.#dialog.close();
        this.#open(thread);
      };
      const remove = (event) => {
        const rows = [...list.children];
        const place = rows.indexOf(event.currentTarget.closest("li"));
        forget(thread.id);
        this.#draw();
        (this.#body.querySelectorAll(".open")[Math.max(0, place - 1)] ?? this.#dialog.querySelector("button")).focus();
      };
      const when = new Date(thread.changed).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      list.append(
        element(
          "li",
          {},
          element(
            "button",
            { type: "button", class: "open", click: open },
            element("span", {}, title),
            element("small", {}, `${when} · ${count(thread.turns.length, "question")}`),
          ),
          element("button", { type: "button", class: "quiet", "aria-label": `Delete: ${title}`, click: remove }, icon("close")),
        ),
      );
    }
    const clear = () => {
      kept.forEach((one) => forget(one.id));
      this.#draw();
    };
    this.#body.replaceChildren(list, element("button", { type: "button", class: "link", click: clear }, "Delete all"));
  }
}
