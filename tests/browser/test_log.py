"""The log viewer: live and afterwards, folded, searched, linked to."""

import re

import pytest
from gateway import until
from playwright.sync_api import expect
from visit import PHONE

FAILED = "Restart it"


@pytest.fixture(scope="module")
def half(house):
    """A job that failed on one of two hosts."""
    job = house.queue("WebHalfDown", service="shop")
    house.until_finished(job)
    return job


@pytest.fixture(scope="module")
def done(house):
    job = house.queue("WebDown", service="log")
    house.until_finished(job)
    return job


def open_log(visit, gateway, job, hash="", **options):
    seen = visit(gateway, "viewer", **options)
    seen.go(f"/jobs/{job}/log{hash}")
    seen.page.locator("#log[data-ready]").wait_for()
    return seen


def line(page, number):
    return page.locator(f'.log-row[data-line="{number}"]')


def numbers(page):
    """The numbers of the lines that are in sight."""
    return page.evaluate("""() => {
        const box = document.querySelector("#log-text").getBoundingClientRect();
        return [...document.querySelectorAll(".log-row")].filter((row) => {
            const own = row.getBoundingClientRect();
            return own.bottom > box.top + 1 && own.top < box.bottom - 1;
        }).map((row) => Number(row.dataset.line));
    }""")


def test_a_live_run_is_followed_from_the_backlog_on_lets_go_and_is_followed_again(visit, gateway):
    job = gateway.queue("TrafficHigh", service="live")
    gateway.until_logged(job, "Wait for the first sign")
    page = open_log(visit, gateway, job).page
    expect(page.locator("#log-state")).to_have_text("Live")
    expect(page.get_by_text("TASK [Wait for the first sign]")).to_be_in_viewport()
    page.locator("#log-text").hover()
    page.mouse.wheel(0, -2000)
    follow = page.get_by_role("button", name="Follow the end")
    expect(follow).to_be_visible()
    before = numbers(page)
    gateway.touch("live-1")
    gateway.until_logged(job, "Wait for the second sign")
    expect(page.locator("#log-size")).to_contain_text(re.compile(r"6\d\d lines"))
    assert numbers(page) == before
    follow.click()
    expect(follow).to_be_hidden()
    expect(page.get_by_text("TASK [Wait for the second sign]")).to_be_in_viewport()
    gateway.touch("live-2")
    expect(page.locator("#log-state")).to_have_text("Ended: ok")
    expect(page.get_by_text("PLAY RECAP")).to_be_in_viewport()
    text = gateway.log_of(job).decode()
    expect(page.locator("#log-size")).to_contain_text(f"{text.count(chr(10))} lines")
    last = line(page, text.count("\n"))
    expect(last).to_be_in_viewport()


def test_a_lost_connection_is_shown_and_taken_up_where_it_broke_off(visit, gateway):
    job = gateway.queue("TrafficHigh", service="lost")
    gateway.until_logged(job, "Wait for the first sign")
    seen = open_log(visit, gateway, job)
    page = seen.page
    expect(page.locator("#log-state")).to_have_text("Live")
    seen.expected += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "503", "network error"]
    gateway.kill()
    expect(page.locator("#log-state")).to_contain_text("Connection lost")
    gateway.restart()
    gateway.touch("lost-1")
    gateway.touch("lost-2")
    expect(page.locator("#log-state")).to_have_text("Ended: ok")
    shown = page.evaluate("""() => [...document.querySelectorAll(".log-row")].map((row) =>
        [Number(row.dataset.line), row.querySelector(".log-line").textContent])""")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", gateway.log_of(job).decode()).split("\n")
    for number, text in shown:
        assert text.removeprefix("▾") == plain[number - 1]
    expect(page.locator("#log-size")).to_contain_text(f"{len(plain) - 1} lines")


def test_what_went_well_is_folded_and_what_failed_is_open(visit, house, half):
    page = open_log(visit, house, half).page
    failed = page.locator(".log-row", has_text=f"TASK [{FAILED}]")
    expect(failed).to_be_in_viewport()
    expect(failed.locator(".log-note.is-failed")).to_be_visible()
    expect(page.get_by_text("bind: address already in use").first).to_be_visible()
    well = page.locator(".log-row", has_text="TASK [Look around]")
    expect(well.get_by_role("button", name="Lines of Look around")).to_have_attribute("aria-expanded", "false")
    expect(well).to_contain_text("lines folded")
    expect(page.get_by_text("ok: [web1]", exact=True)).to_have_count(0)
    well.get_by_role("button").click()
    expect(well.get_by_role("button")).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_text("ok: [web1]", exact=True)).to_be_visible()
    page.get_by_role("button", name="Fold what went well").or_(page.get_by_role("button", name="Unfold all")).click()
    expect(page.locator('.log-fold[aria-expanded="false"]')).to_have_count(0)


def test_a_link_to_lines_shows_them_and_shift_makes_it_longer(visit, house, done):
    seen = open_log(visit, house, done, "#L12-L14")
    page = seen.page
    for number in (12, 13, 14):
        expect(line(page, number)).to_have_class(re.compile("is-chosen"))
    expect(page.locator("#log-range-name")).to_have_text("Lines 12–14")
    line(page, 5).locator(".log-number").click()
    assert page.url.endswith("#L5")
    line(page, 7).locator(".log-number").click(modifiers=["Shift"])
    assert page.url.endswith("#L5-L7")
    seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the text").click()
    expect(page.locator("#log-range-name")).to_contain_text("copied the text")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", house.log_of(done).decode()).split("\n")
    assert page.evaluate("navigator.clipboard.readText()") == "\n".join(plain[4:7])
    page.get_by_role("button", name="Copy the link").click()
    expect(page.locator("#log-range-name")).to_contain_text("copied the link")
    assert page.evaluate("navigator.clipboard.readText()").endswith(f"/jobs/{done}/log#L5-L7")
    page.get_by_label("Line", exact=True).fill("3-4")
    page.get_by_role("button", name="Go", exact=True).click()
    assert page.url.endswith("#L3-L4")
    page.get_by_label("Line", exact=True).fill("99999")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There are lines 1 to")
    page.get_by_role("button", name="Let go").click()
    expect(page.locator(".is-chosen")).to_have_count(0)


def test_the_whole_log_is_searched_also_where_it_is_folded(visit, house, half):
    page = open_log(visit, house, half).page
    page.get_by_role("searchbox").fill("OK: [WEB")
    page.keyboard.press("Enter")
    expect(page.locator("#log-hits")).to_have_text(re.compile(r"^\d of 3 lines$"))
    expect(page.locator(".is-hit mark").first).to_be_in_viewport()
    seen = set()
    for _ in range(3):
        seen.add(page.locator(".is-hit").get_attribute("data-line"))
        page.get_by_role("button", name="Next", exact=True).click()
    assert len(seen) == 3
    page.get_by_role("searchbox").fill("no such thing")
    page.keyboard.press("Enter")
    expect(page.locator("#log-hits")).to_have_text("Nothing found")
    expect(page.locator("mark")).to_have_count(0)


def test_times_and_wrapping_can_be_had_and_stay_so(visit, house, half):
    page = open_log(visit, house, half).page
    page.get_by_role("button", name="Times").click()
    header = page.locator(".log-row", has_text=f"TASK [{FAILED}]").locator("time")
    expect(header).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    expect(header).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
    fatal = page.locator(".log-row", has_text="fatal: [web2]")
    expect(fatal.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    height = fatal.evaluate("row => row.offsetHeight")
    page.get_by_role("button", name="Wrap").click()
    until("the long line is wrapped", lambda: fatal.evaluate("row => row.offsetHeight") > height)
    page.reload()
    expect(page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Times")).to_have_attribute("aria-pressed", "true")
    until("the long line is wrapped", lambda: fatal.evaluate("row => row.offsetHeight") > height)


def test_raw_and_download_give_the_log_byte_for_byte(visit, house, done):
    seen = open_log(visit, house, done)
    raw = seen.context.request.get(seen.origin + seen.page.get_by_role("link", name="Raw").get_attribute("href"))
    assert raw.body() == house.log_of(done)
    with seen.page.expect_download() as download:
        seen.page.get_by_role("link", name="Download", exact=True).click()
    assert download.value.path().read_bytes() == house.log_of(done)
    assert download.value.suggested_filename == f"{done}-1.log"


def test_the_keyboard_alone_is_enough(visit, house, half):
    page = open_log(visit, house, half).page
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "log-text":
            break
    assert page.evaluate("document.activeElement.id") == "log-text"
    page.keyboard.press("z")
    page.keyboard.press("End")
    expect(page.get_by_text("PLAY RECAP")).to_be_in_viewport()
    page.keyboard.press("Home")
    expect(line(page, 1)).to_be_in_viewport()
    page.keyboard.press("e")
    expect(page.locator(".log-row", has_text=f"TASK [{FAILED}]")).to_be_in_viewport()
    page.keyboard.press("/")
    page.keyboard.type("fatal")
    page.keyboard.press("Enter")
    expect(page.locator("#log-hits")).to_have_text("1 of 1 line")
    page.keyboard.press("w")
    assert page.get_by_role("searchbox").input_value() == "fatalw"
    page.get_by_role("region", name="Output").focus()
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Times")).to_have_attribute("aria-pressed", "true")


def test_without_scripts_the_end_is_shown_with_the_way_to_what_is_before(visit, gateway):
    lines = "".join(f"line {number} of many <b>\n" for number in range(1, 3001))
    (gateway.folder / "long.txt").write_text(lines)
    job = gateway.queue("Spilt", file="long.txt")
    gateway.until_finished(job)
    seen = visit(gateway, "viewer", java_script_enabled=False)
    seen.go(f"/jobs/{job}/log")
    output = seen.page.locator("pre.output")
    expect(output).to_contain_text("PLAY RECAP")
    expect(seen.page.locator(".log-tools")).to_be_hidden()
    parts = [output.text_content()]
    while seen.page.get_by_role("link", name="Older").count():
        seen.page.get_by_role("link", name="Older").click()
        parts.insert(0, output.text_content())
    plain = re.sub(r"\x1b\[[0-9;]*m", "", gateway.log_of(job).decode())
    assert "".join(parts).endswith(plain[-20000:])
    seen.page.get_by_role("link", name="Newer").click()
    seen.page.get_by_role("link", name="End").click()
    expect(output).to_contain_text("PLAY RECAP")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["wide", "phone"])
def test_the_page_is_accessible_small_and_fits(visit, house, half, scheme, width):
    options = PHONE if width == "phone" else {}
    seen = open_log(visit, house, half, color_scheme=scheme, **options)
    seen.is_small()
    seen.page.get_by_role("button", name="Times").click()
    seen.page.get_by_role("button", name="Keys").click()
    seen.page.get_by_role("searchbox").fill("web")
    seen.page.keyboard.press("Enter")
    seen.page.locator("mark").first.wait_for()
    seen.is_accessible()
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
