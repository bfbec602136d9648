// The log viewer: shows a log while it is written and afterwards, whatever its size. Without it, the page shows the log's text
// in parts. It reads parts of the log as they come into sight, and never holds all of it. On a job's page it is a part of it,
// without search and without lines that are chosen.
import { plain } from "./log-ansi.js";
import { Choice } from "./log-choice.js";
import { Finding } from "./log-finding.js";
import { Folds, meaning } from "./log-folds.js";
import { keep, kept } from "./log-kept.js";
import { CUT, Lines } from "./log-lines.js";
import { row, size } from "./log-rows.js";
import { selections } from "./log-selection.js";
import { AGAIN, rest, Source } from "./log-source.js";
import { said, State } from "./log-state.js";
import { Stream } from "./log-stream.js";
import { Times } from "./log-times.js";
import { View } from "./log-view.js";

// Between one asking for the times of tasks and the next.
const BETWEEN = 1000;

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
    // A task has begun or failed since it was drawn.
    this.hasNews = false;
    // Ends when the page shows another log.
    this.over = new AbortController();
    this.state = new State(part("state"));
    this.times = new Times(this.paths.tasks);
    this.showsTimes = false;
    this.folds = new Folds();
    this.source = new Source(this.paths, this.state, this.over.signal);
    this.lines = new Lines((from, to) => this.source.read(from, to), (failure) => this.came(failure));
  }

  async start() {
    const outline = await this.source.outline();
    if (this.isOver) return;
    let left = outline.bytes;
    outline.breaks.forEach((breaks, i) => {
      const isLast = i === outline.breaks.length - 1;
      this.lines.extend(Math.min(left, outline.part), breaks, isLast && outline.open);
      left -= outline.part;
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
    if (part("range")) this.choice = new Choice(this);
    if (part("search")) this.finding = new Finding(this);
    this.listen();
    this.recall();
    this.first(outline.complete);
    this.root.dataset.ready = "true";
    if (!outline.complete) this.follow(outline.bytes);
  }

  /** Its log is not on the page any more. */
  stop() {
    this.over.abort();
    this.stream?.stop();
  }

  get isOver() {
    return this.over.signal.aborted;
  }

  // Puts the viewer in the place of the plain text.
  open(outline) {
    part("plain").remove();
    part("view").hidden = false;
    this.root.querySelector(".log-tools").hidden = false;
    this.isLive = !outline.complete;
    this.state.say(outline.complete ? "over" : "lost", outline.complete ? "Complete" : "Connecting…");
  }

  // What is in sight first: what the address names, what goes on, or what failed.
  first(isComplete) {
    const failure = this.folds.nextFailure(0);
    if (isComplete && failure) this.folds.foldAll((section) => !this.folds.hasFailed(section), this.lines.count);
    this.hasFolded = isComplete && failure !== undefined;
    this.update();
    if (this.choice?.read()) return;
    if (!isComplete) this.setFollowing(true);
    else if (failure) this.reachFailure();
    this.hold(false);
  }

  // A part of the log has come, or not.
  came(failure) {
    if (this.isOver) return;
    if (!failure) this.draw();
    else if (this.source.mayComeYet(failure)) setTimeout(() => this.draw(), AGAIN);
  }

  // Draws what was missing, once for all that comes at the same time.
  draw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      if (this.isOver) return;
      this.update();
      if (this.isFollowing) this.view.keepEnd();
    });
  }

  update() {
    this.view.setRows(this.folds.rows(this.lines.count));
    const grown = this.last && this.folds.rowOf(this.last);
    const stale = this.hasNews ? ".is-coming, .is-header" : ".is-coming";
    this.view.renew((at, made) => at === grown || made.querySelector(stale));
    this.hasNews = false;
    this.last = this.mayGrow(this.lines.count) ? this.lines.count : 0;
    part("failure").hidden = this.folds.nextFailure(0) === undefined;
    part("fold").hidden = this.folds.sections.length === 0;
    part("fold").textContent = this.hasFolded ? "Unfold all" : "Fold what went well";
    part("follow").hidden = !this.isLive || this.isFollowing;
    if (this.lines.end > 0) this.tellOfSize();
  }

  // Whether more may come to the row of the last line: it has no end, or what is folded there takes up what comes. All other rows
  // stay as they are, and with them what is selected.
  mayGrow(line) {
    return this.lines.isOpen || this.folds.isOpen || this.folds.lineAt(this.folds.rowOf(line)) !== line;
  }

  // Also that there is something at all: the page may have come before it.
  tellOfSize() {
    if (!part("about")) return;
    part("attempt").textContent = `Attempt ${this.paths.attempt}`;
    part("about").hidden = false;
    part("size").textContent = `${size(this.lines.end)}, ${this.lines.count} lines`;
  }

  make(at) {
    const line = this.folds.lineAt(at);
    const shown = this.shown.get(line) ?? CUT;
    const read = this.lines.line(line, shown);
    const section = this.folds.headed(line);
    return row({
      line,
      link: `${this.paths.page}#L${line}`,
      text: read ? read.text : null,
      more: read?.more ?? 0,
      shown,
      pattern: this.finding?.pattern,
      isHit: this.finding?.line === line,
      isChosen: this.choice?.has(line),
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
      state: (name) => (name === "connected" ? this.state.say("live", "Live") : this.state.say("lost", "Connection lost. Trying again…")),
      refused: (status) => this.state.say("lost", said(status)),
    };
    this.stream = new Stream(this.paths.stream, offset, listener);
    this.stream.run();
  }

  take(text, end) {
    const before = this.lines.breaks;
    this.lines.append(encoder.encode(text), end);
    const ended = (this.begun + text).split("\n");
    // So much of a line tells what it is.
    this.begun = ended.pop().slice(0, CUT);
    ended.forEach((line, i) => {
      const shown = plain(line.endsWith("\r") ? line.slice(0, -1) : line);
      this.hasNews = this.folds.note(before + i + 1, meaning(shown)) || this.hasNews;
      this.finding?.look(before + i + 1, shown);
    });
    if (this.hasNews && this.showsTimes) this.loadTimes();
    this.draw();
  }

  ended({ status, outcome }) {
    this.isLive = false;
    const words = [outcome ? `Ended: ${outcome.replaceAll("_", " ")}` : "It never began"];
    if (status === "queued" || status === "running") {
      const link = document.createElement("a");
      link.href = this.paths.newest;
      link.textContent = "See its newest attempt";
      words.push(". The job goes on. ", link);
    }
    this.state.say("over", ...words);
    if (this.showsTimes) this.loadTimes();
    this.draw();
    this.setFollowing(false);
  }

  setFollowing(isFollowing) {
    this.isFollowing = isFollowing && this.isLive;
    part("follow").hidden = !this.isLive || this.isFollowing;
    if (!this.isFollowing) return;
    this.hold(false);
    this.view.keepEnd();
  }

  // Whoever looks at something keeps it, also when the page has another attempt to show.
  hold(isHeld) {
    this.root.toggleAttribute("data-held", isHeld);
  }

  moved(way) {
    if (this.isLive && way > 0 && this.view.isAtEnd) {
      if (!this.isFollowing) this.setFollowing(true);
      return;
    }
    if (way < 0) this.setFollowing(false);
    if (!this.isFollowing) this.hold(true);
  }

  // What is selected stays in sight.
  selected() {
    this.setFollowing(false);
    this.hold(true);
  }

  /** The first line in sight. */
  get top() {
    return this.folds.lineAt(this.view.range[0]);
  }

  /** Brings lines into sight, also out of what is folded, and the log itself: on a phone it is below its buttons. */
  bring(first, last = first) {
    this.reach(first, last);
    part("text").scrollIntoView({ block: "nearest" });
  }

  // The same within the log.
  reach(first, last, below) {
    this.setFollowing(false);
    this.hold(true);
    if (this.folds.reveal(first, last, this.lines.count)) {
      this.update();
      // Headers say that they are open now.
      this.view.renew();
    }
    this.view.show(this.folds.rowOf(first), below);
  }

  focus() {
    part("text").focus({ preventScroll: true });
  }

  nextFailure() {
    if (this.reachFailure()) part("text").scrollIntoView({ block: "nearest" });
  }

  // Whether there is one.
  reachFailure() {
    const line = this.folds.nextFailure(this.failure ?? 0);
    if (line === undefined) return false;
    this.failure = line;
    this.folds.reveal(line + 1, line + 1, this.lines.count);
    this.update();
    this.reach(line, line, this.view.height * 2);
    return true;
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

  showTimes(isOn) {
    this.showsTimes = isOn;
    part("text").classList.toggle("has-times", isOn);
    part("times").setAttribute("aria-pressed", String(isOn));
    keep("times", isOn);
    this.view.renew();
    if (isOn) this.loadTimes();
  }

  // Not more than once at a time: a live log may begin many tasks a second.
  async loadTimes() {
    this.isDue = true;
    if (this.isLoading) return;
    this.isLoading = true;
    while (this.isDue && !this.isOver) {
      this.isDue = false;
      try {
        await this.times.load();
      } catch {
        // The next one brings them.
      }
      this.view.renew();
      await rest(BETWEEN);
    }
    this.isLoading = false;
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
    on("follow", "click", () => {
      this.setFollowing(true);
      // The button is not there any more.
      this.focus();
    });
    on("text", "click", (event) => this.clicked(event));
    selections(part("text"), this.view, () => this.selected(), this.over.signal);
    part("keys")?.addEventListener("click", () => this.help());
    on("view", "keydown", (event) => this.pressed(event));
  }

  help() {
    const isOpen = part("help").hidden;
    part("help").hidden = !isOpen;
    part("keys").setAttribute("aria-expanded", String(isOpen));
  }

  clicked(event) {
    const line = Number(event.target.closest(".log-row")?.dataset.line);
    if (this.choice && event.target.closest(".log-number") && !event.ctrlKey && !event.metaKey) {
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
      ...this.finding?.keys,
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

let viewer;

// A page that renews itself may come to show another log.
function show() {
  const root = document.getElementById("log");
  if (root === (viewer?.root ?? null)) return;
  viewer?.stop();
  viewer = root ? new Viewer(root) : undefined;
  viewer?.start();
}

document.addEventListener("renewed", show);
show();
