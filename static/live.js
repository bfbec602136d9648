// Keeps a page up to date: when the gateway says that something moved, the page is asked for again, and its parts are put
// in place of the old ones. Shows when the connection is lost, and lets go when asked to pause.
import { untilSeen } from "./seen.js";
import { localTimes } from "./times.js";

/** Changes that come together are asked for together, in milliseconds. */
const GATHERED = 400;

/** After a failure, in milliseconds. */
const AGAIN = 5_000;

/** What no stream tells of, such as an alert that nothing is done about, is found by asking now and then. */
const EVERY = 30_000;

/** A gateway that has not answered by then is gone, in milliseconds. */
const PATIENCE = 20_000;

/** Follows the page's own changes, if it says that it has any. */
export function live() {
  const page = document.querySelector("[data-live]");
  if (!page) return;
  const state = new State(page);
  const refresh = new Refresh(page, state);
  follow(page.dataset.job, state, refresh);
  addEventListener("offline", () => state.lost());
  // Also while nobody sees the page: its title is in sight.
  setInterval(() => refresh.soon(), EVERY);
}

// Lets go of the connection while nobody sees the page.
async function follow(job, state, refresh) {
  for (;;) {
    await untilSeen();
    const source = new EventSource("/api/v1/stream");
    const over = new AbortController();
    source.addEventListener("open", () => {
      // What moved while nobody listened is not told again: also between the page and its first listening.
      refresh.soon();
      state.connected();
    });
    source.addEventListener("missed", () => refresh.soon());
    source.addEventListener("job", (event) => {
      if (!job || concerns(JSON.parse(event.data), job)) refresh.soon();
    });
    await new Promise((resolve) => {
      document.addEventListener("visibilitychange", resolve, { signal: over.signal });
      source.addEventListener("error", () => {
        state.lost();
        // A browser comes back by itself, unless it was answered something else than a stream.
        if (source.readyState === EventSource.CLOSED) setTimeout(resolve, AGAIN);
      });
    });
    source.close();
    over.abort();
  }
}

function concerns(moved, job) {
  return moved.id === job || moved.rerun_of === job || moved.follows === job;
}

/** What is said about the connection, beside the heading. */
class State {
  constructor(page) {
    this.isLost = false;
    this.isPaused = false;
    this.line = page.querySelector("[data-live-state]") ?? page.insertAdjacentElement("afterbegin", make("div", "live"));
    this.text = make("span", "live-text");
    this.text.setAttribute("role", "status");
    this.button = make("button", "quiet");
    this.button.type = "button";
    this.button.addEventListener("click", () => this.toggle());
    this.line.append(this.text, this.button);
    this.show();
  }

  onResume = () => {};

  toggle() {
    this.isPaused = !this.isPaused;
    this.show();
    if (!this.isPaused) this.onResume();
  }

  connected() {
    this.isLost = false;
    this.show();
  }

  lost() {
    this.isLost = true;
    this.show();
  }

  show() {
    const [tone, text] = this.isPaused
      ? ["wait", "‖ paused: this page stands still"]
      : this.isLost
        ? ["bad", "✗ connection lost: trying again, what you see may be old"]
        : ["good", "● live"];
    this.line.className = `live ${tone}`;
    if (this.text.textContent !== text) this.text.textContent = text;
    this.button.textContent = this.isPaused ? "Go on" : "Pause updates";
  }
}

/** Asks for the page again, one time after the other. */
class Refresh {
  constructor(page, state) {
    this.page = page;
    this.state = state;
    this.timer = null;
    this.isAsking = false;
    this.isDue = false;
    // A button of the mouse is down, or a finger: what is under it must not move away.
    this.isPressed = false;
    // A part was left as it is, as somebody holds it.
    this.isOwed = false;
    state.onResume = () => this.soon();
    addEventListener("pointerdown", () => (this.isPressed = true));
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => this.letGo());
    document.addEventListener("selectionchange", () => this.settle());
  }

  letGo() {
    this.isPressed = false;
    // After the click that comes of it.
    setTimeout(() => this.settle());
  }

  // Makes up for what was left.
  settle() {
    if (!this.isOwed || this.isPressed || !getSelection().isCollapsed) return;
    this.isOwed = false;
    this.soon();
  }

  isHeld(part) {
    const selection = getSelection();
    return this.isPressed || (!selection.isCollapsed && selection.containsNode(part, true));
  }

  soon() {
    if (this.state.isPaused) return;
    this.isDue = true;
    if (this.timer === null && !this.isAsking) {
      this.timer = setTimeout(() => this.ask(), GATHERED);
    }
  }

  async ask() {
    this.timer = null;
    this.isDue = false;
    this.isAsking = true;
    const patience = new AbortController();
    const end = setTimeout(() => patience.abort(), PATIENCE);
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: patience.signal });
      if (answer.redirected && new URL(answer.url).pathname === "/signin") {
        // The session is over.
        location.assign(answer.url);
        return;
      }
      if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
      const text = await answer.text();
      if (!this.state.isPaused) this.put(new DOMParser().parseFromString(text, "text/html"));
      this.state.connected();
    } catch {
      this.state.lost();
      this.isDue = true;
    } finally {
      clearTimeout(end);
      this.isAsking = false;
      if (this.isDue) this.timer = setTimeout(() => this.ask(), this.state.isLost ? AGAIN : GATHERED);
    }
  }

  put(fresh) {
    localTimes(fresh);
    let lost;
    for (const old of this.page.querySelectorAll("[data-part]")) {
      const part = fresh.getElementById(old.id);
      if (!part || isSame(part, old)) continue;
      if (this.isHeld(old)) this.isOwed = true;
      else lost ??= replace(old, document.importNode(part, true));
    }
    // A job that moves on stands in another part then.
    if (lost) this.page.querySelector(`a[href="${CSS.escape(lost)}"]`)?.focus({ preventScroll: true });
    document.dispatchEvent(new Event("renewed"));
    if (document.title !== fresh.title) document.title = fresh.title;
  }
}

// A part that a script fills says of what it is; it stays while somebody holds it.
function isSame(part, old) {
  if (old.dataset.of === undefined) return part.innerHTML === old.innerHTML;
  return part.dataset.of === old.dataset.of || old.querySelector("[data-held]") !== null;
}

/** Puts the new part in place. Whoever was at a link in it, or at a text that scrolls, is there again, and what they had opened
 * stays open. Answers with where the link led that they were at, if it is gone. */
function replace(old, part) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const href = focused?.getAttribute("href");
  const box = [...old.querySelectorAll("[tabindex]")].indexOf(focused);
  const open = [...old.querySelectorAll("details[open][id]")].map((details) => details.id);
  const scrolled = [...old.querySelectorAll(".scroll, .output")].map((box) => [box.scrollLeft, box.scrollTop]);
  old.replaceWith(part);
  for (const id of open) part.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  [...part.querySelectorAll(".scroll, .output")].forEach((box, at) => {
    if (scrolled[at]) [box.scrollLeft, box.scrollTop] = scrolled[at];
  });
  if (!focused) return undefined;
  const links = [...part.querySelectorAll("a[href]")];
  const again = href ? links.find((link) => link.getAttribute("href") === href) : part.querySelectorAll("[tabindex]")[box];
  if (again) again.focus({ preventScroll: true });
  return again ? undefined : href;
}

function make(name, className) {
  const element = document.createElement(name);
  element.className = className;
  return element;
}
