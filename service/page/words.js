// What the page says of verdicts, reasons, ends and stages. The names on the left are the service's contract.

export const REASONS = {
  no_words: "it says nothing",
  heading: "it is a heading",
  introduction: "it introduces what follows",
  unknown_marker: "it cites a source that was not found",
  no_citation: "it cites no source that supports it",
  not_supported: "its source does not support it",
  number_mismatch: "a number in it is not in its source",
  unit_mismatch: "a number in it has another unit in its source",
  date_mismatch: "a date in it is not in its source",
  name_mismatch: "a name in it is not in its source",
  negation_mismatch: "it says the contrary of its source",
  opposite_mismatch: "it says the opposite of its source",
  modality_mismatch: "it is more certain, or stricter, than its source",
  scope_mismatch: "it says more than its source: all instead of some",
  order_mismatch: "it changes who does what to whom",
  symbol_mismatch: "a sign in it, as minus or >=, is not in its source",
  quote_not_exact: "it quotes what its source does not say",
  fused_sources: "it mixes what different places say",
  code_not_exact: "its code is not in its source",
  unsafe_markup: "it would link or run something",
  too_long: "it is too long to be checked",
  unchecked: "the check did not end in time",
};

export const SENTENCES = {
  supported: "Supported by its source",
  no_claim: "Claims nothing",
  unsupported: "Not supported",
  unchecked: "Not checked",
};

export const ENDS = {
  length: "The answer reached its length limit before it was finished.",
  deadline: "Time was up before the answer was finished. What is shown was checked.",
  provider_error: "The chat model failed before the answer was finished. What is shown was checked.",
  cancelled: "The answer was stopped before it was finished.",
};

export const ABSTENTIONS = {
  no_results: "Nothing was found that fits the question and the filters.",
  insufficient_evidence: "What was found does not seem to be enough for an answer.",
  nothing_supported: "No sentence stood up to the check against its source.",
};

const STAGES = {
  condense: "Understand the follow-up",
  embed: "Embed the question",
  dense: "Search by meaning",
  lexical: "Search by words",
  fuse: "Merge both",
  rerank: "Rerank",
  evidence: "Judge the evidence",
  generate: "Write",
  ground: "Check sentences",
};

export function stageName(name) {
  return STAGES[name] ?? name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
}

export function reasonOf(name) {
  return REASONS[name] ?? name.replaceAll("_", " ");
}

export function milliseconds(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(value >= 9950 ? 0 : 1)} s`;
  return value >= 9.95 ? `${Math.round(value)} ms` : `${value.toFixed(1)} ms`;
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
