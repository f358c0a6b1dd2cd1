// One question and its answer on the page. Drawn anew with each event; blocks that did not change stay as they are.

import { element, icon } from "./element.js";
import { ratingButtons } from "./feedback.js";
import { render } from "./markdown.js";
import { answerOf, citationsOf, heldBack } from "./turn.js";
import { ABSTENTIONS, count, ENDS, milliseconds, reasonOf, SENTENCES, stageName } from "./words.js";

const VERDICTS = { grounded: "Every sentence is supported", partial: "Partly supported", abstained: "Not answered" };
const SOURCES_SHOWN = 6;

export class TurnView {
  #turn;
  #page;
  #seen = { answer: 0, tally: 0 };
  #blocks = [];
  #looks = { sources: "", notes: "" };
  #parts;
  #settled = false;
  #all = false;

  /** page: {popover, open(place, from), retry(turn), changed(), feedback} that this view belongs to. */
  constructor(turn, page) {
    this.#turn = turn;
    this.#page = page;
    if (turn.status !== "waiting") this.#seen = { answer: turn.sentences.length, tally: Infinity };
    this.#parts = {
      understood: element("p", { class: "understood", hidden: true }),
      verdict: element("div", { class: "verdict" }),
      answer: element("div", { class: "answer", dir: "auto" }),
      notes: element("div", { class: "notes" }),
      after: element("div", { class: "after" }),
      sources: element("aside", { class: "sources", "aria-label": "Sources", hidden: true }),
    };
    const { understood, verdict, answer, notes, after, sources } = this.#parts;
    this.element = element(
      "article",
      { class: "turn", "aria-label": turn.question },
      element("div", { class: "said-here" }, element("h2", { class: "question", dir: "auto" }, turn.question), understood, verdict, answer, notes, after),
      sources,
    );
    this.draw();
  }

  /** Show the turn as it is now. */
  draw() {
    const turn = this.#turn;
    const { understood } = this.#parts;
    const other = turn.query && turn.query.trim() !== turn.question.trim();
    understood.hidden = !other;
    understood.textContent = other ? `Understood as: ${turn.query}` : "";
    this.#drawVerdict();
    this.#drawAnswer();
    this.#drawSources();
    this.#drawNotes();
    if (!["waiting", "streaming"].includes(turn.status) && !this.#settled) this.#drawAfter();
  }

  #drawVerdict() {
    const turn = this.#turn;
    const checked = turn.sentences.filter((one) => one.verdict !== "no_claim").length;
    const held = heldBack(turn);
    const said = verdictOf(turn);
    const dots = [
      ...turn.sentences.map((one) => ({ at: one.index, kind: one.verdict })),
      ...held.map((one) => ({ at: one.index, kind: "withheld" })),
    ].sort((a, b) => a.at - b.at);
    const tally = element("span", { class: "tally", "aria-hidden": "true" });
    dots.forEach((one, place) => tally.append(element("i", { class: `${one.kind}${place >= this.#seen.tally ? " now" : ""}`, title: SENTENCES[one.kind] ?? "Held back" })));
    this.#seen.tally = Math.max(dots.length, turn.status === "done" ? dots.length : 0);
    const counts = [];
    if (checked) counts.push(`${count(checked, "sentence")} checked`);
    if (held.length) counts.push(`${held.length} held back`);
    this.#parts.verdict.className = `verdict ${said.calm ? "calm" : (turn.response?.verdict ?? turn.status)}`;
    this.#parts.verdict.replaceChildren(
      ...(said.busy ? [element("span", { class: "waiting" })] : []),
      said.busy ? element("span", {}, said.text) : element("strong", {}, said.text),
      ...(dots.length && turn.response?.verdict !== "abstained" ? [tally] : []),
      ...(counts.length && turn.response?.verdict !== "abstained" ? [element("span", {}, counts.join(", "))] : []),
    );
  }

  #drawAnswer() {
    const turn = this.#turn;
    const held = heldBack(turn);
    const focused = document.activeElement?.dataset?.citation;
    const inside = this.#parts.answer.contains(document.activeElement);
    const blocks = render({
      sentences: turn.sentences,
      held,
      marker: (citation) => this.#marker(citation),
      gap: (one) => element("span", { class: "gap", role: "note" }, `A sentence was held back: ${reasonOf(one.reason)}.`),
      sentence: (one) => this.#sentence(one),
      flag: (one) => (isDoubtful(one) ? [element("span", { class: "flag" }, SENTENCES[one.verdict])] : []),
    });
    const looks = blocks.map(lookOf);
    let same = 0;
    while (same < looks.length && looks[same] === this.#blocks[same]) same++;
    const answer = this.#parts.answer;
    while (answer.children.length > same) answer.lastElementChild.remove();
    answer.append(...blocks.slice(same));
    this.#blocks = looks;
    this.#seen.answer = turn.sentences.length;
    if (inside && focused && !answer.contains(document.activeElement)) {
      answer.querySelector(`[data-citation="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
  }

  #marker(citation) {
    const made = element(
      "button",
      {
        type: "button",
        class: "marker",
        "data-citation": citation.id,
        "data-passage": citation.passage_id,
        "aria-label": `Source ${citation.marker}: ${citation.title || citation.document_id}`,
        "aria-expanded": "false",
      },
      String(citation.marker),
    );
    this.#page.popover.attach(made, citation);
    for (const [event, on] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) {
      made.addEventListener(event, () => this.#light(made, citation.passage_id, on));
    }
    return made;
  }

  /** The sentence of a marker and its source stand out together. */
  #light(marker, passage, on) {
    const place = marker.closest(".sentence")?.dataset.sentence;
    for (const one of this.#parts.answer.querySelectorAll(".sentence")) one.classList.toggle("lit", on && one.dataset.sentence === place);
    for (const one of this.#parts.sources.querySelectorAll(".source")) one.classList.toggle("lit", on && one.dataset.passage === passage);
  }

  #sentence(one) {
    const place = this.#turn.sentences.indexOf(one);
    const now = place >= this.#seen.answer ? " now" : "";
    const made = element("span", { class: `sentence ${one.verdict}${now}`, "data-sentence": one.index });
    if (isDoubtful(one)) made.title = `${SENTENCES[one.verdict]}: ${reasonOf(one.reason ?? "not_supported")}`;
    return made;
  }

  #drawSources() {
    const turn = this.#turn;
    const { sources } = this.#parts;
    sources.hidden = turn.sources.length === 0;
    if (sources.hidden) return;
    const cited = new Map();
    for (const one of citationsOf(turn)) if (!cited.has(one.passage_id)) cited.set(one.passage_id, one);
    const rows = [...turn.sources].sort((a, b) => (cited.get(a.passage.id)?.marker ?? 999 + a.rank) - (cited.get(b.passage.id)?.marker ?? 999 + b.rank));
    const focused = sources.contains(document.activeElement) ? document.activeElement.dataset.passage : null;
    const abstained = turn.response?.verdict === "abstained";
    const look = JSON.stringify([rows.map((one) => [one.passage.id, cited.get(one.passage.id)?.id]), this.#all, abstained, turn.response !== null, turn.status === "stopped"]);
    if (this.#looks.sources === look) return;
    this.#looks.sources = look;
    const shown = this.#all ? rows : rows.slice(0, Math.max(SOURCES_SHOWN, cited.size));
    const listed = (some) => element("ol", {}, some.map((one) => element("li", {}, this.#source(one, cited.get(one.passage.id)))));
    const [quoted, others] = [shown.slice(0, cited.size), shown.slice(cited.size)];
    const ended = turn.status !== "waiting" && turn.status !== "streaming";
    sources.replaceChildren(element("h3", {}, abstained ? "Nearest sources" : quoted.length ? "Sources" : ended ? "Found, not cited" : "Found"));
    if (quoted.length) sources.append(listed(quoted));
    if (quoted.length && others.length) sources.append(element("h3", { class: "second" }, ended ? "Found, not cited" : "Found"));
    if (others.length) sources.append(listed(others));
    if (shown.length < rows.length) {
      const more = () => {
        this.#all = true;
        this.#drawSources();
        sources.querySelectorAll(".source")[shown.length]?.focus();
      };
      sources.append(element("button", { type: "button", class: "link", click: more }, `Show ${rows.length - shown.length} more`));
    }
    if (focused) sources.querySelector(`[data-passage="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  #source(one, citation) {
    const { document: header, passage } = one;
    const section = passage.section.filter((name) => name !== header.title).join(" › ");
    const where = [section, passage.page && `page ${passage.page}`].filter(Boolean).join(", ");
    const quote = citation?.quote ?? passage.text;
    const place = citation
      ? placeOf(citation)
      : { id: header.id, version: header.version, title: header.title, url: header.url, page: passage.page, start: passage.start, end: passage.end };
    return element(
      "button",
      { type: "button", class: `source ${citation ? "cited" : this.#turn.response?.verdict === "abstained" ? "uncited nearest" : "uncited"}`, "data-passage": passage.id, click: (event) => this.#page.open(place, event.currentTarget) },
      element("span", { class: "number" }, citation ? String(citation.marker) : ""),
      element(
        "span",
        {},
        element("span", { class: "title", dir: "auto" }, header.title || header.id),
        where && element("span", { class: "where" }, where),
        element("span", { class: "quote", dir: "auto" }, excerpt(citation ? quote : withoutHeadings(quote, [header.title, ...passage.section]))),
      ),
    );
  }

  #drawNotes() {
    const turn = this.#turn;
    const notes = [];
    const end = turn.response?.finish_reason;
    if (turn.response?.abstention) notes.push(["plainly", ABSTENTIONS[turn.response.abstention.reason] ?? "The documents do not answer this."]);
    if (end in ENDS) notes.push(["", ENDS[end]]);
    for (const message of turn.degraded) notes.push(["degraded", fallenBack(message)]);
    if (turn.status === "stopped") notes.push(["plainly", turn.sentences.length ? "You stopped it here. What is shown was checked." : "You stopped it."]);
    if (turn.problem) {
      const wait = turn.problem.after ? ` Try again in ${turn.problem.after} s.` : "";
      notes.push(["problem", `${turn.problem.title}. ${turn.problem.detail ?? ""}${wait}`]);
    }
    const look = JSON.stringify(notes);
    if (this.#looks.notes === look) return;
    this.#looks.notes = look;
    this.#parts.notes.replaceChildren(...notes.map(([kind, text]) => element("p", { class: kind, role: kind === "problem" ? "alert" : "note" }, text)));
    this.#parts.notes.hidden = notes.length === 0;
  }

  #drawAfter() {
    this.#settled = true;
    const turn = this.#turn;
    const tools = element("div", { class: "tools" });
    if (turn.sentences.length) {
      const copy = element("button", { type: "button", class: "quiet" }, icon("copy"), element("span", { role: "status" }, "Copy"));
      copy.addEventListener("click", async () => {
        const said = copy.lastElementChild;
        try {
          await navigator.clipboard.writeText(withSources(turn));
          said.textContent = "Copied";
        } catch {
          said.textContent = "Not copied";
        }
        setTimeout(() => (said.textContent = "Copy"), 2000);
      });
      tools.append(copy);
    }
    tools.append(element("button", { type: "button", class: "quiet", click: () => this.#page.retry(turn) }, icon("again"), element("span", {}, "Ask again")));
    const after = [tools];
    if (this.#page.feedback && turn.request && turn.response) {
      const rating = ratingButtons(turn, {
        changed: this.#page.changed,
        gone: () => {
          this.#page.feedback = false;
          for (const one of document.querySelectorAll(".rating, .comment")) one.remove();
        },
      });
      tools.append(rating.buttons);
      after.push(rating.form);
    }
    if (turn.response?.stages?.length) after.push(times(turn.response));
    this.#parts.after.replaceChildren(...after);
  }
}

/** Where a citation points, for the reader. */
export function placeOf(citation) {
  return {
    id: citation.document_id,
    version: citation.document_version,
    title: citation.title,
    url: citation.url,
    page: citation.page,
    start: citation.source_start,
    end: citation.source_end,
  };
}

function isDoubtful(sentence) {
  return sentence.verdict === "unsupported" || sentence.verdict === "unchecked";
}

/** "fuse: ..." as people say it. */
function fallenBack(message) {
  const [, stage, what] = /^([a-z_]{2,20}): (.+)$/s.exec(message) ?? [];
  return stage ? `${stageName(stage)}: fallen back. ${what}` : `Fallen back: ${message}`;
}

/** A passage without the headings that it begins with, where these are told above it anyway. */
function withoutHeadings(text, names) {
  const lines = text.split("\n");
  const told = (line) => line.trim() === "" || names.includes(line.replace(/^#{1,6} /, "").trim());
  const first = lines.findIndex((line) => !told(line));
  return first < 0 ? text : lines.slice(first).join("\n");
}

/** A passage on one line, without the signs of Markdown's headings and fences. */
function excerpt(text) {
  const prose = text.replace(/^#{1,6} .*$/gm, "").replace(/^\s*(?:```|~~~).*$/gm, "");
  return (prose.trim() ? prose : text).replace(/\s+/g, " ").trim();
}

function verdictOf(turn) {
  if (turn.lost && turn.status === "streaming") return { busy: true, text: "Connection lost, trying again" };
  if (turn.status === "waiting") return { busy: true, text: "Searching" };
  if (turn.status === "streaming") return { busy: true, text: turn.sentences.length ? "Checking each sentence" : turn.sources.length ? "Reading" : "Searching" };
  if (turn.status === "failed") return { text: "Failed" };
  if (turn.status === "stopped") return { text: "Stopped" };
  const flagged = turn.sentences.some(isDoubtful);
  if (turn.response.verdict === "partial" && !flagged) return { calm: true, text: heldBack(turn).length ? "Supported, with gaps" : "Cut short" };
  return { text: VERDICTS[turn.response.verdict] ?? turn.response.verdict };
}

/** How a block looks, without what comes and goes: hovering, focus, and that a sentence is new. */
function lookOf(block) {
  const copy = block.cloneNode(true);
  for (const one of copy.querySelectorAll(".now")) one.classList.remove("now");
  return copy.outerHTML;
}

function times({ stages, usage }) {
  const all = stages.reduce((sum, one) => sum + one.took_ms, 0) || 1;
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  for (const one of stages) {
    const part = element("i", { class: one.outcome, title: `${stageName(one.name)}: ${milliseconds(one.took_ms)}` });
    part.style.flexGrow = String(Math.max(one.took_ms / all, 0.004));
    bar.append(part);
  }
  const over = (one) => (one.outcome === "ok" ? "" : one.outcome === "timeout" ? "out of time" : one.outcome);
  const rows = stages.map((one) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, stageName(one.name)),
      element("td", {}, milliseconds(one.took_ms)),
      element("td", { class: over(one) ? "ran-over" : "" }, over(one) || (one.budget_ms === null ? "" : `of ${milliseconds(one.budget_ms)}`)),
    ),
  );
  const by = usage?.model ? ` · ${usage.model}` : "";
  return element(
    "details",
    { class: "times" },
    element("summary", {}, bar, element("span", {}, `Work of ${milliseconds(all)}${by}`)),
    element("table", {}, element("caption", { class: "unseen" }, "Stages"), element("tbody", {}, rows)),
  );
}

function withSources(turn) {
  const lines = new Map();
  for (const one of citationsOf(turn)) lines.set(one.marker, `[${one.marker}] ${one.title || one.document_id}${one.url ? ` <${one.url}>` : ""}`);
  return [answerOf(turn).trim(), [...lines.values()].join("\n")].filter(Boolean).join("\n\n");
}
