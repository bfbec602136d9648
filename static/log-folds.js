// Knows a log's plays and tasks by the lines that they begin with, which of them are folded, and which lines are rows then.

const HEADER = /^(PLAY|TASK|RUNNING HANDLER|PLAY RECAP) (?:\[(.*)\] )?\*{3,}$/;
const FAILURE = /^(?:fatal|failed): \[/;
const IGNORED = "...ignoring";

// A log with more of them is not divided any further.
export const MOST_SECTIONS = 10000;

/** What a line's plain text says about the sections: `{kind, name}`, `"failed"`, `"ignored"` or nothing. */
export function meaning(text) {
  const header = HEADER.exec(text);
  if (header) {
    const kind = header[1] === "PLAY" ? "play" : header[1] === "PLAY RECAP" ? "recap" : "task";
    return { kind, name: header[2] ?? "" };
  }
  if (FAILURE.test(text)) return "failed";
  return text === IGNORED ? "ignored" : undefined;
}

export class Folds {
  constructor() {
    // Each is {line, kind, name, isFailed, isFolded}, in the order of their lines.
    this.sections = [];
    // What is folded, as ranges of lines: where each begins and ends, and how many lines are hidden before it.
    this.begins = [];
    this.ends = [];
    this.hidden = [];
    this.total = 0;
    // Of how many lines that was said, and whether what is folded reaches to their end.
    this.laid = 0;
    this.isOpen = false;
  }

  /** Takes up what the next line means. Whether that changed anything. */
  note(line, what) {
    if (!what) return false;
    if (typeof what === "object") {
      if (this.sections.length >= MOST_SECTIONS) return false;
      this.sections.push({ line, ...what, isFailed: false, isFolded: false });
      return true;
    }
    const section = this.sections.at(-1);
    if (!section) return false;
    section.isFailed = what === "failed";
    return true;
  }

  /** The section that a line is in, the innermost one. */
  sectionOf(line) {
    return this.sections[lastAt(this.sections, line)];
  }

  /** The section that a line is the header of. */
  headed(line) {
    const section = this.sectionOf(line);
    return section?.line === line && section.kind !== "recap" ? section : undefined;
  }

  /** The last line of a section: a play ends where no more of its tasks follow. */
  endOf(section, count) {
    for (let i = lastAt(this.sections, section.line) + 1; i < this.sections.length; i += 1) {
      if (section.kind === "task" || this.sections[i].kind !== "task") return this.sections[i].line - 1;
    }
    return count;
  }

  /** Says anew which lines are hidden, of so many. */
  lay(count) {
    this.begins = [];
    this.ends = [];
    this.hidden = [];
    this.total = 0;
    this.laid = count;
    this.isOpen = false;
    let end = 0;
    for (const section of this.sections) {
      if (!section.isFolded || section.line < end) continue;
      end = this.endOf(section, count);
      this.isOpen = end === count;
      if (end <= section.line) continue;
      this.begins.push(section.line + 1);
      this.ends.push(end);
      this.hidden.push(this.total);
      this.total += end - section.line;
    }
  }

  /** How many rows there are, of so many lines. What is folded at the end takes up what comes there. */
  rows(count) {
    if (this.isOpen && this.laid < count) this.lay(count);
    return count - this.total;
  }

  /** The line that a row shows; both count from different ends of habit: rows from 0, lines from 1. */
  lineAt(row) {
    let low = 0;
    let high = this.begins.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.begins[middle] - 1 - this.hidden[middle] <= row) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return row + 1;
    const index = low - 1;
    return row + 1 + this.hidden[index] + (this.ends[index] - this.begins[index] + 1);
  }

  /** The row that shows a line, or the header that hides it. */
  rowOf(line) {
    let low = 0;
    let high = this.begins.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.begins[middle] <= line) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return line - 1;
    const index = low - 1;
    if (line <= this.ends[index]) return this.begins[index] - 2 - this.hidden[index];
    return line - 1 - this.hidden[index] - (this.ends[index] - this.begins[index] + 1);
  }

  /** Opens all that hides any of these lines. Whether anything did. */
  reveal(first, last, count) {
    let has = false;
    for (const section of this.sections) {
      if (section.line >= last) break;
      if (section.isFolded && this.endOf(section, count) >= first) {
        section.isFolded = false;
        has = true;
      }
    }
    if (has) this.lay(count);
    return has;
  }

  /** Folds those that `choose` says, and opens the others. */
  foldAll(choose, count) {
    for (const section of this.sections) section.isFolded = section.kind !== "recap" && choose(section);
    this.lay(count);
  }

  /** Whether a play or a task has failed: a play has if a task of it has. */
  hasFailed(section) {
    if (section.isFailed || section.kind !== "play") return section.isFailed;
    const first = lastAt(this.sections, section.line) + 1;
    for (let i = first; i < this.sections.length && this.sections[i].kind === "task"; i += 1) {
      if (this.sections[i].isFailed) return true;
    }
    return false;
  }

  /** The header of the next task that failed after a line, or of the first one. */
  nextFailure(line) {
    const failed = this.sections.filter((section) => section.isFailed);
    return (failed.find((section) => section.line > line) ?? failed[0])?.line;
  }
}

function lastAt(sections, line) {
  let low = 0;
  let high = sections.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sections[middle].line <= line) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
