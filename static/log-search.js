// Finds a text in the whole log by asking the server, which reads it, and marks it in what is shown. Never shows anything.

/** What was found so far: line numbers, in order. */
export class Search {
  /** `found(search)` is called as more is known. */
  constructor(url, text, found) {
    this.text = text;
    this.lines = [];
    // What was said while the server looks, and has the text: it may look at them, too.
    this.meanwhile = [];
    this.isDone = false;
    this.hasMore = false;
    this.failure = "";
    this.pattern = pattern(text);
    this.found = found;
    this.abort = new AbortController();
    this.url = url;
  }

  async run() {
    try {
      const answer = await fetch(this.url, { signal: this.abort.signal });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const parts = (rest + value).split("\n");
        rest = parts.pop();
        for (const part of parts) this.take(JSON.parse(part));
      }
      if (!this.isDone) throw new Error("the answer broke off");
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.failure = error.message;
      this.isDone = true;
      this.found(this);
    }
  }

  stop() {
    this.abort.abort();
  }

  take(part) {
    for (const line of part.lines ?? []) this.lines.push(line);
    if (part.done) {
      this.isDone = true;
      this.hasMore = part.more;
      for (const line of this.meanwhile) this.add(line);
    }
    this.found(this);
  }

  /** Looks at a line that has just been said. */
  look(line, text) {
    this.pattern.lastIndex = 0;
    if (this.failure || this.hasMore || !this.pattern.test(text)) return;
    if (!this.isDone) {
      this.meanwhile.push(line);
    } else if (this.add(line)) {
      this.found(this);
    }
  }

  add(line) {
    const isNew = !this.hasMore && line > (this.lines.at(-1) ?? 0);
    if (isNew) this.lines.push(line);
    return isNew;
  }

  /** The index of the first line that was found at a line or after it; the first one of all if there is none. */
  from(line) {
    let low = 0;
    let high = this.lines.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.lines[middle] < line) low = middle + 1;
      else high = middle;
    }
    return low < this.lines.length ? low : 0;
  }
}

/** The text in any case, as the server looks for it. */
export function pattern(text) {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "giu");
}

/** The pieces of a line cut where the pattern begins and ends: `{text, names, isHit}`. At most `most` are marked. */
export function marked(pieces, pattern, most = 50) {
  const whole = pieces.map((piece) => piece.text).join("");
  const hits = [];
  for (const hit of whole.matchAll(pattern)) {
    if (hit[0] !== "") hits.push([hit.index, hit.index + hit[0].length]);
    if (hits.length >= most) break;
  }
  const cut = [];
  let at = 0;
  for (const piece of pieces) {
    let from = at;
    const end = at + piece.text.length;
    for (const [begin, stop] of hits) {
      if (stop <= from || begin >= end) continue;
      if (begin > from) cut.push(part(piece, at, from, begin, false));
      cut.push(part(piece, at, Math.max(from, begin), Math.min(stop, end), true));
      from = Math.min(stop, end);
    }
    if (from < end) cut.push(part(piece, at, from, end, false));
    at = end;
  }
  return cut;
}

function part(piece, at, from, to, isHit) {
  return { text: piece.text.slice(from - at, to - at), names: piece.names, isHit };
}
