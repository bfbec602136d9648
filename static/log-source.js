// Asks the gateway for a log: its outline, and parts of it. Says why it cannot have them, and when it can again.
import { said } from "./log-state.js";

/** After something could not be had, in milliseconds. */
export const AGAIN = 2000;

export class Source {
  /** `paths` are those of the outline and the log, `state` is told of trouble, `signal` ends all asking. */
  constructor(paths, state, signal) {
    this.paths = paths;
    this.state = state;
    this.signal = signal;
  }

  /** How the log is divided, as soon as that can be had; nothing if the log is not wanted any more. */
  async outline() {
    const { signal } = this;
    while (!signal.aborted) {
      try {
        const answer = await fetch(this.paths.outline, { signal });
        if (answer.ok) return await answer.json();
        this.state.say("lost", said(answer.status));
        if (answer.status < 500) return new Promise(() => {});
      } catch {
        this.state.say("lost", said(0));
      }
      await rest(AGAIN);
    }
    return undefined;
  }

  /** Bytes of the log. */
  async read(from, to) {
    try {
      const answer = await fetch(this.paths.log, { headers: { range: `bytes=${from}-${to - 1}` }, signal: this.signal });
      if (answer.status !== 206) throw new Refused(answer.status);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      this.state.relieve();
      return bytes;
    } catch (failure) {
      this.state.trouble(said(failure.status ?? 0));
      throw failure;
    }
  }

  /** Whether it is worth to ask again before a person does something. */
  mayComeYet({ status = 500 }) {
    return status >= 500;
  }
}

export function rest(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** The gateway gives something else than what it was asked for. */
class Refused extends Error {
  constructor(status) {
    super(`the gateway answered ${status}`);
    this.status = status;
  }
}
