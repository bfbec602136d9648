"""Logs of any size and any content: they stay text, and the page stays quick."""

import statistics

import pytest
from gateway import until
from playwright.sync_api import expect
from test_log import line, numbers, open_log

# What the gateway's own settings let a log have.
LARGE = 64 << 20
WIDTH = 100
MOST_NODES = 3000

# Each is done several times, and the longest frame of each counts: what a person feels as a hitch.
ROUNDS = 5

# How much longer the longest frames of a large log may be than those of a small one, in the same browser at the same time.
RATIO = 3
# Frames shorter than these are not told apart from none.
SHORT = 30


def numbered(size):
    """Lines that say their numbers, with colours, as many as there is room for."""
    count = size // WIDTH
    return b"".join(b"\x1b[0;32m%08d\x1b[0m " % number + b"x" * (WIDTH - 21) + b"\n" for number in range(1, count + 1))


@pytest.fixture(scope="module")
def jobs(house):
    """A small log, and one as large as can be: their jobs, and how many lines are before the spilt ones."""
    (house.folder / "small.txt").write_bytes(numbered(1 << 20))
    (house.folder / "large.txt").write_bytes(numbered(LARGE - (1 << 20)))
    found = {name: house.queue("Spilt", file=f"{name}.txt") for name in ("small", "large")}
    for job in found.values():
        until("the log is complete", lambda job=job: house.job(job)["status"] == "succeeded", 180)
    return found


FRAMES = """async () => {
    const text = document.querySelector("#log-text");
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const settled = async () => { while (document.querySelector(".is-coming")) await frame(); };
    const timed = async (act) => {
        let longest = 0, last = performance.now(), isOver = false;
        const watch = async () => {
            while (!isOver) { await frame(); const now = performance.now(); longest = Math.max(longest, now - last); last = now; }
        };
        const watching = watch();
        await act(); await settled(); isOver = true; await watching;
        return longest;
    };
    const jump = async () => {
        for (const part of [0.9, 0.1, 0.5, 0.99, 0.3]) { text.scrollTop = part * text.scrollHeight; await frame(); await settled(); }
    };
    const scroll = async () => { for (let i = 0; i < 40; i += 1) { text.scrollTop += 90; await frame(); } };
    return [await timed(jump), await timed(scroll)];
}"""


def test_a_log_of_64_mib_is_as_quick_as_a_small_one_and_makes_as_few_elements(visit, house, jobs):
    pages = {name: open_log(visit, house, job).page for name, job in jobs.items()}
    measured = {name: [] for name in pages}
    for _ in range(ROUNDS):
        # By turns, so that whatever else the machine does falls on both.
        for name, page in pages.items():
            page.bring_to_front()
            measured[name].append(page.evaluate(FRAMES))
    for what in (0, 1):
        small, large = (statistics.median(round[what] for round in measured[name]) for name in ("small", "large"))
        assert large <= max(RATIO * small, SHORT), measured
    for page in pages.values():
        assert page.evaluate("document.querySelectorAll('*').length") < MOST_NODES


def test_any_line_of_64_mib_is_a_jump_away(visit, house, jobs):
    page = open_log(visit, house, jobs["large"], "#L400004").page
    count = int(page.locator("#log-size").text_content().split(", ")[1].split()[0])
    # Four lines, with the play's and the task's headers, are before those that count themselves.
    expect(line(page, 400004).locator(".log-line")).to_contain_text("00400000 xxx")
    expect(line(page, 400004)).to_be_in_viewport()
    for number in (2, 77_777, 654_321, 5):
        page.get_by_label("Line", exact=True).fill(str(number))
        page.get_by_role("button", name="Go", exact=True).click()
        expect(line(page, number)).to_be_in_viewport()
    page.get_by_role("region", name="Output").focus()
    page.keyboard.press("End")
    until("the last line is in sight", lambda: numbers(page)[-1] == count)
    page.keyboard.press("PageUp")
    until("it went up", lambda: numbers(page)[-1] < count)
    page.keyboard.press("Home")
    until("the first line is in sight", lambda: numbers(page)[0] == 1)
    # One line after the other, however the scrollbar is stretched.
    page.get_by_label("Line", exact=True).fill("300000")
    page.get_by_role("button", name="Go", exact=True).click()
    until("it is there", lambda: 300_000 in numbers(page))
    first = numbers(page)[0]
    for step in range(1, 41):
        page.mouse.move(400, 500)
        page.mouse.wheel(0, 60)
        until("it went down", lambda step=step: numbers(page)[0] >= first + 3 * step)
    assert numbers(page)[0] == first + 120
    assert numbers(page) == list(range(numbers(page)[0], numbers(page)[-1] + 1))


def test_all_of_64_mib_is_searched(visit, house, jobs):
    page = open_log(visit, house, jobs["large"]).page
    page.get_by_role("searchbox").fill("00600000 XX")
    page.keyboard.press("Enter")
    expect(page.locator("#log-hits")).to_have_text("1 of 1 line", timeout=60_000)
    expect(line(page, 600004).locator("mark").first).to_be_in_viewport()
    page.get_by_role("searchbox").fill("xxx")
    page.keyboard.press("Enter")
    expect(page.locator("#log-hits")).to_contain_text("10000 or more lines", timeout=60_000)


HOSTILE = {
    "html": b"<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> &lt;b&gt; </pre><h1>",
    "escapes": b"\x1b]0;title\x07\x1b[2J\x1b[H\x1b[8mhidden\x1b[0m \x1b[30;40mblack\x1b[0m \x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\",
    "controls": "one\u202etwo\x00three\x08four\rfive\u2066six\x9b31m".encode(),
    "broken": b"caf\xc3 \xff\xfe \xf0\x9f\x92 \xed\xa0\x80 end",
    "colours": b"".join(b"\x1b[3%dmc" % (i % 8) for i in range(4000)),
    "wide": b"w" * (10 << 20) + b" the end",
}
SHOWN = {
    "html": HOSTILE["html"].decode(),
    "escapes": "hidden black link",
    "controls": "one⟨U+202E⟩two␀three␈four␍five⟨U+2066⟩six⟨U+009B⟩31m",
    "broken": "caf\ufffd \ufffd\ufffd \ufffd \ufffd\ufffd\ufffd end",
    "colours": "c" * 682,
}


def test_hostile_output_stays_text(gateway, visit):
    (gateway.folder / "hostile.bin").write_bytes(b"\n".join(HOSTILE.values()) + b"\nafter all\n")
    job = gateway.queue("Spilt", file="hostile.bin")
    gateway.until_finished(job)
    seen = open_log(visit, gateway, job)
    page = seen.page
    lines = dict(zip(HOSTILE, range(5, 11), strict=True))
    expect(page.get_by_text("after all")).to_be_visible()
    for name, text in SHOWN.items():
        assert line(page, lines[name]).locator(".log-line").evaluate("line => line.firstChild && line.textContent").startswith(text), name
    assert page.title().startswith("Log of")
    assert page.locator("#log-text script, #log-text img, #log-text h1, #log-text a:not(.log-number)").count() == 0
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_NODES
    wide = line(page, lines["wide"])
    expect(wide).to_contain_text("10 MiB more")
    for length in (4, 16, 64, 256):
        shown = wide.locator(".log-line").evaluate("line => line.textContent.match(/^w*/)[0].length")
        assert shown == length * 1024
        if length < 256:
            wide.get_by_role("button", name="Show more").evaluate("button => button.click()")
            until("more of it is shown", lambda shown=shown: wide.locator(".log-line").evaluate("l => l.textContent.length") > 2 * shown)
    expect(wide.get_by_role("button", name="Show more")).to_have_count(0)
    page.get_by_role("searchbox").fill("w the end")
    page.keyboard.press("Enter")
    expect(page.locator("#log-hits")).to_have_text("1 of 1 line", timeout=60_000)
    seen.is_accessible()


def test_a_log_of_nothing_but_line_ends_can_be_scrolled_through(visit, house):
    (house.folder / "empty.txt").write_bytes(b"\n" * (8 << 20))
    job = house.queue("Spilt", file="empty.txt")
    until("the log is complete", lambda: house.job(job)["status"] == "succeeded", 180)
    page = open_log(visit, house, job, "#L8000000").page
    until("it is there", lambda: 8_000_000 in numbers(page))
    page.get_by_role("region", name="Output").focus()
    page.keyboard.press("End")
    expect(page.get_by_text("PLAY RECAP")).to_be_visible()
