// A whole document at the side, with the quote highlighted in it.

import { element, icon } from "./element.js";

export class Reader {
  #dialog;
  #title;
  #about;
  #body;
  #foot;
  #asked = 0;
  #kept = new Map();
  #from = { element: null, turn: null };

  constructor() {
    this.#title = element("h2", { id: "reader-title" });
    this.#about = element("p", {});
    this.#body = element("div", { class: "sheet-body", tabindex: 0, role: "region", "aria-label": "Document" });
    this.#foot = element("div", { class: "sheet-foot" });
    const close = element("button", { type: "button", class: "quiet", "aria-label": "Close", click: () => this.#dialog.close() }, icon("close"));
    this.#dialog = element(
      "dialog",
      { class: "side", id: "reader", "aria-labelledby": "reader-title" },
      element("div", { class: "sheet-top" }, element("div", {}, this.#title, this.#about), close),
      this.#body,
      this.#foot,
    );
    closeOnVeil(this.#dialog);
    this.#dialog.addEventListener("close", () => this.#findBack());
    document.body.append(this.#dialog);
  }

  /** Show code points [start, end) of a document version; the focus comes back to `from` afterwards. */
  async show({ id, version, title, url, page, start, end }, from) {
    const asked = ++this.#asked;
    this.#title.textContent = title || id;
    this.#about.textContent = [id === title ? "" : id, page && `page ${page}`, `version ${version.slice(0, 12)}`].filter(Boolean).join(" · ");
    this.#body.replaceChildren(element("p", { class: "soft", role: "status" }, "Loading…"));
    this.#foot.replaceChildren(element("a", { href: `s/${version}/${start}-${end}#quote`, target: "_blank", rel: "noopener" }, "Link to this quote"));
    if (/^https?:/i.test(url ?? "")) {
      this.#foot.append(element("a", { href: url, target: "_blank", rel: "noopener noreferrer nofollow" }, "Original"));
    }
    if (!this.#dialog.open) {
      this.#from = { element: from, turn: from?.closest(".turn") };
      from?.focus({ preventScroll: true }); // what has the focus now gets it back at the very moment of closing
      this.#dialog.showModal();
    }
    let text;
    try {
      text = await this.#fetched(id, version);
    } catch (error) {
      if (asked === this.#asked) this.#body.replaceChildren(element("p", { class: "trouble", role: "alert" }, error.message));
      return;
    }
    if (asked !== this.#asked) return;
    const signs = [...text]; // offsets are code points
    const mark = element("mark", { id: "quote" }, dressed(signs.slice(start, end)));
    this.#body.replaceChildren(
      element("div", { class: "document", dir: "auto" }, dressed(signs.slice(0, start)), mark, dressed(signs.slice(end))),
    );
    mark.scrollIntoView({ block: "center", behavior: "instant" });
    this.#body.focus({ preventScroll: true });
  }

  /** Where the focus came from was drawn anew meanwhile: its successor gets it, unless somebody took it. */
  #findBack() {
    const { element: from, turn } = this.#from;
    const nobody = document.activeElement === document.body || this.#dialog.contains(document.activeElement);
    if (!from || from.isConnected || !nobody) return;
    const { citation, passage } = from.dataset;
    const successor = citation ? `.marker[data-citation="${CSS.escape(citation)}"]` : `.source[data-passage="${CSS.escape(passage ?? "")}"]`;
    turn?.querySelector(successor)?.focus({ preventScroll: true });
  }

  async #fetched(id, version) {
    const key = `${version} ${id}`;
    if (!this.#kept.has(key)) {
      let response;
      try {
        response = await fetch(`v1/documents/${encodeURIComponent(id)}?version=${version}`);
      } catch {
        throw new Error("The service cannot be reached.");
      }
      if (response.status === 410) throw new Error("This version of the document is no longer kept. The quote above it was exact when it was given.");
      if (!response.ok) throw new Error(`The document cannot be shown (${response.status}).`);
      this.#kept.set(key, (await response.json()).text);
      if (this.#kept.size > 8) this.#kept.delete(this.#kept.keys().next().value);
    }
    return this.#kept.get(key);
  }
}

/** Text as it is, its headings set apart. */
function dressed(signs) {
  return signs
    .join("")
    .split(/^(#{1,6} .+)$/m)
    .map((part, place) => (place % 2 ? heading(part) : part));
}

function heading(line) {
  const [, marks, words] = /^(#+ )(.*)$/s.exec(line);
  return element("span", { class: "heading" }, element("span", { class: "signs" }, marks), words);
}

/** A click beside a dialog closes it. */
export function closeOnVeil(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target !== dialog) return;
    const box = dialog.getBoundingClientRect();
    if (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom) dialog.close();
  });
}
