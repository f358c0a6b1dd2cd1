"""Pictures of the page for people to look at, and what a machine can say of them: nothing runs over the edge."""

from __future__ import annotations

import pytest

CASES = [(size, theme) for size in ("desktop", "phone") for theme in ("light", "dark")]


@pytest.mark.parametrize(("size", "theme"), CASES)
def test_the_page_in_both_sizes_and_themes(open_page, shot, size, theme):
    watched = open_page(size, theme)
    page = watched.page

    def picture(name):
        file = shot(watched, f"{size}-{theme}-{name}")
        assert file.stat().st_size > 5_000
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    picture("1-empty")
    watched.ask("How long do refunds take, and what about exchanges?")
    page.locator(".sentence").first.wait_for()
    picture("2-streaming")
    watched.settled()
    picture("3-answer")
    marker = page.locator(".marker").first
    marker.tap() if size == "phone" else marker.hover()
    page.locator(".popover").wait_for()
    picture("4-quote")
    page.get_by_role("button", name="Show in the document").click()
    page.locator("#reader mark").wait_for()
    picture("5-document")
    page.keyboard.press("Escape")
    watched.ask("Which prefix?")
    watched.settled()
    page.locator(".times summary").last.click()
    picture("6-follow-up")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Add a condition").click()
    picture("7-filters")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="History").click()
    page.get_by_role("dialog", name="History").wait_for()
    picture("8-history")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="New", exact=True).click()
    watched.ask("Some nonsense of refuge")
    watched.settled()
    picture("9-abstained")
