// How to search, and in what: the fields of a request that are not the question.

import { element, icon } from "./element.js";

const OPERATORS = [
  ["$eq", "is"],
  ["$ne", "is not"],
  ["$gte", "is at least"],
  ["$lte", "is at most"],
  ["$in", "is one of"],
  ["$exists", "exists"],
];

export class Filters {
  #place;
  #say;
  #conditions;
  #fields;
  #wrong;
  #mode;
  #guardrail;
  #passages;
  #guarded;

  /** place: where the form is; say: the words on the button; guarded: the service's own guardrail mode. */
  constructor(place, say, guarded) {
    this.#place = place;
    this.#say = say;
    this.#guarded = guarded;
    this.#mode = choice("mode", [["hybrid", "Meaning and words"], ["dense", "Meaning only"], ["lexical", "Words only"]]);
    this.#guardrail = choice("guardrail", [["verified", "Hold it back"], ["flagged", "Show it, marked"]]);
    this.#guardrail.value = guarded;
    this.#passages = element("input", { id: "top_k", type: "number", min: 1, max: 50, step: 1, inputmode: "numeric", placeholder: "as set" });
    this.#conditions = element("div", { id: "conditions" });
    this.#fields = element("datalist", { id: "fields" });
    this.#wrong = element("p", { class: "wrong", role: "alert", hidden: true });
    place.append(
      element(
        "fieldset",
        {},
        element("legend", {}, "Only documents whose"),
        this.#conditions,
        element("button", { type: "button", class: "link", id: "add-condition", click: () => this.#add().focus() }, "Add a condition"),
        this.#fields,
      ),
      element(
        "div",
        { class: "pair" },
        labelled("Search by", this.#mode),
        labelled("A sentence that is not supported", this.#guardrail),
        labelled("Passages looked at", this.#passages),
      ),
      this.#wrong,
    );
    place.addEventListener("input", () => this.#tell());
  }

  /** The fields of a request. */
  asked() {
    const asked = {};
    if (this.#mode.value !== "hybrid") asked.mode = this.#mode.value;
    if (this.#guardrail.value !== this.#guarded) asked.guardrail = this.#guardrail.value;
    const passages = Number(this.#passages.value);
    if (this.#passages.value && Number.isInteger(passages) && passages >= 1) asked.top_k = passages;
    const conditions = [...this.#conditions.children].map(conditionOf).filter((one) => one !== null);
    if (conditions.length === 1) asked.filter = conditions[0];
    else if (conditions.length > 1) asked.filter = { $and: conditions };
    return asked;
  }

  /** Names of metadata fields that were seen in sources. */
  learn(sources) {
    const known = new Set([...this.#fields.children].map((one) => one.value));
    for (const name of sources.flatMap((one) => Object.keys(one.document.metadata ?? {}))) {
      if (known.size < 100 && !known.has(name)) this.#fields.append(element("option", { value: name }));
      known.add(name);
    }
  }

  /** What the service found wrong with them; null: nothing. */
  complain(message) {
    this.#wrong.textContent = message ?? "";
    this.#wrong.hidden = message === null;
  }

  #add() {
    const field = element("input", { class: "field", "aria-label": "Field", placeholder: "lang", list: "fields", autocomplete: "off", spellcheck: "false" });
    const operator = element("select", { class: "operator", "aria-label": "Comparison" }, OPERATORS.map(([value, name]) => element("option", { value }, name)));
    const value = element("input", { class: "value", "aria-label": "Value", placeholder: "en", autocomplete: "off", spellcheck: "false" });
    operator.addEventListener("change", () => {
      value.placeholder = { $in: "en, de", $exists: "true" }[operator.value] ?? "en";
    });
    const remove = () => {
      row.remove();
      this.#tell();
      this.#place.querySelector("#add-condition").focus();
    };
    const row = element(
      "div",
      { class: "condition" },
      field,
      operator,
      value,
      element("button", { type: "button", class: "quiet", "aria-label": "Remove this condition", click: remove }, icon("close")),
    );
    this.#conditions.append(row);
    return field;
  }

  #tell() {
    this.complain(null);
    const { filter, ...others } = this.asked();
    const active = Object.keys(others).length + (filter === undefined ? 0 : (filter.$and?.length ?? 1));
    this.#say.textContent = active ? `Filters (${active})` : "Filters";
    this.#say.parentElement.classList.toggle("active", active > 0);
  }
}

function conditionOf(row) {
  const [field, operator, value] = ["field", "operator", "value"].map((name) => row.querySelector(`.${name}`).value.trim());
  if (!field) return null;
  if (operator === "$exists") return { [field]: { $exists: value !== "false" && value !== "no" } };
  if (!value) return null;
  if (operator === "$in") return { [field]: { $in: value.split(",").map((one) => typed(one.trim())).filter((one) => one !== "") } };
  return { [field]: operator === "$eq" ? typed(value) : { [operator]: typed(value) } };
}

/** A value as metadata has it: a number or a truth value where it looks like one; in quotation marks it stays text. */
function typed(value) {
  if (/^-?\d+(?:\.\d+)?$/.test(value) && Number.isFinite(Number(value))) return Number(value);
  if (value === "true" || value === "false") return value === "true";
  const quoted = /^"(.*)"$/.exec(value);
  return quoted ? quoted[1] : value;
}

function choice(id, options) {
  return element("select", { id }, options.map(([value, name]) => element("option", { value }, name)));
}

function labelled(name, control) {
  return element("div", {}, element("label", { for: control.id, class: "caption" }, name), control);
}
