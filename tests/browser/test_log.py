"""The log viewer: live and afterwards, folded, searched, linked to."""

import re

import pytest
from gateway import until
from playwright.sync_api import expect
from visit import PHONE, see

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


def test_a_live_run_is_followed_from_the_backlog_on_lets_go_and_is_followed_again(gateway, visit):
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


def test_a_log_that_grows_past_a_part_is_shown_as_it_is_read_afterwards(gateway, visit):
    pipe = gateway.pipe("grows")
    job = gateway.queue("Spilt", file="grows")
    pipe.say("begun\n")
    gateway.until_logged(job, "begun")
    page = open_log(visit, gateway, job).page
    expect(page.locator("#log-state")).to_have_text("Live")
    for number in range(20):
        pipe.say("".join(f"{number} {line} of a live run\n" for line in range(400)))
        expect(page.get_by_text(f"{number} 399 of a live run", exact=True)).to_be_visible()
    pipe.close()
    expect(page.locator("#log-state")).to_have_text("Ended: ok")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", gateway.log_of(job).decode()).split("\n")
    seen = {}
    page.get_by_role("region", name="Output").focus()
    page.keyboard.press("Home")
    while len(seen) < len(plain) - 1:
        seen |= page.evaluate("""() => Object.fromEntries([...document.querySelectorAll(".log-row")].map((row) =>
            [row.dataset.line, row.querySelector(".log-line").textContent.replace(/^▾/, "")]))""")
        page.locator("#log-text").evaluate("box => { box.scrollTop += box.clientHeight; }")
        page.evaluate("new Promise(requestAnimationFrame)")
    assert [seen[str(number)] for number in range(1, len(plain))] == plain[:-1]


def test_a_task_that_fails_while_it_is_looked_at_is_marked(gateway, visit):
    pipe = gateway.pipe("fails")
    job = gateway.queue("Spilt", file="fails")
    pipe.say("TASK [Mend it] ****\nok: [web1]\n")
    gateway.until_logged(job, "Mend it")
    page = open_log(visit, gateway, job).page
    header = page.locator(".log-row", has_text="TASK [Mend it]")
    expect(header).to_be_visible()
    expect(header.locator(".log-note")).to_have_count(0)
    pipe.say("fatal: [web2]: FAILED! => {}\n")
    expect(header.locator(".log-note.is-failed")).to_be_visible()
    pipe.say("...ignoring\n")
    expect(header.locator(".log-note")).to_have_count(0)
    pipe.close()


def test_a_play_that_is_folded_while_it_runs_takes_up_its_next_tasks(gateway, visit):
    pipe = gateway.pipe("folds")
    job = gateway.queue("Spilt", file="folds")
    pipe.say("PLAY [Long] ****\nTASK [one] ****\nok: [web1]\n")
    gateway.until_logged(job, "one")
    page = open_log(visit, gateway, job).page
    page.get_by_role("button", name="Lines of Long").click()
    expect(page.get_by_text("TASK [one]")).to_have_count(0)
    pipe.say("TASK [two] ****\nok: [web1]\n")
    expect(page.locator(".log-row", has_text="PLAY [Long]")).to_contain_text("4 lines folded")
    expect(page.get_by_text("TASK [two]")).to_have_count(0)
    pipe.close()
    expect(page.get_by_text("PLAY RECAP")).to_be_visible()


def test_what_is_selected_stays_while_the_log_goes_on(gateway, visit):
    pipe = gateway.pipe("selected")
    job = gateway.queue("Spilt", file="selected")
    pipe.say("what matters\n")
    gateway.until_logged(job, "what matters")
    page = open_log(visit, gateway, job).page
    expect(page.locator("#log-state")).to_have_text("Live")
    page.get_by_text("what matters").dblclick()
    expect(page.get_by_role("button", name="Follow the end")).to_be_visible()
    pipe.say("\n" * 500)
    expect(page.locator("#log-size")).to_contain_text(re.compile(r"5\d\d lines"))
    expect(page.get_by_text("what matters")).to_be_in_viewport()
    assert page.evaluate("getSelection().toString()").strip() in ("what", "matters")
    page.get_by_role("button", name="Follow the end").click()
    assert page.evaluate("document.activeElement.id") == "log-text"
    pipe.close()


def test_a_job_that_waits_says_so_until_it_begins(gateway, visit):
    first = gateway.queue("TrafficHigh", service="queue")
    gateway.until_logged(first, "Wait for the first sign")
    second = gateway.queue("TrafficHigh", service="queue", instance="other")
    seen = open_log(visit, gateway, second)
    page = seen.page
    expect(page.get_by_text("No attempt has begun yet")).to_be_visible()
    expect(page.get_by_role("link", name="Raw")).to_be_hidden()
    seen.is_accessible()
    gateway.touch("queue-1")
    gateway.touch("queue-2")
    expect(page.get_by_text("PLAY RECAP")).to_be_visible()
    expect(page.get_by_text("No attempt has begun yet")).to_have_count(0)
    expect(page.locator("#log-attempt")).to_have_text("Attempt 1")
    expect(page.get_by_role("link", name="Raw")).to_be_visible()
    expect(page.locator("#log-state")).to_have_text("Ended: ok")


def test_what_is_refused_is_said_and_not_asked_for_over_and_over(gateway, visit):
    (gateway.folder / "parts.txt").write_bytes(b"a line of many\n" * 40_000)
    job = gateway.queue("Spilt", file="parts.txt")
    gateway.until_finished(job)
    seen = open_log(visit, gateway, job)
    page = seen.page
    page.get_by_text("a line of many").first.wait_for()
    cookies = seen.context.cookies()
    seen.context.clear_cookies()
    seen.expected.append("401")
    asked = []
    page.on("response", lambda response: asked.append(response.status) if "/log" in response.url else None)
    page.get_by_label("Line", exact=True).fill("20000")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator("#log-state")).to_have_text("You are not signed in any more. Load the page again.")
    page.get_by_role("button", name="Copy the text").click()
    expect(page.locator("#log-range-name")).to_contain_text("nothing was copied")
    # Longer than what cannot be reached is left alone.
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 4500))")
    assert set(asked) == {401} and len(asked) <= 4
    seen.context.add_cookies(cookies)
    page.get_by_role("button", name="Go", exact=True).click()
    expect(line(page, 20000)).to_contain_text("a line of many")
    expect(page.locator("#log-state")).to_have_text("Complete")


def test_a_session_that_ends_is_said_when_the_stream_comes_back(gateway, visit):
    job = gateway.queue("TrafficHigh", service="session")
    gateway.until_logged(job, "Wait for the first sign")
    seen = open_log(visit, gateway, job)
    expect(seen.page.locator("#log-state")).to_have_text("Live")
    see(seen.page, False)
    seen.context.clear_cookies()
    seen.expected.append("401")
    see(seen.page, True)
    expect(seen.page.locator("#log-state")).to_have_text("You are not signed in any more. Load the page again.")


def test_a_lost_connection_is_shown_and_taken_up_where_it_broke_off(gateway, visit):
    job = gateway.queue("TrafficHigh", service="lost")
    gateway.until_logged(job, "Wait for the first sign")
    seen = open_log(visit, gateway, job)
    page = seen.page
    expect(page.locator("#log-state")).to_have_text("Live")
    seen.expected += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONTENT_LENGTH_MISMATCH", "ERR_EMPTY_RESPONSE", "503", "network error"]
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
    page.locator("#log-text").evaluate("box => { box.style.width = '20rem'; }")
    expect(failed.locator(".log-note.is-failed")).to_be_in_viewport(ratio=1)
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
    assert page.evaluate("navigator.clipboard.readText()").endswith(f"/jobs/{done}/log?attempt=1#L5-L7")
    page.get_by_label("Line", exact=True).fill("3-4")
    page.get_by_role("button", name="Go", exact=True).click()
    assert page.url.endswith("#L3-L4")
    page.get_by_label("Line", exact=True).fill("99999")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There are lines 1 to")
    page.get_by_role("button", name="Let go").click()
    expect(page.locator(".is-chosen")).to_have_count(0)


def test_a_link_to_lines_opens_all_that_hides_one_of_them(visit, house, half):
    seen = open_log(visit, house, half)
    folded = seen.page.locator('.log-row:has(.log-fold[aria-expanded="false"])')
    expect(folded).to_have_count(2)
    first, last = (int(folded.nth(place).get_attribute("data-line")) for place in (0, 1))
    seen.go(f"/jobs/{half}/log#L{first}-L{last + 1}")
    expect(folded).to_have_count(0)
    for number in (first, first + 1, last, last + 1):
        expect(line(seen.page, number)).to_have_class(re.compile("is-chosen"))


def test_the_numbers_of_lines_stay_in_sight(visit, house, half):
    page = open_log(visit, house, half).page
    page.locator("#log-text").evaluate("(box) => { box.scrollLeft = 400; }")
    assert page.locator("#log-text").evaluate("(box) => box.scrollLeft") == 400
    box, number = (page.locator(of).bounding_box() for of in ("#log-text", ".log-number >> nth=3"))
    assert box["x"] <= number["x"] <= box["x"] + 2


def test_lines_that_are_not_there_are_said_not_to_be(visit, house, done):
    page = open_log(visit, house, done, "#L99999").page
    count = house.log_of(done).count(b"\n")
    expect(page.locator("#log-range-name")).to_have_text(f"Line 99999: there are lines 1 to {count}")
    page.evaluate("location.hash = '#L3'")
    expect(line(page, 3)).to_have_class(re.compile("is-chosen"))
    expect(page.locator("#log-range-name")).to_have_text("Line 3")


def test_a_linked_line_stays_in_sight_when_long_lines_come_above_it(gateway, visit):
    (gateway.folder / "wide.txt").write_text("".join(f"{number} {'wide ' * 200}\n" for number in range(1, 2001)))
    job = gateway.queue("Spilt", file="wide.txt")
    gateway.until_finished(job)
    page = open_log(visit, gateway, job, "#L1000-L1002", **PHONE).page
    expect(line(page, 1000)).to_contain_text("wide wide")
    expect(page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")
    until("all of it has come", lambda: page.locator(".is-coming").count() == 0)
    expect(line(page, 1000).locator(".log-number")).to_be_in_viewport()
    page.get_by_role("button", name="Wrap").click()
    page.get_by_role("button", name="Times").click()
    expect(line(page, 1000).locator(".log-number")).to_be_in_viewport()


def test_selected_lines_are_copied_as_they_are(gateway, visit):
    said = "TASK [Selected] ****\n\n\x1b[32mok: [web1]\x1b[0m\n\n  indented\tby tabs\nTASK [Other] ****\nfatal: [web1]: FAILED!\n"
    (gateway.folder / "said.txt").write_text(said)
    job = gateway.queue("Spilt", file="said.txt")
    gateway.until_finished(job)
    seen = open_log(visit, gateway, job)
    page = seen.page
    seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Times").click()
    page.get_by_role("button", name="Unfold all").or_(page.get_by_role("button", name="Fold what")).click()
    first, last = (page.locator(".log-line", has_text=text) for text in ("TASK [Selected]", "fatal: [web1]"))
    expect(last).to_be_visible()
    box = first.bounding_box(), last.bounding_box()
    page.mouse.move(box[0]["x"] + 25, box[0]["y"] + 10)
    page.mouse.down()
    page.mouse.move(box[1]["x"] + box[1]["width"] - 2, box[1]["y"] + 10, steps=5)
    page.mouse.up()
    page.keyboard.press("ControlOrMeta+c")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == re.sub(r"\x1b\[[0-9;]*m", "", said).removesuffix("\n")


def test_a_link_names_the_attempt_so_that_later_ones_do_not_change_it(visit, house, done):
    seen = open_log(visit, house, done)
    page = seen.page
    seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    line(page, 5).locator(".log-number").click()
    page.get_by_role("button", name="Copy the link").click()
    expect(page.locator("#log-range-name")).to_contain_text("copied the link")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{house.url}/jobs/{done}/log?attempt=1#L5"
    seen.go(link.removeprefix(house.url))
    expect(line(page, 5)).to_have_class(re.compile("is-chosen"))


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
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "log-q"
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


def test_without_scripts_the_end_is_shown_with_the_way_to_what_is_before(gateway, visit):
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
    if width == "wide":
        seen.page.get_by_role("button", name="Keys").click()
    seen.page.get_by_role("searchbox").fill("web")
    seen.page.keyboard.press("Enter")
    seen.page.locator("mark").first.wait_for()
    seen.is_accessible()
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
