// The quote behind a marker: shown while the marker is pointed at, focused or tapped; a click opens the document.

import { element } from "./element.js";

const LEAVE_MS = 160;

export class QuotePopover {
  #shown = null;
  #box;
  #leaving = 0;
  #open;

  /** open(citation, marker) shows the whole document. */
  constructor(open) {
    this.#open = open;
    this.#box = element("div", { class: "popover", role: "tooltip", id: "quote-popover", hidden: true });
    this.#box.addEventListener("pointerenter", () => clearTimeout(this.#leaving));
    this.#box.addEventListener("pointerleave", () => this.#leave());
    document.body.append(this.#box);
    document.addEventListener("pointerdown", (event) => {
      if (this.#shown && !this.#box.contains(event.target) && !event.target.closest?.(".marker")) this.hide();
    });
    addEventListener("scroll", () => this.#place(), { capture: true, passive: true });
    addEventListener("resize", () => this.hide());
  }

  get shown() {
    return this.#shown !== null;
  }

  /** Makes a marker show this citation. */
  attach(marker, citation) {
    marker.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") this.show(marker, citation);
    });
    marker.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") this.#leave();
    });
    marker.addEventListener("focus", () => {
      if (marker.matches(":focus-visible")) this.show(marker, citation);
    });
    marker.addEventListener("blur", () => this.#leave());
    let touched = false;
    marker.addEventListener("pointerdown", (event) => {
      touched = event.pointerType !== "mouse";
    });
    marker.addEventListener("click", () => {
      const first = touched && this.#shown !== marker; // a first tap shows the quote, as there is no hovering
      touched = false;
      if (first) this.show(marker, citation);
      else {
        this.hide();
        this.#open(citation, marker);
      }
    });
  }

  show(marker, citation) {
    clearTimeout(this.#leaving);
    if (this.#shown === marker) return;
    this.hide();
    this.#shown = marker;
    const place = [citation.title || citation.document_id, citation.page && `page ${citation.page}`].filter(Boolean);
    this.#box.replaceChildren(
      element("blockquote", { dir: "auto" }, citation.quote),
      element("p", { class: "from" }, place.join(", ")),
      element("p", { class: "checked" }, `Exact quote; supports the sentence (${percent(citation.support)})`),
      element(
        "p",
        { class: "action" },
        element("button", { type: "button", class: "link", click: () => (this.hide(), this.#open(citation, marker)) }, "Show in the document"),
      ),
    );
    this.#box.hidden = false;
    marker.setAttribute("aria-describedby", this.#box.id);
    marker.setAttribute("aria-expanded", "true");
    this.#place();
  }

  hide() {
    clearTimeout(this.#leaving);
    this.#shown?.removeAttribute("aria-describedby");
    this.#shown?.setAttribute("aria-expanded", "false");
    this.#shown = null;
    this.#box.hidden = true;
  }

  #leave() {
    clearTimeout(this.#leaving);
    this.#leaving = setTimeout(() => {
      if (!this.#box.contains(document.activeElement) && document.activeElement !== this.#shown) this.hide();
      else if (document.activeElement === this.#shown && !this.#shown.matches(":focus-visible")) this.hide();
    }, LEAVE_MS);
  }

  /** Under the marker where there is room, else above it; never outside the window. */
  #place() {
    if (this.#shown === null) return;
    if (!this.#shown.isConnected) {
      this.hide();
      return;
    }
    const at = this.#shown.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#box;
    const left = Math.max(16, Math.min(at.left + at.width / 2 - width / 2, document.documentElement.clientWidth - width - 16));
    const below = at.bottom + 10;
    const top = below + height > innerHeight - 8 && at.top - height - 10 > 0 ? at.top - height - 10 : below;
    this.#box.style.left = `${left}px`;
    this.#box.style.top = `${top}px`;
  }
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}
