// The log viewer: shows a log while it is written and afterwards, whatever its size. Without it, the page shows the log's text
// in parts. It reads parts of the log as they come into sight, and never holds all of it.
import { plain } from "./log-ansi.js";
import { Choice } from "./log-choice.js";
import { Finding } from "./log-finding.js";
import { Folds, meaning } from "./log-folds.js";
import { CUT, Lines } from "./log-lines.js";
import { row, size } from "./log-rows.js";
import { Stream } from "./log-stream.js";
import { Times } from "./log-times.js";
import { View } from "./log-view.js";

// After a part could not be read.
const AGAIN = 2000;

const encoder = new TextEncoder();
const part = (name) => document.getElementById(`log-${name}`);

class Viewer {
  constructor(root) {
    this.root = root;
    this.paths = root.dataset;
    this.isLive = false;
    this.isFollowing = false;
    this.hasFolded = false;
    // Of lines that are shown beyond their cut: how much of them.
    this.shown = new Map();
    // What was said of a line that has not ended.
    this.begun = "";
    this.times = new Times(this.paths.tasks);
    this.showsTimes = false;
    this.folds = new Folds();
    this.lines = new Lines((from, to) => this.read(from, to), (isThere) => this.came(isThere));
  }

  async start() {
    const outline = await this.outline();
    let rest = outline.bytes;
    outline.breaks.forEach((breaks, i) => {
      const isLast = i === outline.breaks.length - 1;
      this.lines.extend(Math.min(rest, outline.part), breaks, isLast && outline.open);
      rest -= outline.part;
    });
    for (const [line, kind, isFailed, name] of outline.sections) {
      this.folds.sections.push({ line, kind, name, isFailed, isFolded: false });
    }
    this.open(outline);
    const list = {
      make: (at) => this.make(at),
      key: (at) => this.folds.lineAt(at),
      row: (line) => this.folds.rowOf(line),
    };
    this.view = new View(part("text"), list, (way) => this.moved(way));
    this.choice = new Choice(this);
    this.finding = new Finding(this);
    this.listen();
    this.recall();
    this.first(outline.complete);
    this.root.dataset.ready = "true";
    if (!outline.complete) this.follow(outline.bytes);
  }

  // Puts the viewer in the place of the plain text.
  open(outline) {
    part("plain").remove();
    part("view").hidden = false;
    this.root.querySelector(".log-tools").hidden = false;
    this.isLive = !outline.complete;
    this.say(outline.complete ? "Complete" : "Connecting…", outline.complete ? "over" : "lost");
  }

  // What is in sight first: what the address names, what goes on, or what failed.
  first(isComplete) {
    const failure = this.folds.nextFailure(0);
    if (isComplete && failure) this.folds.foldAll((section) => !this.folds.hasFailed(section), this.lines.count);
    this.hasFolded = isComplete && failure !== undefined;
    this.update();
    if (this.choice.read()) return;
    if (!isComplete) this.setFollowing(true);
    else if (failure) this.nextFailure();
  }

  async outline() {
    for (;;) {
      try {
        const answer = await fetch(this.paths.outline);
        if (answer.ok) return await answer.json();
        this.say(refusal(answer.status), "lost");
        if (answer.status < 500) return new Promise(() => {});
      } catch {
        this.say("The gateway does not answer. Trying again…", "lost");
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }

  async read(from, to) {
    const answer = await fetch(this.paths.log, { headers: { range: `bytes=${from}-${to - 1}` } });
    if (answer.status !== 206) throw new Error(refusal(answer.status));
    return new Uint8Array(await answer.arrayBuffer());
  }

  // A part of the log has come, or could not be read.
  came(isThere) {
    if (isThere) return this.draw();
    setTimeout(() => this.draw(), AGAIN);
  }

  // Draws what was missing, once for all that comes at the same time.
  draw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      this.update();
      if (this.isFollowing) this.view.keepEnd();
    });
  }

  update() {
    this.view.setRows(this.folds.rows(this.lines.count));
    const last = this.folds.rowOf(this.last ?? 0);
    this.view.renew((at, made) => at === last || made.querySelector(".is-coming"));
    this.last = this.lines.count;
    part("failure").hidden = this.folds.nextFailure(0) === undefined;
    part("fold").hidden = this.folds.sections.length === 0;
    part("fold").textContent = this.hasFolded ? "Unfold all" : "Fold what went well";
    part("follow").hidden = !this.isLive || this.isFollowing;
    if (this.lines.end > 0) part("size")?.replaceChildren(`${size(this.lines.end)}, ${this.lines.count} lines`);
  }

  make(at) {
    const line = this.folds.lineAt(at);
    const shown = this.shown.get(line) ?? CUT;
    const read = this.lines.line(line, shown);
    const section = this.folds.headed(line);
    return row({
      line,
      text: read ? read.text : null,
      more: read?.more ?? 0,
      shown,
      pattern: this.finding.pattern,
      isHit: this.finding.line === line,
      isChosen: this.choice.has(line),
      time: this.showsTimes ? this.timeOf(line, read) : undefined,
      section: section && {
        ...section,
        isFailed: this.folds.hasFailed(section),
        hidden: this.folds.endOf(section, this.lines.count) - line,
      },
    });
  }

  timeOf(line, read) {
    if (!read) return null;
    this.times.match(this.folds.sections);
    return this.times.of(line, this.folds.sectionOf(line), plain(read.text)) ?? null;
  }

  // Live.

  follow(offset) {
    const listener = {
      log: (text, end) => this.take(text, end),
      end: (how) => this.ended(how),
      state: (name) => this.connected(name),
    };
    this.stream = new Stream(this.paths.stream, offset, listener);
    this.stream.run();
  }

  connected(name) {
    if (name === "connected") this.say("Live", "live");
    else if (name === "lost") this.say("Connection lost. Trying again…", "lost");
    else this.say("This log cannot be followed any more. Load the page again.", "lost");
  }

  take(text, end) {
    const before = this.lines.breaks;
    this.lines.append(encoder.encode(text), end);
    const said = (this.begun + text).split("\n");
    // So much of a line tells what it is.
    this.begun = said.pop().slice(0, CUT);
    let hasNews = false;
    said.forEach((line, i) => {
      const shown = plain(line.endsWith("\r") ? line.slice(0, -1) : line);
      hasNews = this.folds.note(before + i + 1, meaning(shown)) || hasNews;
      this.finding.look(before + i + 1, shown);
    });
    if (hasNews && this.showsTimes) this.loadTimes();
    this.draw();
  }

  ended({ status, outcome }) {
    this.isLive = false;
    this.say(outcome ? `Ended: ${outcome.replaceAll("_", " ")}` : "It never began", "over");
    if (status === "queued" || status === "running") {
      const link = document.createElement("a");
      link.href = this.paths.newest;
      link.textContent = "See its newest attempt";
      part("state").append(". The job goes on. ", link);
    }
    if (this.showsTimes) this.loadTimes();
    this.draw();
    this.setFollowing(false);
  }

  say(text, kind) {
    part("state").textContent = text;
    part("state").dataset.kind = kind;
  }

  setFollowing(isFollowing) {
    this.isFollowing = isFollowing && this.isLive;
    part("follow").hidden = !this.isLive || this.isFollowing;
    if (this.isFollowing) this.view.keepEnd();
  }

  moved(way) {
    if (way < 0) this.setFollowing(false);
    else if (this.isLive && !this.isFollowing && this.view.isAtEnd) this.setFollowing(true);
  }

  /** The first line in sight. */
  get top() {
    return this.folds.lineAt(this.view.range[0]);
  }

  /** Brings a line into sight, also out of what is folded. */
  bring(line, below) {
    this.setFollowing(false);
    if (this.folds.reveal(line, this.lines.count)) this.update();
    this.view.show(this.folds.rowOf(line), below);
  }

  focus() {
    part("text").focus({ preventScroll: true });
  }

  nextFailure() {
    const line = this.folds.nextFailure(this.failure ?? 0);
    if (line === undefined) return;
    this.failure = line;
    this.folds.reveal(line + 1, this.lines.count);
    this.update();
    this.bring(line, this.view.height * 2);
  }

  // How it is shown.

  toggleFold(line) {
    const section = this.folds.headed(line);
    section.isFolded = !section.isFolded;
    this.folds.lay(this.lines.count);
    this.setFollowing(false);
    this.update();
    this.view.renew((at) => this.folds.lineAt(at) === line);
  }

  foldAll() {
    this.hasFolded = !this.hasFolded;
    const { top } = this;
    this.folds.foldAll((section) => this.hasFolded && !this.folds.hasFailed(section), this.lines.count);
    this.update();
    this.view.renew();
    if (this.isFollowing) this.view.keepEnd();
    else this.view.show(this.folds.rowOf(top), 0);
  }

  wrap(isOn) {
    part("text").classList.toggle("is-wrapped", isOn);
    part("wrap").setAttribute("aria-pressed", String(isOn));
    this.view.renew();
    if (this.isFollowing) this.view.keepEnd();
    keep("wrap", isOn);
  }

  async showTimes(isOn) {
    this.showsTimes = isOn;
    part("text").classList.toggle("has-times", isOn);
    part("times").setAttribute("aria-pressed", String(isOn));
    keep("times", isOn);
    if (isOn) await this.loadTimes();
    this.view.renew();
  }

  // Not more than once at a time: a live log may begin many tasks a second.
  async loadTimes() {
    if (this.isLoading) return;
    this.isLoading = true;
    try {
      await this.times.load();
    } catch {
      // The next one brings them.
    }
    this.isLoading = false;
    this.view.renew();
  }

  recall() {
    // A phone is narrower than most lines.
    if (kept("wrap") ?? matchMedia("(max-width: 40rem)").matches) this.wrap(true);
    if (kept("times")) this.showTimes(true);
  }

  // What a person does.

  listen() {
    const on = (name, event, act) => part(name).addEventListener(event, act);
    on("failure", "click", () => this.nextFailure());
    on("fold", "click", () => this.foldAll());
    on("wrap", "click", () => this.wrap(part("wrap").ariaPressed !== "true"));
    on("times", "click", () => this.showTimes(!this.showsTimes));
    on("follow", "click", () => this.setFollowing(true));
    on("keys", "click", () => this.help());
    on("text", "click", (event) => this.clicked(event));
    on("view", "keydown", (event) => this.pressed(event));
  }

  help() {
    const isOpen = part("help").hidden;
    part("help").hidden = !isOpen;
    part("keys").setAttribute("aria-expanded", String(isOpen));
  }

  clicked(event) {
    const line = Number(event.target.closest(".log-row")?.dataset.line);
    if (event.target.closest(".log-number") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.choice.point(line, event.shiftKey);
    } else if (event.target.closest(".log-fold")) {
      this.toggleFold(line);
    } else if (event.target.closest(".log-more")) {
      this.shown.set(line, (this.shown.get(line) ?? CUT) * 4);
      this.view.renew((at) => this.folds.lineAt(at) === line);
    }
  }

  // Single letters count only while the log has the focus, so that nobody presses them unawares (WCAG 2.1.4).
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      "/": () => part("q").select(),
      n: () => this.finding.step(1),
      N: () => this.finding.step(-1),
      e: () => this.nextFailure(),
      f: () => this.setFollowing(true),
      w: () => this.wrap(part("wrap").ariaPressed !== "true"),
      t: () => this.showTimes(!this.showsTimes),
      z: () => this.foldAll(),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }
}

function refusal(status) {
  if (status === 401 || status === 403) return "You are not signed in any more. Load the page again.";
  if (status === 404) return "This log is not there any more.";
  return `The gateway answered ${status}. Trying again…`;
}

// A browser may forbid to keep anything.
function keep(name, value) {
  try {
    localStorage.setItem(`healgate.log.${name}`, String(value));
  } catch {
    // It is asked for again next time.
  }
}

function kept(name) {
  try {
    const value = localStorage.getItem(`healgate.log.${name}`);
    return value === null ? undefined : value === "true";
  } catch {
    return undefined;
  }
}

const root = document.getElementById("log");
if (root) new Viewer(root).start();
