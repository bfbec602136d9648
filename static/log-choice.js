// The lines that an address names: marks them, moves to them, copies them.
import { plain } from "./log-ansi.js";
import { copy, hashOf, nameOf, rangeOf, rangeSaid } from "./log-range.js";

// Lines that are copied at once, and bytes of each.
const MOST_COPIED = 5000;
const MOST_OF_LINE = 262144;

const part = (name) => document.getElementById(`log-${name}`);

export class Choice {
  constructor(viewer) {
    this.viewer = viewer;
    this.range = undefined;
    // Where a range began that is made longer with the shift key.
    this.begin = undefined;
    part("go").addEventListener("submit", (event) => this.go(event));
    part("copy").addEventListener("click", () => this.copyText());
    part("copy-link").addEventListener("click", () => this.copyLink());
    part("clear").addEventListener("click", () => this.clear());
    addEventListener("hashchange", () => this.read());
  }

  has(line) {
    return this.range !== undefined && line >= this.range[0] && line <= this.range[1];
  }

  /** Takes what the address names, and brings it into sight. Whether it names lines. */
  read() {
    this.take(rangeOf(location.hash));
    if (this.range) this.viewer.bring(this.range[0]);
    return this.range !== undefined;
  }

  /** Takes a line, or all from the one that was taken before up to it. */
  point(line, isLonger) {
    if (!isLonger || !this.begin) this.begin = line;
    this.name([Math.min(this.begin, line), Math.max(this.begin, line)]);
  }

  go(event) {
    event.preventDefault();
    const range = rangeSaid(part("line").value);
    const { count } = this.viewer.lines;
    const isThere = range && range[0] <= count;
    part("line-error").textContent = isThere ? "" : `There are lines 1 to ${count}.`;
    if (!isThere) return;
    this.name(range);
    this.viewer.bring(range[0]);
    this.viewer.focus();
  }

  clear() {
    history.replaceState(null, "", location.pathname + location.search);
    this.take(undefined);
    this.viewer.focus();
  }

  // The address names them from now on.
  name(range) {
    history.replaceState(null, "", hashOf(range));
    this.take(range);
  }

  take(range) {
    this.range = range;
    this.begin ??= range?.[0];
    if (!range) this.begin = undefined;
    part("range").hidden = !range;
    if (range) part("range-name").textContent = nameOf(range);
    this.viewer.view.renew();
  }

  async copyText() {
    const [first, last] = this.range;
    const end = Math.min(last, this.viewer.lines.count, first + MOST_COPIED - 1);
    const texts = await this.viewer.lines.textOf(first, end, MOST_OF_LINE);
    const isDone = await copy(texts.map(plain).join("\n"));
    this.copied(isDone, end < last ? `the first ${MOST_COPIED} lines` : "the text");
  }

  async copyLink() {
    this.copied(await copy(location.href), "the link");
  }

  copied(isDone, what) {
    const said = isDone ? `copied ${what}` : "the browser did not let it be copied";
    part("range-name").textContent = `${nameOf(this.range)}: ${said}`;
  }
}
