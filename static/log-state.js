// Says how it stands with a log: that it is live, how it ended, and why something of it cannot be shown.

/** What an answer of the gateway's means for whoever reads the log; 0 is none. */
export function said(status) {
  if (status === 0) return "The gateway does not answer. Trying again…";
  if (status === 401 || status === 403) return "You are not signed in any more. Load the page again.";
  if (status === 404) return "This log is not there any more.";
  return status < 500 ? `The gateway answered ${status}. Load the page again.` : `The gateway answered ${status}. Trying again…`;
}

export class State {
  constructor(element) {
    this.element = element;
    this.words = [];
    this.isTroubled = false;
  }

  /** Says it: `kind` is live, lost or over; words are texts or elements. */
  say(kind, ...words) {
    this.words = [kind, ...words];
    this.isTroubled = false;
    this.show(kind, ...words);
  }

  /** Says something in the place of that for a while. */
  trouble(text) {
    this.isTroubled = true;
    this.show("lost", text);
  }

  /** The trouble is over: what was said before is back. */
  relieve() {
    if (this.isTroubled) this.say(...this.words);
  }

  show(kind, ...words) {
    this.element.replaceChildren(...words);
    this.element.dataset.kind = kind;
  }
}
