// Makes the elements of a log's lines. All that a log says goes into text nodes, never into markup.
import { pieces } from "./log-ansi.js";
import { marked } from "./log-search.js";

// More of a line than this is not shown here: the raw log has it.
const MOST_SHOWN = 262144;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const sizes = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** How many bytes, in words. */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1048576) return `${sizes.format(bytes / 1024)} KiB`;
  return `${sizes.format(bytes / 1048576)} MiB`;
}

/**
 * A line's row. `what` has `line`, `link`, `text` or null, `more`, `shown`, and if there are such: `pattern`, `isHit`,
 * `isChosen`, `time` (null where times are shown and this line has none), `section` with `isFolded`, `isFailed`, `hidden`.
 */
export function row(what) {
  const made = element("div", "log-row");
  made.dataset.line = what.line;
  if (what.isHit) made.classList.add("is-hit");
  if (what.isChosen) made.classList.add("is-chosen");
  const number = element("a", "log-number", String(what.line));
  number.href = what.link;
  number.tabIndex = -1;
  made.append(number);
  if (what.time !== undefined) made.append(time(what.time));
  made.append(line(what));
  return made;
}

function line(what) {
  const made = element("span", "log-line");
  if (what.text === null) {
    made.classList.add("is-coming");
    made.textContent = "…";
    return made;
  }
  if (what.section) {
    made.classList.add("is-header");
    made.append(fold(what.section));
  }
  const cut = what.pattern ? marked(pieces(what.text), what.pattern) : pieces(what.text);
  for (const piece of cut) {
    const part = piece.isHit ? element("mark", piece.names, piece.text) : element("span", piece.names, piece.text);
    made.append(piece.names || piece.isHit ? part : document.createTextNode(piece.text));
  }
  if (what.section) made.append(notes(what.section));
  if (what.more > 0) made.append(...rest(what));
  return made;
}

function fold(section) {
  const made = element("button", "log-fold", section.isFolded ? "▸" : "▾");
  made.type = "button";
  const name = section.name || (section.kind === "play" ? "this play" : "this task");
  made.setAttribute("aria-expanded", String(!section.isFolded));
  made.setAttribute("aria-label", `Lines of ${name}`);
  return made;
}

function notes({ isFailed, isFolded, hidden }) {
  const made = element("span", "log-notes");
  if (isFailed) made.append(element("span", "log-note is-failed", "✗ failed"));
  if (isFolded && hidden > 0) made.append(element("span", "log-note", `${hidden} ${hidden === 1 ? "line" : "lines"} folded`));
  return made;
}

// What is not shown of a long line, and the way to it.
function rest({ more, shown }) {
  const made = [element("span", "log-note", `${size(more)} more`)];
  if (shown < MOST_SHOWN) {
    const button = element("button", "log-more", "Show more");
    button.type = "button";
    made.push(button);
  }
  return made;
}

function time(at) {
  const made = element("time", "log-time");
  if (at) {
    const when = new Date(at);
    made.dateTime = when.toISOString();
    made.title = `${when.toISOString().slice(0, 19).replace("T", " ")} UTC`;
    made.textContent = clock.format(when);
  }
  return made;
}

function element(tag, names, text = "") {
  const made = document.createElement(tag);
  made.className = names;
  made.textContent = text;
  return made;
}
