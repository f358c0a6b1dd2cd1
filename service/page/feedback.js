// Was this right? POST /v1/feedback; where the service has no such route, nothing is asked.

import { element, icon } from "./element.js";

/** Buttons for a turn. changed(): its rating is to be kept; gone(): the route is not there. */
export function ratingButtons(turn, { changed, gone }) {
  const said = element("span", { role: "status", class: "soft" });
  const place = element("div", { class: "rating" });
  const comment = element("input", { type: "text", maxlength: 2000, "aria-label": "What was wrong?", placeholder: "What was wrong? (optional)" });
  const form = element("form", { class: "comment", hidden: true }, comment, element("button", { type: "submit" }, "Send"));
  const send = async (rating, words) => {
    let response;
    try {
      response = await fetch("v1/feedback", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ request_id: turn.request, rating, ...(words ? { comment: words } : {}) }),
      });
    } catch {
      said.textContent = "Not sent: the service cannot be reached.";
      return false;
    }
    if (response.ok) {
      said.textContent = "Thank you.";
      return true;
    }
    const problem = await response.json().catch(() => ({}));
    if (problem.type === "urn:footnote:problem:answer-unknown") said.textContent = "Not sent: the service no longer remembers this answer.";
    else if (response.status === 404 || response.status === 405) gone();
    else said.textContent = response.status === 507 ? "Not sent: the service cannot keep ratings now." : "Not sent.";
    return false;
  };
  const buttons = [["up", "Good answer"], ["down", "Bad answer"]].map(([rating, name]) =>
    element(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-label": name,
        title: name,
        "aria-pressed": String(turn.rating === rating),
        click: async () => {
          if (!(await send(rating))) return;
          turn.rating = rating;
          buttons.forEach((one, at) => one.setAttribute("aria-pressed", String(at === (rating === "up" ? 0 : 1))));
          form.hidden = rating === "up";
          if (!form.hidden) comment.focus();
          changed();
        },
      },
      icon(rating),
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (comment.value.trim() && (await send(turn.rating, comment.value.trim()))) form.hidden = true;
  });
  place.append(...buttons, said);
  return { buttons: place, form };
}
