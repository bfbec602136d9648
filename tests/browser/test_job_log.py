"""The log on a job's page: the same viewer in a box, for the attempt that is the last one."""

import re

import pytest
from gateway import until
from playwright.sync_api import expect
from visit import PHONE


def ready(seen, job):
    seen.go(f"/jobs/{job}")
    seen.page.locator("#log[data-ready]").wait_for()
    return seen.page


def test_a_job_that_waits_shows_its_log_as_soon_as_there_is_one_and_follows_it(gateway, visit):
    (decision,) = gateway.post("DatabaseDown", service="front")
    seen = visit(gateway, "viewer")
    page = seen.page
    seen.go(f"/jobs/{decision['job']}")
    expect(page.get_by_text("No attempt has begun yet.")).to_be_visible()
    expect(page.locator("#log")).to_have_count(0)
    gateway.call("POST", f"/api/v1/jobs/{decision['job']}/approve", {}, role="operator")
    expect(page.locator("#log-state")).to_have_text("Ended: ok")
    expect(page.get_by_text("PLAY RECAP")).to_be_in_viewport()
    expect(page.locator("#live-headline")).to_contain_text("succeeded")


def test_a_live_log_is_followed_while_the_rest_of_the_page_renews_itself(gateway, visit):
    pipe = gateway.pipe("job")
    job = gateway.queue("Spilt", file="job")
    pipe.say("TASK [Mend it] ****\n")
    gateway.until_logged(job, "Mend it")
    page = ready(visit(gateway, "viewer"), job)
    expect(page.locator("#log-state")).to_have_text("Live")
    view = page.locator("#log-text").element_handle()
    pipe.say("\x1b[31mred\x1b[0m and <b>bold</b>\n" + "more\n" * 500)
    expect(page.locator("#log-text .log-row").last).to_contain_text("more")
    until("it is at the end", lambda: view.evaluate("box => box.scrollTop + box.clientHeight >= box.scrollHeight - 2"))
    view.evaluate("box => { box.scrollTop = 0; }")
    expect(page.locator("#log-text .a-red")).to_have_text("red")
    page.get_by_role("button", name="Lines of Mend it").click()
    expect(page.locator("#log-text")).to_contain_text("lines folded")
    pipe.close()
    expect(page.locator("#live-headline")).to_contain_text("succeeded")
    expect(page.locator("#log-state")).to_have_text("Ended: ok")
    # As it was left: the same box, where it was, with what was folded.
    assert view.evaluate("box => box.isConnected && box.scrollTop === 0")
    expect(page.locator(".log-row", has_text="TASK [Mend it]")).to_contain_text("lines folded")
    page.locator(".log-row", has_text="TASK [Mend it]").locator(".log-number").click()
    page.wait_for_url(re.compile(rf"/jobs/{job}/log\?attempt=1#L\d+$"))
    expect(page.locator(".is-chosen")).to_contain_text("TASK [Mend it]")


def test_the_next_attempt_takes_the_place_of_the_one_before(gateway, visit):
    first, second = gateway.pipe("try-1"), gateway.pipe("try-2")
    job = gateway.queue("SpiltAgain", file="try")
    first.say("said at first\n")
    gateway.until_logged(job, "said at first")
    page = ready(visit(gateway, "viewer"), job)
    expect(page.locator("#log-text")).to_contain_text("said at first")
    first.close()
    expect(page.locator("#live-attempts")).to_contain_text("hosts failed")
    second.say("said then\n")
    expect(page.locator("#log-text")).to_contain_text("said then")
    expect(page.locator("#log-text")).not_to_contain_text("said at first")
    expect(page.get_by_role("link", name="Open in full")).to_have_attribute("href", f"/jobs/{job}/log?attempt=2")
    second.close()
    expect(page.locator("#log-state")).to_have_text("Ended: ok")


def test_who_reads_an_attempt_keeps_it_when_the_next_one_begins(gateway, visit):
    first, second = gateway.pipe("try-1"), gateway.pipe("try-2")
    job = gateway.queue("SpiltAgain", file="try")
    first.say("said at first\n" * 300)
    gateway.until_logged(job, "said at first")
    page = ready(visit(gateway, "viewer"), job)
    expect(page.locator("#log-text")).to_contain_text("said at first")
    page.locator("#log-text").hover()
    page.mouse.wheel(0, -500)
    expect(page.get_by_role("button", name="Follow the end")).to_be_visible()
    first.close()
    second.say("said then\n")
    expect(page.locator("#live-attempts")).to_contain_text("Attempt 2")
    expect(page.locator("#log-text")).to_contain_text("said at first")
    page.get_by_role("link", name="See its newest attempt").click()
    expect(page.locator("#log-text")).to_contain_text("said then")
    second.close()
    expect(page.locator("#log-state")).to_have_text("Ended: ok")


def test_keys_of_the_page_are_not_taken_for_the_log(gateway, visit):
    job = gateway.queue("WebHalfDown", service="keys")
    gateway.until_finished(job)
    page = ready(visit(gateway, "viewer"), job)
    page.locator("#log-text").focus()
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Fold what went well")).to_be_visible()
    page.keyboard.press("/")
    page.wait_for_url("**/jobs#q")


def test_without_scripts_the_end_is_there_as_text(gateway, visit):
    (gateway.folder / "long.txt").write_text("\x1b[31mline\x1b[0m <b>\n" * 3000)
    job = gateway.queue("Spilt", file="long.txt")
    gateway.until_finished(job)
    seen = visit(gateway, "viewer", java_script_enabled=False)
    seen.go(f"/jobs/{job}")
    output = seen.page.locator("#log pre.output")
    expect(output).to_contain_text("line <b>\n")
    expect(output).to_contain_text("PLAY RECAP")
    assert "\x1b" not in output.text_content()
    expect(seen.page.locator(".log-tools")).to_be_hidden()
    seen.page.get_by_role("link", name="Open in full").click()
    expect(seen.page.locator("h1")).to_have_text("Log")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["wide", "phone"])
def test_the_page_with_its_log_is_accessible_small_and_fits(house, story, visit, scheme, width):
    seen = visit(house, "viewer", color_scheme=scheme, **(PHONE if width == "phone" else {}))
    page = ready(seen, story.half)
    expect(page.locator("#log-text")).to_contain_text("bind: address already in use")
    seen.is_small()
    seen.is_accessible()
    assert page.evaluate("scrollY") == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=f"/tmp/job-{scheme}-{width}.png", full_page=True)
