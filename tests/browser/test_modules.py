"""The log viewer's parts by themselves, in the browser that runs them."""

import random

import pytest


@pytest.fixture(scope="module")
def page(chromium, house):
    """A page of the gateway's own, so that its modules can be had, and one module."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(house.url + "/signin")
    page.evaluate("""async () => {
        const base = document.querySelector('link[rel="stylesheet"]').href.replace(/[^/]*$/, "");
        for (const name of ["ansi", "folds", "lines", "range", "search", "times"]) window[name] = await import(`${base}log-${name}.js`);
    }""")
    yield page
    context.close()


@pytest.mark.parametrize(
    "said, shown",
    [
        ("plain", [["plain", ""]]),
        ("\x1b[0;31mred\x1b[0m and not", [["red", "a-red"], [" and not", ""]]),
        ("\x1b[1;4mb\x1b[22mu", [["b", "a-bold a-underline"], ["u", "a-underline"]]),
        ("\x1b[91ma\x1b[39mb", [["a", "a-red"], ["b", ""]]),
        ("\x1b[38;5;196mred\x1b[38;2;0;200;0mgreen\x1b[38:2:20:20:250mblue", [["red", "a-red"], ["green", "a-green"], ["blue", "a-blue"]]),
        ("\x1b[38;5;244mgrey\x1b[90mgrey too", [["greygrey too", "a-grey"]]),
        ("\x1b[41;7;8mread me", [["read me", ""]]),
        ("\x1b[48;5;31mno red", [["no red", ""]]),
        ("\x1b[2K\x1b[1A\x1b(Bx\x1b=y\x1bcz", [["xyz", ""]]),
        ("\x1b]0;title\x07a\x1bPq\x1b\\b\x1b]8;;http://x\x1b\\c", [["abc", ""]]),
        ("\x1b]never ends", []),
        ("cut \x1b[3", [["cut ", ""]]),
        ("\x1b[31mno \x1b[?25lend", [["no end", "a-red"]]),
        ("tab\there\x07\x7f\u202e\u009b", [["tab\there␇␡⟨U+202E⟩⟨U+009B⟩", ""]]),
        ("\x1b[31;99999999999;mx", [["x", ""]]),
    ],
)  # fmt: skip
def test_a_line_is_read_as_a_terminal_would_and_shows_all_that_it_says(page, said, shown):
    assert page.evaluate("line => ansi.pieces(line).map(({text, names}) => [text, names])", said) == shown
    assert page.evaluate("line => ansi.plain(line)", said) == "".join(text for text, _ in shown)


def test_no_line_has_more_pieces_than_can_be_shown(page):
    line = "".join(f"\x1b[3{number % 8}m{number}," for number in range(1000))
    found = page.evaluate("line => ansi.pieces(line)", line)
    assert len(found) <= 101
    assert "".join(piece["text"] for piece in found) == "".join(f"{number}," for number in range(1000))


def test_escapes_that_are_made_to_be_slow_are_not(page):
    for line in ("\x1b" * 100_000, "\x1b]" * 50_000, "\x1b[" + ";" * 100_000, "\x1b[" * 50_000 + "m"):
        took = page.evaluate("line => { const begun = performance.now(); ansi.pieces(line); return performance.now() - begun; }", line)
        usual = page.evaluate("line => { const begun = performance.now(); ansi.pieces(line); return performance.now() - begun; }",
                              "\x1b[31mx\x1b[0m" * 10_000)  # fmt: skip
        assert took < 50 * max(usual, 1)


LINES = """([bytes, cuts, live, cut]) => new Promise((resolve) => {
    const log = Uint8Array.from(bytes);
    let waits = 0;
    const read = async (from, to) => log.slice(from, to);
    const all = new lines.Lines(read, () => look());
    let at = 0;
    for (const end of [...cuts, log.length]) {
        const part = log.slice(at, end);
        if (live) all.append(part, end);
        else all.extend(part.length, part.filter((byte) => byte === 10).length, part.at(-1) !== 10);
        at = end;
    }
    const look = () => {
        const found = [];
        for (let number = 1; number <= all.count; number += 1) found.push(all.line(number, cut));
        if (found.every(Boolean)) resolve(found.map(({text, more}) => [text, more]));
        else if ((waits += 1) > 1000) resolve(found);
    };
    look();
})"""


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("live", [False, True], ids=["read", "live"])
def test_lines_are_found_however_a_log_is_cut_into_parts(page, seed, live):
    chance = random.Random(seed)
    pieces = [b"\n", b"a", b"bc", "ä€😀".encode(), b"\xff", b"x" * 50]
    log = b"".join(chance.choice(pieces) for _ in range(200)) + chance.choice([b"", b"\n"])
    cuts = sorted(chance.sample(range(1, len(log)), 9))
    found = page.evaluate(LINES, [list(log), cuts, live, 4096])
    expected = log.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [text for text, _ in found] == [line.decode(errors="replace") for line in expected]
    assert all(more == 0 for _, more in found)
    # Cut short, and without half a code point at the end.
    short = page.evaluate(LINES, [list(log), cuts, live, 20])
    for (text, more), line in zip(short, expected, strict=True):
        assert (more > 0) == (len(line) > 20)
        assert line.decode(errors="replace").startswith(text.rstrip("\ufffd"))


def test_lines_of_a_log_that_is_longer_than_a_part_are_found_while_it_is_written(page):
    chance = random.Random(7)
    log = b"".join(b"%d " % number * chance.randint(0, 40) + b"\n" for number in range(6000))
    assert len(log) > 3 * 65536
    # As the server cuts it, and so that parts end with a line, within one, and with an empty one.
    for size in (16384, 10_000, log.index(b"\n\n") + 1):
        found = page.evaluate(LINES, [list(log), list(range(size, len(log), size)), True, 4096])
        assert [text for text, _ in found] == log.decode().split("\n")[:-1]


def test_what_cannot_be_read_is_not_taken_for_empty_lines(page):
    failure = page.evaluate("""async () => {
        const all = new lines.Lines(async () => { throw new Error("gone"); }, () => {});
        all.extend(1024, 100, false);
        return all.textOf(3, 5, 4096).then(() => "nothing", (error) => error.message);
    }""")
    assert failure == "gone"


def test_no_more_of_a_log_is_held_than_a_few_parts(page):
    held = page.evaluate("""async () => {
        let came = () => {};
        const all = new lines.Lines(async (from, to) => new Uint8Array(to - from).fill(10), () => came());
        for (let i = 0; i < 1000; i += 1) all.extend(1024, 1024, false);
        for (let i = 1; i < 1000; i += 1) {
            while (!all.line(i * 1024 + 1)) await new Promise((resolve) => (came = resolve));
        }
        return all.parts.size;
    }""")
    assert held <= 64


FOLDS = """([sections, folded, count]) => {
    const all = new folds.Folds();
    for (const [line, kind, isFailed] of sections) all.sections.push({line, kind, name: "", isFailed, isFolded: false});
    for (const section of all.sections) section.isFolded = folded.includes(section.line);
    all.lay(count);
    const rows = all.rows(count);
    const shown = Array.from({length: rows}, (_, row) => all.lineAt(row));
    return {shown, back: shown.map((line) => all.rowOf(line)), all: Array.from({length: count}, (_, i) => all.rowOf(i + 1))};
}"""


@pytest.mark.parametrize("seed", range(20))
def test_rows_and_lines_are_found_from_each_other_whatever_is_folded(page, seed):
    chance = random.Random(seed)
    count = chance.randint(1, 60)
    lines = sorted(chance.sample(range(1, count + 1), min(count, chance.randint(0, 12))))
    sections = [[line, chance.choice(["play", "task", "task", "recap"]), False] for line in lines]
    folded = [line for line, kind, _ in sections if kind != "recap" and chance.random() < 0.5]
    hidden = set()
    for i, (line, kind, _) in enumerate(sections):
        ends = (after - 1 for after, other, _ in sections[i + 1 :] if kind == "task" or other != "task")
        if line in folded:
            hidden |= set(range(line + 1, next(ends, count) + 1))
    found = page.evaluate(FOLDS, [sections, folded, count])
    assert found["shown"] == [line for line in range(1, count + 1) if line not in hidden]
    assert found["back"] == list(range(len(found["shown"])))
    # What is hidden belongs to the header above it.
    for line in hidden:
        assert found["shown"][found["all"][line - 1]] < line


def test_what_is_folded_takes_up_what_comes_to_it(page):
    rows = page.evaluate("""() => {
        const all = new folds.Folds();
        const note = (line, kind) => all.note(line, {kind, name: ""});
        note(1, "play"); note(2, "task");
        all.headed(1).isFolded = true;
        all.lay(3);
        const rows = [all.rows(3)];
        note(4, "task"); rows.push(all.rows(6));
        note(7, "play"); rows.push(all.rows(7)); rows.push(all.rows(9));
        all.headed(7).isFolded = true;
        all.lay(9); rows.push(all.rows(9));
        note(10, "recap"); rows.push(all.rows(12));
        return [rows, all.lineAt(1), all.lineAt(2)];
    }""")
    assert rows == [[1, 1, 2, 4, 2, 5], 7, 10]


def test_a_header_without_lines_can_be_folded_before_they_come(page):
    rows = page.evaluate("""() => {
        const all = new folds.Folds();
        all.note(1, {kind: "task", name: ""});
        all.headed(1).isFolded = true;
        all.lay(1);
        return [all.rows(1), all.rows(5)];
    }""")
    assert rows == [1, 1]


@pytest.mark.parametrize(
    "text, meaning",
    [
        ("PLAY [a] ****", {"kind": "play", "name": "a"}),
        ("PLAY ****", {"kind": "play", "name": ""}),
        ("TASK [web : a [b]] ***", {"kind": "task", "name": "web : a [b]"}),
        ("RUNNING HANDLER [x] ***", {"kind": "task", "name": "x"}),
        ("PLAY RECAP *******", {"kind": "recap", "name": ""}),
        ("fatal: [web1]: FAILED!", "failed"),
        ("failed: [web1] (item=2)", "failed"),
        ("...ignoring", "ignored"),
        ("ok: [web1]", None),
        (" TASK [a] ***", None),
        ("TASK [a] **", None),
    ],
)
def test_headers_mean_what_they_mean_to_the_server(page, text, meaning):
    assert page.evaluate("text => folds.meaning(text) ?? null", text) == meaning


@pytest.mark.parametrize(
    "hash, lines",
    [
        ("#L12", [12, 12]), ("#L12-L14", [12, 14]), ("#L14-12", [12, 14]), ("#L0", None), ("#L", None), ("#main", None),
        ("#L12-", None), ("#L9999999999999", None), ("#L1e3", None),
    ],
)  # fmt: skip
def test_addresses_name_lines(page, hash, lines):
    assert page.evaluate("hash => range.rangeOf(hash) ?? null", hash) == lines


def test_what_is_found_is_marked_across_colours(page):
    marked = """([text, line]) => search.marked(ansi.pieces(line), search.pattern(text)).map(({text, names, isHit}) => [text, names, isHit])"""
    assert page.evaluate(marked, ["ab.C", "xAb\x1b[31m.cab.cyabxc"]) == [
        ["x", "", False], ["Ab", "", True], [".c", "a-red", True], ["ab.c", "a-red", True], ["yabxc", "a-red", False],
    ]  # fmt: skip
    assert page.evaluate(marked, ["(", "a(b"]) == [["a", "", False], ["(", "", True], ["b", "", False]]
    assert len(page.evaluate(marked, ["a", "a" * 9999])) == 51


def test_what_is_said_while_a_search_goes_on_is_found_too(page):
    lines = page.evaluate("""() => {
        const found = [];
        const one = new search.Search("", "red", (search) => found.push(search.lines.join()));
        one.take({lines: [3]});
        // The server has looked at the first of them by itself.
        one.look(7, "Red"); one.look(8, "blue"); one.look(9, "a red one");
        one.take({lines: [7], done: true, more: false});
        one.look(11, "red");
        return found;
    }""")
    assert lines == ["3", "3,7,9", "3,7,9,11"]


def test_tasks_that_show_nothing_have_no_times_and_those_after_them_do(page):
    found = page.evaluate("""async () => {
        const at = (second) => new Date(1e12 + second * 1000).toISOString();
        const items = [["one", "web1", 1], ["one", "web2", 2], ["hidden", "web1", 3], ["two", "web1", 4], ["one", "web1", 5]]
            .map(([task, host, second]) => ({play: "p", task, path: "a:1", host, started_at: at(second), seconds: 0.5}));
        const real = window.fetch;
        window.fetch = async () => new Response(JSON.stringify({items, next_cursor: null}));
        const all = new times.Times("/tasks?attempt=1");
        await all.load();
        window.fetch = real;
        const sections = [[2, "play", "p"], [4, "task", "role : one"], [9, "task", "two"], [12, "task", "one"]]
            .map(([line, kind, name]) => ({line, kind, name}));
        all.match(sections);
        const of = (line, section, text) => (all.of(line, sections[section], text) ?? 0) && all.of(line, sections[section], text) - 1e12;
        return [of(4, 1, ""), of(6, 1, "ok: [web2]"), of(7, 1, "ok: [web3]"), of(9, 2, ""), of(12, 3, ""), of(2, 0, "")];
    }""")
    assert found == [1000, 2500, 0, 4000, 5000, 0]
