// Follows a log over server-sent events, from an offset on, and comes back after every loss. Never reads what was there before.
// Lets go while nobody can see the page.
import { untilSeen } from "./seen.js";

// The server says something every 15 s at least.
const SILENCE = 40_000;

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

/** `listener` has `log(text, offset)`, `end(how)`, `state(name)` with connected or lost, `refused(status)`. */
export class Stream {
  constructor(url, offset, listener) {
    this.url = url;
    this.offset = offset;
    this.listener = listener;
    this.isOver = false;
    this.wait = FIRST_WAIT;
    this.wake = () => {};
    this.over = new AbortController();
    const { signal } = this.over;
    addEventListener("online", () => this.wake(), { signal });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.abort?.abort() : this.wake()), { signal });
  }

  async run() {
    while (!this.isOver) {
      await untilSeen();
      try {
        await this.connect();
      } catch {
        // It is tried again, whatever it was.
      }
      if (this.isOver) return;
      // Then it was let go, not lost.
      if (document.hidden) continue;
      this.listener.state("lost");
      await this.pause();
    }
  }

  stop() {
    this.isOver = true;
    this.over.abort();
    this.abort?.abort();
    clearTimeout(this.timer);
    this.wake();
  }

  async connect() {
    if (this.isOver) return;
    this.abort = new AbortController();
    const headers = { accept: "text/event-stream", "last-event-id": String(this.offset) };
    this.listen();
    const answer = await fetch(this.url, { headers, signal: this.abort.signal, cache: "no-store" });
    if (!answer.ok) {
      // A server that is about to stop, or that has not begun yet, says 5xx.
      if (answer.status < 500) {
        this.stop();
        this.listener.refused(answer.status);
      }
      return;
    }
    this.wait = FIRST_WAIT;
    this.listener.state("connected");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      await this.read(reader);
    } finally {
      clearTimeout(this.timer);
      this.abort.abort();
    }
  }

  async read(reader) {
    let rest = "";
    while (!this.isOver) {
      const { value, done } = await reader.read();
      if (done) return;
      this.listen();
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) this.take(event);
    }
  }

  take(event) {
    const fields = new Map();
    for (const line of event.split("\n")) {
      const at = line.indexOf(": ");
      if (at > 0) fields.set(line.slice(0, at), line.slice(at + 2));
    }
    if (fields.get("event") === "log") {
      this.offset = Number(fields.get("id"));
      this.listener.log(JSON.parse(fields.get("data")), this.offset);
    } else if (fields.get("event") === "end") {
      this.stop();
      this.listener.end(JSON.parse(fields.get("data")));
    }
  }

  // Whoever is silent for too long is gone.
  listen() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.abort.abort(), SILENCE);
  }

  pause() {
    const wait = this.wait;
    this.wait = Math.min(2 * wait, LONGEST_WAIT);
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, wait);
    });
  }
}
