// The search of the log viewer: what was found, which of it is shown, and the way from one to the next.
import { Search } from "./log-search.js";

const part = (name) => document.getElementById(`log-${name}`);

export class Finding {
  constructor(viewer) {
    this.viewer = viewer;
    this.search = undefined;
    this.hit = -1;
    part("search").addEventListener("submit", (event) => this.submitted(event));
    part("q").addEventListener("search", () => part("q").value === "" && this.find(""));
    part("before").addEventListener("click", () => this.step(-1));
  }

  /** Single letters, while the log has the focus. */
  keys = {
    "/": () => part("q").select(),
    n: () => this.step(1),
    N: () => this.step(-1),
  };

  /** What is marked in every line; nothing while nothing is looked for. */
  get pattern() {
    return this.search?.pattern;
  }

  /** The line that is shown as found. */
  get line() {
    return this.search?.lines[this.hit];
  }

  /** Looks at a line that has just been said. */
  look(line, text) {
    this.search?.look(line, text);
  }

  /** Goes to the next one, or back. */
  step(by) {
    const { search } = this;
    if (!search || search.lines.length === 0) return;
    this.show((this.hit + by + search.lines.length) % search.lines.length);
    this.tell();
  }

  submitted(event) {
    event.preventDefault();
    const text = part("q").value;
    if (this.search?.text === text && !this.search.failure) this.step(1);
    else this.find(text);
  }

  find(text) {
    this.search?.stop();
    this.hit = -1;
    this.search = undefined;
    if (text) {
      const url = `${this.viewer.paths.find}&q=${encodeURIComponent(text)}`;
      this.search = new Search(url, text, (search) => search === this.search && this.found());
      this.search.run();
    }
    this.tell();
    this.viewer.view.renew();
  }

  found() {
    const { search } = this;
    if (this.hit === -1 && search.lines.length > 0) {
      const top = this.viewer.top;
      // One before what is in sight counts only if there is none after it.
      if (search.isDone || search.lines.at(-1) >= top) this.show(search.from(top));
    }
    this.tell();
  }

  show(hit) {
    this.hit = hit;
    this.viewer.bring(this.line);
    this.viewer.view.renew();
    this.bringMark();
  }

  // What was found may be far to the right of a long line.
  bringMark() {
    const mark = document.querySelector(".log-row.is-hit mark")?.getBoundingClientRect();
    const box = part("text").getBoundingClientRect();
    if (mark && (mark.left < box.left || mark.right > box.right)) {
      part("text").scrollLeft += mark.left - box.left - box.width / 3;
    }
  }

  tell() {
    part("hits").textContent = this.search ? counted(this.search, this.hit) : "";
  }
}

function counted({ lines, isDone, hasMore, failure }, hit) {
  if (failure) return `The search failed: ${failure}`;
  if (lines.length === 0) return isDone ? "Nothing found" : "Searching…";
  const some = `${lines.length}${hasMore ? " or more" : ""} ${lines.length === 1 ? "line" : "lines"}`;
  return `${hit >= 0 ? `${hit + 1} of ` : ""}${some}${isDone ? "" : " so far"}`;
}
