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
    part("text").addEventListener("mousedown", (event) => {
      // Else the browser selects text up to there, too.
      if (event.shiftKey && event.target.closest(".log-number")) event.preventDefault();
    });
  }

  has(line) {
    return this.range !== undefined && line >= this.range[0] && line <= this.range[1];
  }

  /** Takes what the address names, and brings it into sight. Whether it names lines. */
  read() {
    this.take(rangeOf(location.hash));
    if (!this.range) return false;
    const { count } = this.viewer.lines;
    if (this.range[0] > count) this.tell(count === 0 ? "there are no lines yet" : `there are lines 1 to ${count}`);
    this.viewer.bring(...this.range);
    return true;
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
    this.viewer.bring(...range);
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
    try {
      const texts = await this.viewer.lines.textOf(first, end, MOST_OF_LINE);
      const isDone = await copy(texts.map(plain).join("\n"));
      this.copied(isDone, last - first >= MOST_COPIED ? `the first ${MOST_COPIED} lines` : "the text");
    } catch {
      this.tell("they could not be read, and nothing was copied");
    }
  }

  // Of this attempt, whatever the page's own address says: others may come.
  async copyLink() {
    this.copied(await copy(new URL(this.viewer.paths.page + hashOf(this.range), location.href).href), "the link");
  }

  copied(isDone, what) {
    this.tell(isDone ? `copied ${what}` : "the browser did not let it be copied");
  }

  tell(text) {
    // It may have been let go meanwhile.
    if (this.range) part("range-name").textContent = `${nameOf(this.range)}: ${text}`;
  }
}
