// An answer's Markdown as a harmless fragment, with its markers, its sentences and its gaps as elements.
//
// Places in the text are carried through Markdown by marks: a pair of rare brackets around a letter and a number. The
// pair is one that the text does not have, and is punctuation, which Markdown's emphasis rules look at.

import { DOMPurify, MarkdownIt } from "./vendor/markdown.js";
import { element } from "./element.js";

const PAIRS = ["⧼⧽", "⦗⦘", "⸨⸩", "⟬⟭", "⦕⦖"];
const FENCE = /^\s{0,3}(?:```|~~~)/;
const LONGEST = 200_000;

const parser = new MarkdownIt({ html: false, linkify: false, typographer: false }).disable(["image", "html_inline", "html_block"]);
parser.core.ruler.push("lines", (state) => {
  for (const token of state.tokens) {
    if (token.type === "fence" || token.type === "code_block") token.attrSet("data-line", String(token.map[0]));
  }
});

const ALLOWED = {
  ALLOWED_TAGS: ["a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"],
  ALLOWED_ATTR: ["href", "start", "data-line"],
  ALLOWED_URI_REGEXP: /^https?:\/\//i,
  RETURN_DOM_FRAGMENT: true,
};

/** Blocks of an answer as elements.
 *
 * sentences: as events have them. held: those that were held back. marker(citation), gap(withheld) make elements;
 * sentence(event) makes the element that a sentence's words are put into, as often as there are stretches of them;
 * flag(event) lists what stands behind them.
 */
export function render({ sentences, held, marker, gap, sentence, flag }) {
  const whole = sentences.map((one) => one.text).join("");
  const pair = whole.length > LONGEST ? undefined : PAIRS.find((one) => ![...one].some((sign) => whole.includes(sign)));
  if (pair === undefined) return [element("p", { class: "plain" }, whole), ...held.map((one) => element("p", {}, gap(one)))];
  const [opens, closes] = pair;
  const fenced = new Map();
  const markdown = written(sentences, held, (kind, number) => `${opens}${kind}${number}${closes}`, fenced);
  const fragment = DOMPurify.sanitize(parser.render(markdown), ALLOWED);
  const linked = new Set(sentences.flatMap((one) => one.citations).flatMap((one) => (URL.canParse(one.url ?? "") ? [new URL(one.url).href] : [])));
  for (const link of fragment.querySelectorAll("a")) {
    if (!linked.has(link.href)) {
      link.replaceWith(...link.childNodes); // the service lets no link pass but to a cited source; nor does the page
      continue;
    }
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const table of fragment.querySelectorAll("table")) {
    const scrolls = element("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Table" });
    table.replaceWith(scrolls);
    scrolls.append(table);
  }
  for (const pre of fragment.querySelectorAll("pre")) {
    pre.tabIndex = 0; // it scrolls, and who has no pointer must be able to
    pre.setAttribute("role", "region");
    pre.setAttribute("aria-label", "Code");
  }
  decorate(fragment, new RegExp(`${opens}([swc])(\\d+)${closes}`, "g"), sentences, held, { marker, gap, sentence, flag });
  for (const code of fragment.querySelectorAll("[data-line]")) {
    const said = fenced.get(Number(code.dataset.line));
    delete code.dataset.line;
    if (said !== undefined) code.classList.add("said", said.verdict);
  }
  return [...fragment.childNodes].filter((one) => one.nodeType === Node.ELEMENT_NODE);
}

/** The text with marks at markers, at ends of sentences and where something was held back. */
function written(sentences, held, mark, fenced) {
  const citations = sentences.flatMap((one) => one.citations);
  const gaps = [...held];
  let text = "";
  const close = (marks) => {
    const body = text.trimEnd();
    const last = body.slice(body.lastIndexOf("\n") + 1);
    if (FENCE.test(last) || /^\s*(?:[|:\s-]+|=+|[*_\s]+)$/.test(last)) text = `${body}\n\n${marks}\n\n`;
    else text = body + marks + text.slice(body.length);
  };
  const lost = (upTo) => {
    let marks = "";
    while (gaps.length && gaps[0].index < upTo) marks += mark("w", held.indexOf(gaps.shift()));
    if (!marks) return;
    if (text === "") text = `${marks}\n\n`;
    else close(marks);
  };
  sentences.forEach((one, place) => {
    lost(one.index);
    const signs = [...one.text];
    for (const citation of [...one.citations].sort((a, b) => b.marker_start - a.marker_start)) {
      const [start, end] = [citation.marker_start - one.start, citation.marker_end - one.start];
      const brackets = signs.slice(start, end).join("");
      if (/^\s*\[\d+\]$/.test(brackets)) signs.splice(start, end - start, mark("c", citations.indexOf(citation)));
    }
    if (FENCE.test(one.text)) fenced.set(text.split("\n").length - 1, one);
    text += signs.join("");
    if (FENCE.test(one.text)) text = `${text.trimEnd()}\n\n`; // its marker is not the next sentence's
    else if (/[\p{L}\p{N}]/u.test(one.text)) close(mark("s", place));
  });
  lost(Infinity);
  return text;
}

/** Marks become elements; the words before an end of a sentence, back to the last end, are put into its element. */
function decorate(fragment, marks, sentences, held, make) {
  const citations = sentences.flatMap((one) => one.citations);
  const walker = document.createTreeWalker(fragment, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  let open = [];
  for (const text of texts) {
    const parts = [];
    const code = text.parentElement?.closest("pre");
    let at = 0;
    for (const found of text.data.matchAll(marks)) {
      const before = text.data.slice(at, found.index);
      const spaced = found[1] === "c" && !code ? before.trimEnd() : before; // a marker stands close to its sentence
      if (spaced) parts.push(...after(parts.at(-1), spaced));
      at = found.index + found[0].length;
      const number = Number(found[2]);
      if (found[1] === "c") parts.push(...(code ? [make.marker(citations[number])] : beside(parts, make.marker(citations[number]))));
      else if (found[1] === "w") parts.push(make.gap(held[number]));
      else parts.push(number, ...make.flag(sentences[number]));
    }
    if (at < text.data.length) parts.push(...after(parts.at(-1), text.data.slice(at)));
    const nodes = parts.filter((one) => typeof one !== "number");
    text.replaceWith(...nodes);
    for (const part of parts) {
      if (typeof part === "number") {
        for (const one of open) wrap(one, make.sentence(sentences[part]));
        open = [];
      } else if (!code && isWords(part)) {
        open.push(part);
      }
    }
  }
}

function isWords(node) {
  return node.nodeType === Node.TEXT_NODE ? node.data.trim() !== "" : node.matches(".marker, .together");
}

/** A marker with the word before it, which it is not parted from at the end of a line; that word leaves `parts`. */
function beside(parts, marker) {
  const last = parts.at(-1);
  if (last instanceof Element && last.matches(".together")) {
    last.append(marker);
    return [];
  }
  const word = last instanceof Text ? /\S{1,24}$/.exec(last.data)?.[0] : undefined;
  if (!word || !/(?:^|\s)$/.test(last.data.slice(0, -word.length))) return [marker];
  last.data = last.data.slice(0, -word.length);
  if (!last.data) parts.pop();
  return [element("span", { class: "together" }, word, marker)];
}

/** Words after a part; a full stop that follows a marker stays with it. */
function after(part, words) {
  const stop = part instanceof Element && part.matches(".together") ? (/^[.,;:!?…)\]»”。、，]+/.exec(words)?.[0] ?? "") : "";
  if (stop) part.append(stop);
  return words.length > stop.length ? [document.createTextNode(words.slice(stop.length))] : [];
}

function wrap(node, around) {
  const before = node.previousSibling;
  if (before?.nodeType === Node.ELEMENT_NODE && before.dataset.sentence === around.dataset.sentence) {
    before.append(node);
    return;
  }
  node.replaceWith(around);
  around.append(node);
}
