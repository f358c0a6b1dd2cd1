"""From a question to its answer, its quotes and its documents, as people do it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PAINT_MS_MAX = 150
CLOCKS = """
// When a chunk with a first sentence came into the page, and when the first sentence was painted: as the browser itself
// tells it of the element (element timing), and by a message after its frame.
window.clocks = [];
const read = ReadableStreamDefaultReader.prototype.read;
ReadableStreamDefaultReader.prototype.read = async function (...given) {
  const got = await read.apply(this, given);
  const came = performance.now();
  const text = got.value ? new TextDecoder().decode(got.value) : "";
  const open = window.clocks.at(-1);
  if (text.includes("event: meta")) window.clocks.push({ came: null, painted: null, framed: null });
  if (text.includes("event: sentence")) {
    const now = window.clocks.at(-1);
    now.came ??= came;
  }
  return got;
};
const afterFrame = (then) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => then(performance.now());
  channel.port2.postMessage(null);
});
window.emptyFrame = () => new Promise((resolve) => {
  const began = performance.now();
  document.documentElement.style.setProperty("--nothing", String(began));
  afterFrame((at) => resolve(at - began));
});
new MutationObserver(() => {
  const block = document.querySelector(".turn:last-child .sentence")?.closest(".answer > *");
  const now = window.clocks.at(-1);
  if (!block || !now?.came || now.seen) return;
  now.seen = true;
  block.setAttribute("elementtiming", `first-${window.clocks.length}`);
  afterFrame((at) => { now.framed = at; });
}).observe(document, { subtree: true, childList: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const now = window.clocks[Number(entry.identifier.replace("first-", "")) - 1];
    if (now) now.painted ??= entry.renderTime || entry.loadTime;
  }
}).observe({ type: "element", buffered: true });
"""


def violations(page):
    """What axe finds, as text. It is run beside the page, whose policy would not let it be added."""
    page.context.new_cdp_session(page).send("Page.enable")
    page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {one['help']}: {node['target']}" for one in found for node in one["nodes"]]


def test_a_question_its_answer_a_quote_and_the_document(open_page):
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take?")
    page.locator(".sentence").first.wait_for()
    assert page.get_by_role("button", name="Stop").is_visible()
    assert not page.get_by_role("button", name="Ask again").is_visible(), (
        "sentences are shown before the answer is whole"
    )
    watched.settled()
    turn = page.locator(".turn")
    assert (
        turn.locator(".answer p").first.inner_text().startswith("Refunds take 14 days after the parcel has reached us")
    )
    assert "30 days" not in page.locator("body").inner_text(), "what was held back is told, not shown"
    assert turn.locator(".gap").count() == 1
    assert "1 held back" in turn.locator(".verdict").inner_text()
    assert turn.locator(".answer li").count() == 2
    assert turn.locator(".sentence.supported").count() == 4
    assert turn.locator(".tally i").evaluate_all("all => all.map((one) => one.classList[0])") == [
        *("supported", "withheld"),
        *["supported"] * 3,
    ]
    marker = turn.locator(".marker").first
    marker.hover()
    assert page.locator(".popover blockquote").inner_text() == "Refunds take 14 days after the parcel has reached us."
    marker.click()
    mark = page.get_by_role("dialog").locator("mark")
    mark.wait_for()
    assert mark.inner_text() == "Refunds take 14 days after the parcel has reached us."
    text = page.get_by_role("dialog").locator(".document").inner_text()
    assert text.startswith("# Returns")
    assert text.rstrip().endswith("European Union.")
    link = page.get_by_role("link", name="Link to this quote").get_attribute("href")
    page.goto(page.url + link)
    assert page.locator("mark").inner_text() == "Refunds take 14 days after the parcel has reached us."


def test_a_quote_is_found_by_code_points_and_scrolled_to(open_page):
    watched = open_page()
    watched.ask("When do parcels arrive?")
    watched.settled()
    watched.page.locator(".marker").first.click()
    mark = watched.page.locator("#reader mark")
    mark.wait_for()
    assert mark.inner_text() == "Parcels to Zürich and 東京 😀 arrive within 3 working days."
    box = mark.bounding_box()
    assert 0 < box["y"] < 900
    assert watched.page.locator("#reader .sheet-body").evaluate("(one) => one.scrollTop") > 0


def test_a_marker_is_never_parted_from_its_word_and_its_full_stop(open_page):
    """At any width: a lone marker at the beginning of a line tells nothing."""
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take?")
    watched.settled()
    apart = """() => [...document.querySelectorAll(".answer .together")].filter((one) => {
        const range = document.createRange();
        range.selectNodeContents(one.firstChild);
        const word = range.getBoundingClientRect();
        range.selectNodeContents(one.lastChild);
        const stop = range.getBoundingClientRect();
        const marker = one.querySelector(".marker").getBoundingClientRect();
        return Math.abs(word.top - stop.top) > 3 || marker.bottom < word.top || marker.top > word.bottom;
    }).length"""
    assert page.locator(".answer .together").count() == page.locator(".answer .marker").count() == 4
    assert page.locator(".answer .together").all_inner_texts() == ["us1.", "one1.", "day1.", "Union1."]
    for width in range(320, 900, 23):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(apart) == 0, width


def test_code_is_shown_as_code_and_its_marker_works(open_page):
    watched = open_page()
    watched.ask("Which prefix?")
    watched.settled()
    code = watched.page.locator(".answer pre code")
    assert code.inner_text().strip() == "./install --prefix /usr/local"
    assert "said" in code.get_attribute("class")
    assert (
        watched.page.locator(".answer pre + p .marker").count() + watched.page.locator(".answer pre .marker").count()
        == 1
    )


def test_with_the_keyboard_alone(open_page):
    watched = open_page()
    page = watched.page

    def tab_to(selector, limit=40):
        for _ in range(limit):
            if page.evaluate("(one) => document.activeElement?.matches(one)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"the Tab key does not lead to {selector}")

    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.type("How long do refunds take?")
    page.keyboard.press("Enter")
    watched.settled()
    page.keyboard.press("Control+Home")
    page.locator("#name").focus()
    tab_to(".marker")
    page.locator(".popover").wait_for()
    described = page.locator(":focus").get_attribute("aria-describedby")
    assert page.locator(f"#{described} blockquote").inner_text().startswith("Refunds take 14 days")
    page.keyboard.press("Escape")
    page.locator(".popover").wait_for(state="hidden")
    page.keyboard.press("Enter")
    page.locator("#reader mark").wait_for()
    page.keyboard.press("Escape")
    page.locator("#reader").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.matches('.marker')"), "the focus comes back"
    tab_to(".source")
    page.keyboard.press("Enter")
    page.locator("#reader mark").wait_for()
    page.keyboard.press("Escape")
    tab_to("#question")
    page.keyboard.type("Which prefix?")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("On Linux?")
    page.keyboard.press("Enter")
    watched.settled()
    assert page.locator(".turn h2").last.inner_text() == "Which prefix?\nOn Linux?"


@pytest.mark.parametrize("opener", ["marker", "history"])
def test_a_dialog_gives_the_focus_back_at_once_and_takes_it_from_nobody_afterwards(open_page, opener):
    """Were it given back a little later, what is typed at once after Escape would go to the marker and open the
    document again.
    """
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take?")
    watched.settled()
    if opener == "marker":
        page.locator(".marker").first.hover()
        page.get_by_role("button", name="Show in the document").click()
        page.locator("#reader mark").wait_for()
    else:
        page.get_by_role("button", name="History").click()
    focused = page.evaluate(
        """async () => {
            document.querySelector("dialog[open]").close();
            const atOnce = document.activeElement;
            document.getElementById("question").focus();
            await new Promise((resolve) => setTimeout(resolve, 100)); // the event of its closing comes meanwhile
            return [atOnce.className || atOnce.id, document.activeElement.id];
        }"""
    )
    assert focused[1] == "question"
    assert focused[0].split()[0] == ("marker" if opener == "marker" else "quiet")


def test_escape_closes_what_is_on_top_and_that_alone(open_page):
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take?")
    watched.settled()
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Add a condition").click()
    page.keyboard.press("Escape")
    assert page.locator("#filters").is_hidden()
    assert page.evaluate("document.activeElement.id") == "filters-open"
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="History").click()
    page.keyboard.press("Escape")
    page.locator("#history").wait_for(state="hidden")
    assert page.locator("#filters").is_visible(), "it lay below"
    page.keyboard.press("Escape")
    assert page.locator("#filters").is_hidden(), "wherever the focus was"
    page.locator(".source").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")  # before its document has come
    page.locator("#reader").wait_for(state="hidden")
    page.wait_for_timeout(200)
    assert page.locator("#reader").is_hidden()
    assert page.evaluate("document.activeElement.matches('.source')")


def test_the_focus_finds_a_marker_that_was_drawn_anew_meanwhile(open_page):
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take?")
    page.locator(".marker").first.click()
    page.locator("#reader").wait_for()
    page.locator(".marker").nth(1).wait_for(state="attached")  # same paragraph
    page.keyboard.press("Escape")
    page.locator("#reader").wait_for(state="hidden")
    page.wait_for_timeout(100)
    assert page.evaluate("document.activeElement.dataset.citation") == "c1"
    watched.settled()
    assert page.evaluate("document.activeElement.dataset.citation") == "c1"


def test_a_screen_reader_is_told_each_sentence_once(open_page):
    watched = open_page()
    watched.ask("How long do refunds take?")
    watched.settled()
    log = watched.page.get_by_role("log")
    said = log.locator("p").all_inner_texts()
    assert said[0].strip() == "Refunds take 14 days after the parcel has reached us."
    assert said[1] == "A sentence was held back."
    assert len(said) == 6
    assert said[-1].startswith("Supported, with gaps")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_axe_finds_nothing(open_page, size, theme):
    watched = open_page(size, theme)
    page = watched.page
    assert violations(page) == []
    watched.ask("How long do refunds take?")
    watched.settled()
    page.locator(".times summary").click()
    page.wait_for_timeout(600)  # colours have come to rest
    assert violations(page) == []
    page.locator(".marker").first.focus()
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Add a condition").click()
    page.wait_for_timeout(300)
    assert violations(page) == []
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="History").click()
    page.wait_for_timeout(300)
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.locator(".source").first.click()
    page.locator("#reader mark").wait_for()
    page.wait_for_timeout(300)
    assert violations(page) == []


def painted_ms(page) -> tuple[list[float], list[float]]:
    """For each answer the milliseconds from the chunk with its first sentence to that sentence's paint: by the
    browser's element timing, and by a message after the frame.
    """
    for _ in range(150):  # the page's policy lets no condition be polled in the page itself
        if page.evaluate("window.clocks.every((one) => one.painted !== null && one.framed !== null)"):
            break
        page.wait_for_timeout(100)
    clocks = page.evaluate("window.clocks")
    return [one["painted"] - one["came"] for one in clocks], [one["framed"] - one["came"] for one in clocks]


def test_the_first_sentence_is_painted_soon_after_its_event(open_page):
    """By clocks that are not the page's own. What a machine takes for a frame in which nothing changed is told beside
    it, and not held against the page.
    """
    watched = open_page(before=CLOCKS)
    for _ in range(5):
        watched.ask("When do parcels arrive?")
        watched.settled()
    painted, framed = painted_ms(watched.page)
    empty = [watched.page.evaluate("window.emptyFrame()") for _ in range(9)]
    own = watched.page.evaluate("performance.getEntriesByType('measure').map((one) => one.duration)")
    assert len(painted) == len(own) == 5
    told = {"painted": painted, "framed": framed, "the page's own": own, "an empty frame": empty}
    print({name: f"median {median(all_ms):.0f} ms, worst {max(all_ms):.0f} ms" for name, all_ms in told.items()})
    assert median(painted) - median(empty) <= PAINT_MS_MAX, told
    assert median(own) - median(empty) <= PAINT_MS_MAX, told


def test_a_page_that_paints_late_would_be_found(open_page):
    """The control: the same clocks on a page whose frames take 400 ms."""
    busy = (
        "requestAnimationFrame(function busy() { for (const end = performance.now() + 400; performance.now() < end;); "
    )
    watched = open_page(before=CLOCKS)
    watched.page.evaluate(busy + "requestAnimationFrame(busy); })")
    watched.ask("When do parcels arrive?")
    watched.settled()
    painted, framed = painted_ms(watched.page)
    assert max(painted) > PAINT_MS_MAX
    assert max(framed) > PAINT_MS_MAX


def test_stopping_keeps_what_was_checked(open_page):
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take, slowly")
    page.locator(".sentence").wait_for()
    with page.expect_request(lambda one: one.method == "DELETE") as told:
        page.get_by_role("button", name="Stop").click()
    assert told.value.response().status == 204, "the work ends too"
    watched.settled()
    assert "Refunds take 14 days" in page.locator(".answer").inner_text()
    assert "stopped it" in page.locator(".notes").inner_text()
    assert page.get_by_role("button", name="Ask", exact=True).is_disabled()


def test_a_model_that_fails_is_told_beside_what_was_checked(open_page):
    watched = open_page()
    watched.ask("How long do refunds take, and fail")
    watched.settled()
    assert "Refunds take 14 days" in watched.page.locator(".answer").inner_text()
    assert "The chat model failed" in watched.page.locator(".notes").inner_text()


def test_an_abstention_says_so_and_shows_what_is_nearest(open_page):
    watched = open_page()
    watched.ask("nonsense")
    watched.settled()
    turn = watched.page.locator(".turn")
    assert turn.locator(".verdict").inner_text() == "Not answered"
    assert "No sentence stood up to the check" in turn.locator(".notes").inner_text()
    assert turn.locator(".sources h3").inner_text() == "Nearest sources"
    assert "moon" not in turn.inner_text()


def test_a_flagged_sentence_is_shown_and_marked(open_page):
    watched = open_page()
    page = watched.page
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("A sentence that is not supported").select_option("flagged")
    assert page.get_by_role("button", name="Filters (1)").is_visible()
    watched.ask("How long do refunds take?")
    watched.settled()
    assert "30 days" in page.locator(".sentence.unsupported").inner_text()
    assert page.locator(".flag").inner_text() == "Not supported"
    assert page.locator(".gap").count() == 0
    assert page.locator(".verdict").inner_text().startswith("Partly supported")


def test_filters_are_sent_and_what_is_wrong_with_them_is_shown(open_page):
    watched = open_page()
    page = watched.page
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Field").fill("year")
    page.get_by_label("Comparison").select_option("$gte")
    page.get_by_label("Value").fill("2020")
    with page.expect_request("**/v1/answer") as sent:
        watched.ask("Which prefix?")
    assert json.loads(sent.value.post_data) == {
        "query": "Which prefix?",
        "filter": {"year": {"$gte": 2020}},
        "stream": True,
        "resumable": True,
    }
    watched.settled()
    assert set(page.locator(".source .title").all_inner_texts()) == {"Install"}
    page.get_by_role("button", name="Filters (1)").click()
    page.get_by_label("Field").fill("$year")
    watched.ask("Which prefix?")
    page.locator(".filters .wrong").wait_for()
    assert page.locator(".notes .problem").is_visible()
    assert [one for one in watched.wrong if "422" not in one] == []
    watched.wrong.clear()


def test_history_is_kept_in_the_browser_and_two_tabs_lose_nothing(open_page, served):
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take?")
    watched.settled()
    other = page.context.new_page()
    other.goto(served)
    other.get_by_label("Your question").fill("Which prefix?")
    other.keyboard.press("Enter")
    other.get_by_role("button", name="Ask again").wait_for()
    page.reload()
    assert page.locator(".turn").count() == 0
    page.get_by_role("button", name="History").click()
    listed = page.locator(".threads .open span").all_inner_texts()
    assert listed == ["Which prefix?", "How long do refunds take?"]
    page.locator(".threads .open").last.click()
    assert page.locator(".turn .sentence.supported").count() == 4
    assert page.locator(".turn .gap").count() == 1
    page.locator(".marker").first.click()
    page.locator("#reader mark").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="History").click()
    page.get_by_role("button", name="Delete: Which prefix?").click()
    assert page.locator(".threads .open span").all_inner_texts() == ["How long do refunds take?"]
    page.get_by_role("button", name="Delete all").click()
    assert page.evaluate("Object.keys(localStorage).filter((one) => one.startsWith('footnote:thread'))") == []


def test_two_tabs_go_on_with_the_same_conversation_and_both_are_kept(open_page, served):
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take?")
    watched.settled()
    other = page.context.new_page()
    other.goto(served)
    other.get_by_role("button", name="History").click()
    other.locator(".threads .open").click()
    other.get_by_label("Your question").fill("Which prefix?")
    other.keyboard.press("Enter")
    other.locator(".turn").nth(1).get_by_role("button", name="Ask again").wait_for()
    watched.ask("When do parcels arrive?")
    watched.settled()
    kept = page.evaluate("JSON.parse(Object.entries(localStorage).find(([key]) => key.includes('thread'))[1]).turns")
    asked = ["How long do refunds take?", "Which prefix?", "When do parcels arrive?"]
    assert [one["question"] for one in kept] == asked
    assert [one["status"] for one in kept] == ["done"] * 3
    other.get_by_role("button", name="History").click()
    other.get_by_role("button", name="Delete all").click()
    page.locator(".turn").first.wait_for(state="detached")
    assert page.evaluate("Object.keys(localStorage).filter((one) => one.includes('thread'))") == []


def test_a_reload_meanwhile_loses_no_question(open_page):
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take, slowly")
    page.locator(".sentence").wait_for()
    page.reload()
    page.get_by_role("button", name="History").click()
    page.locator(".threads .open").click()
    assert page.locator(".turn h2").inner_text() == "How long do refunds take, slowly"
    assert page.locator(".verdict").inner_text() == "Stopped"


def test_damaged_history_is_passed_over(open_page):
    watched = open_page()
    page = watched.page
    page.evaluate(
        "localStorage.setItem('footnote:thread:a', '{');"
        ' localStorage.setItem(\'footnote:thread:b\', \'{"id": "b", "turns": [1]}\')'
    )
    page.get_by_role("button", name="History").click()
    assert "Nothing was asked yet" in page.get_by_role("dialog").inner_text()


def test_a_theme_that_is_chosen_stays(open_page):
    watched = open_page(theme="light")
    page = watched.page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == dark


def test_the_feedback_buttons_are_there_where_the_route_is(open_page, served):
    watched = open_page()
    watched.page.evaluate("document.body.dataset.feedback")
    has_route = watched.page.evaluate(
        "fetch('openapi.json').then((one) => one.json()).then((one) => '/v1/feedback' in one.paths)"
    )
    assert watched.page.evaluate("document.body.dataset.feedback") == str(has_route).lower() == "true"


def test_a_rating_is_kept_by_the_service_with_what_it_answered(open_page, page_index, shot):
    from service.ratings import read_ratings

    watched = open_page()
    page = watched.page
    watched.ask("Where do parcels go?")
    watched.settled()
    page.get_by_role("button", name="Good answer").click()
    page.get_by_text("Thank you.").wait_for()
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_label("What was wrong?").fill("Zürich is misspelt.")
    shot(watched, "rating")
    page.keyboard.press("Enter")
    page.get_by_label("What was wrong?").wait_for(state="hidden")
    kept = [
        one for one in read_ratings(page_index.with_name("index-feedback.sqlite")) if "parcels" in one.answer.question
    ]
    assert [(one.rating, one.comment) for one in kept] == [("down", "Zürich is misspelt.")]
    assert kept[0].answer.verdict == "grounded"
    assert [sentence.documents for sentence in kept[0].answer.sentences] == [["shop/shipping.md"]]


def test_an_answer_that_the_service_no_longer_remembers_is_said_and_the_buttons_stay(open_page, page_index):
    import sqlite3
    from contextlib import closing

    watched = open_page()
    page = watched.page
    watched.ask("Where do parcels go now?")
    watched.settled()
    page.wait_for_timeout(300)  # it is written
    with closing(sqlite3.connect(page_index.with_name("index-feedback.sqlite"), timeout=10)) as file:
        file.execute("DELETE FROM answers")
        file.commit()
    page.get_by_role("button", name="Good answer").click()
    page.get_by_text("Not sent: the service no longer remembers this answer.").wait_for()
    assert page.get_by_role("button", name="Good answer").get_attribute("aria-pressed") == "false"
    assert all("404" in one for one in watched.wrong)
    watched.wrong.clear()


def test_feedback_is_sent_with_its_request_and_its_comment(open_page, served):
    watched = open_page(address="about:blank")
    page = watched.page
    watched.wrong.clear()
    sent = []

    def with_feedback(route):
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace('data-feedback="false"', 'data-feedback="true"'))

    def take(route):
        sent.append(route.request.post_data_json)
        route.fulfill(status=204)

    page.route(served, with_feedback)
    page.route("**/v1/feedback", take)
    page.goto(served)
    watched.ask("How long do refunds take?")
    watched.settled()
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_label("What was wrong?").fill("It is 15 days.")
    page.keyboard.press("Enter")
    page.get_by_text("Thank you.").wait_for()
    page.wait_for_timeout(200)
    assert [one.get("comment") for one in sent] == [None, "It is 15 days."]
    assert {one["rating"] for one in sent} == {"down"}
    assert all(re.fullmatch(r"[0-9a-f]{24}", one["request_id"]) for one in sent)
    page.unroute("**/v1/feedback")
    unknown = json.dumps({"type": "urn:footnote:problem:answer-unknown", "status": 404})
    page.route("**/v1/feedback", lambda route: route.fulfill(status=404, body=unknown))
    page.get_by_role("button", name="Good answer").click()
    page.get_by_text("no longer remembers this answer").wait_for()
    page.unroute("**/v1/feedback")
    page.route("**/v1/feedback", lambda route: route.fulfill(status=404))
    page.get_by_role("button", name="Good answer").click()
    page.locator(".rating").wait_for(state="detached")
    assert all("404" in one or one.startswith("left for") for one in watched.wrong)
    watched.wrong.clear()


@pytest.fixture
def resumable(open_page, served):
    """A page over a service whose answers can be taken up again; its connections break after `cuts` bytes each."""

    def make(cuts, *, resume_status=200, first_status=200):
        watched = open_page(address="about:blank")
        watched.wrong.clear()
        state = SimpleNamespace(watched=watched, asked=[], resumed=[], whole=None, cuts=list(cuts))

        def document(route):
            response = route.fetch()
            body = response.text().replace('data-resumable="false"', 'data-resumable="true"')
            route.fulfill(response=response, body=body)

        def first(route):
            state.asked.append(route.request.post_data_json)
            if first_status != 200 and state.asked[-1].get("resumable"):
                route.fulfill(status=first_status, content_type="application/problem+json", body='{"title": "No"}')
                return
            sent = {key: value for key, value in state.asked[-1].items() if key != "resumable"}
            response = route.fetch(post_data=json.dumps(sent))
            state.whole = response.text()
            headers = {**response.headers, "x-resume-token": "t"} if first_status == 200 else response.headers
            cut = state.cuts.pop(0) if state.cuts else None
            route.fulfill(status=200, headers=headers, body=state.whole[:cut])

        def again(route):
            state.resumed.append(dict(route.request.headers))
            if resume_status != 200:
                route.fulfill(status=resume_status, body="{}")
                return
            after = int(route.request.headers["last-event-id"])
            blocks = [one for one in state.whole.split("\n\n") if one]
            numbered = [(int(re.search(r"^id: (\d+)", one, re.MULTILINE)[1]), one) for one in blocks]
            rest = "".join(one + "\n\n" for number, one in numbered if number >= after)
            cut = state.cuts.pop(0) if state.cuts else None
            route.fulfill(status=200, content_type="text/event-stream", body=rest[:cut])

        watched.page.route(served, document)
        watched.page.route("**/v1/answer", first)
        watched.page.route("**/v1/answers/*/events", again)
        watched.page.goto(served)
        return state

    return make


def test_a_connection_that_breaks_is_taken_up_again_and_nothing_comes_twice(resumable):
    """The second piece repeats the last event on purpose: it is not shown twice."""
    state = resumable([6_000, 2_500])
    page = state.watched.page
    state.watched.ask("How long do refunds take?")
    state.watched.settled()
    assert state.asked[0]["resumable"] is True
    assert len(state.resumed) == 2
    assert {one["x-resume-token"] for one in state.resumed} == {"t"}
    assert all(int(one["last-event-id"]) >= 1 for one in state.resumed)
    assert page.locator(".sentence.supported").count() == 4
    assert page.locator(".gap").count() == 1
    assert page.locator(".problem").count() == 0
    assert [one for one in state.watched.wrong if "left for" not in one] == []
    state.watched.wrong.clear()


def test_a_cable_that_is_pulled_out_meanwhile(open_page, cable):
    """Where the service can resume answers nothing is lost; elsewhere it is told, beside what was checked."""
    watched = open_page(address=f"http://127.0.0.1:{cable.port}/")
    page = watched.page
    watched.ask("How long do refunds take?")
    page.locator(".sentence").first.wait_for()
    cable.pull()
    watched.settled()
    if page.evaluate("document.body.dataset.resumable") == "true":
        assert page.locator(".sentence.supported").count() == 4
        assert page.locator(".gap").count() == 1
        assert page.locator(".problem").count() == 0
    else:
        assert "The connection was lost" in page.locator(".problem").inner_text()
        assert page.locator(".sentence.supported").count() >= 1
    watched.wrong.clear()  # the browser tells of the broken connection


def test_an_answer_that_is_not_kept_any_more_is_told(resumable):
    state = resumable([6_000], resume_status=410)
    state.watched.ask("How long do refunds take?")
    state.watched.settled()
    assert "The connection was lost" in state.watched.page.locator(".problem").inner_text()
    assert len(state.resumed) == 1
    state.watched.wrong.clear()


def test_where_workers_share_nothing_it_is_asked_without(resumable):
    state = resumable([], first_status=409)
    state.watched.ask("How long do refunds take?")
    state.watched.settled()
    assert [one.get("resumable") for one in state.asked] == [True, None]
    assert state.watched.page.locator(".sentence.supported").count() == 4
    state.watched.wrong.clear()


def test_offline_the_page_says_so_and_still_shows_what_it_has(open_page):
    watched = open_page()
    page = watched.page
    watched.ask("How long do refunds take?")
    watched.settled()
    page.locator(".marker").first.click()
    page.locator("#reader mark").wait_for()
    page.keyboard.press("Escape")
    page.context.set_offline(True)
    watched.ask("Which prefix?")
    watched.settled()
    assert "cannot be reached" in page.locator(".problem").inner_text()
    page.locator(".marker").first.click()
    page.locator("#reader mark").wait_for()
    page.keyboard.press("Escape")
    page.locator(".source", has_text="Shipping").first.click()
    page.get_by_role("dialog").get_by_text("cannot be reached").wait_for()
    page.keyboard.press("Escape")
    page.context.set_offline(False)
    page.locator(".turn").last.get_by_role("button", name="Ask again").click()
    page.locator(".turn").nth(2).get_by_role("button", name="Ask again").wait_for()
    assert page.locator(".turn").nth(2).locator(".sentence.supported").count() > 0
    assert all("ERR_INTERNET_DISCONNECTED" in one for one in watched.wrong)
    watched.wrong.clear()


def test_what_the_service_refuses_is_told_in_its_own_words(open_page):
    watched = open_page()
    problem = {"type": "urn:busy", "title": "Too many requests", "detail": "Eight are being answered.", "status": 429}
    watched.page.route(
        "**/v1/answer",
        lambda route: route.fulfill(
            status=429, content_type="application/problem+json", headers={"retry-after": "7"}, body=json.dumps(problem)
        ),
    )
    watched.ask("How long do refunds take?")
    watched.settled()
    assert (
        watched.page.locator(".problem").inner_text()
        == "Too many requests. Eight are being answered. Try again in 7 s."
    )
    watched.page.unroute("**/v1/answer")
    watched.page.route("**/v1/answer", lambda route: route.abort())
    watched.ask("And now?")
    watched.settled()
    assert "cannot be reached" in watched.page.locator(".problem").last.inner_text()
    watched.wrong.clear()
