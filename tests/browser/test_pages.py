"""Every page: accessible in light and dark, small, as wide as the screen, and readable without scripts."""

import pytest
from visit import PHONE


def wrongs(seen, path):
    """What is wrong with a page."""
    assert seen.go(path).status == 200, path
    seen.page.wait_for_load_state("load")
    if seen.page.locator("#log").count():
        seen.page.locator("#log[data-ready]").wait_for()
    found = seen.violations()
    if seen.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("it is wider than the screen")
    if seen.page.locator("h1").count() != 1:
        found.append("it has no heading, or several")
    return [f"{path}: {wrong}" for wrong in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["wide", "phone"])
def test_every_page_is_accessible_and_fits(visit, house, story, scheme, width):
    seen = visit(house, "operator", color_scheme=scheme, **(PHONE if width == "phone" else {}))
    found = [wrong for path in story.pages() for wrong in wrongs(seen, path)]
    assert not found, "\n".join(found)


def test_every_page_is_small_with_all_that_it_needs(visit, house, story):
    cookies = visit(house, "operator").context.cookies()
    for path in story.pages():
        # In a browser that has been nowhere else.
        seen = visit(house)
        seen.context.add_cookies(cookies)
        seen.go(path)
        seen.page.wait_for_load_state("load")
        seen.is_small()


def test_every_page_is_readable_without_scripts(visit, house, story):
    seen = visit(house, "operator", java_script_enabled=False)
    for path in story.pages():
        assert seen.go(path).status == 200, path
        assert seen.page.locator("main").inner_text().strip(), path


def test_those_who_are_not_signed_in_see_the_sign_in_and_what_is_not_there_is_said(visit, house, story):
    seen = visit(house)
    for path in story.pages():
        seen.go(path)
        assert "/signin" in seen.page.url, path
    seen.is_accessible()
    known = visit(house, "viewer")
    known.expected.append("404")
    assert known.go("/jobs/01a200c4-427d-70d8-a1ec-52f574a5ed5a").status == 404
    known.is_accessible()
