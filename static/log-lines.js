// Finds the lines of a log by their numbers, and holds the few parts of it that are looked at. Never holds a whole log.

// Parts that are kept; each is 64 KiB or so.
const MOST_PARTS = 64;

// So much of a line is shown at first, in bytes.
export const CUT = 4096;

const NEWLINE = 10;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A log is a row of parts, of which is known where they begin and how many lines end in them. */
export class Lines {
  /** `read(from, to)` answers with a promise of those bytes. `changed(failure)` is called when a part has come, or with why it has not. */
  constructor(read, changed) {
    this.read = read;
    this.changed = changed;
    this.starts = [];
    this.before = [];
    this.end = 0;
    this.breaks = 0;
    this.isOpen = false;
    // In the order in which they were last used.
    this.parts = new Map();
    this.coming = new Map();
    this.growing = null;
  }

  /** How many lines there are. The last one may be unfinished. */
  get count() {
    return this.breaks + (this.isOpen ? 1 : 0);
  }

  /** Adds a part that can be read when it is wanted. */
  extend(bytes, breaks, isOpen) {
    if (bytes === 0) return;
    this.growing = null;
    this.starts.push(this.end);
    this.before.push(this.breaks);
    this.end += bytes;
    this.breaks += breaks;
    this.isOpen = isOpen;
  }

  /** Adds what has just been said: bytes that are there, up to an offset in the log. */
  append(bytes, end) {
    if (bytes.length === 0) return;
    if (!this.growing || this.growing.length + bytes.length > 65536) {
      this.growing = new Growing(bytes.length);
      this.starts.push(this.end);
      this.before.push(this.breaks);
      this.keep(this.starts.length - 1, this.growing);
    }
    this.breaks += this.growing.add(bytes);
    this.end = end;
    this.isOpen = bytes.at(-1) !== NEWLINE;
  }

  /** A line from 1 on: `{text, more}`, where `more` is how many bytes are not in the text; `null` if it has yet to come. */
  line(number, cut = CUT) {
    const place = this.place(number);
    if (!place) return null;
    let { index, at } = place;
    const pieces = [];
    let length = 0;
    for (;;) {
      const part = this.part(index);
      if (!part) return null;
      const stop = this.stop(index, part, number);
      const taken = part.bytes.subarray(at, Math.min(stop.at, at + cut - length));
      pieces.push(taken);
      length += taken.length;
      if (stop.isEnd && at + taken.length === stop.at) return { text: text(pieces, false), more: 0 };
      if (length >= cut) return { text: text(pieces, true), more: this.lengthOf(number, place) - length };
      index += 1;
      at = 0;
    }
  }

  /** The text of lines, as soon as they have come; at most so many bytes of each. Fails if they cannot be read. */
  async textOf(first, last, most) {
    const texts = [];
    for (let number = first; number <= last; number += 1) {
      let line = this.line(number, most);
      while (!line) {
        await Promise.all(this.coming.values());
        if (this.failure) throw this.failure;
        line = this.line(number, most);
      }
      texts.push(line.text);
    }
    return texts;
  }

  // Where a line begins: in which part, and where in that.
  place(number) {
    if (number < 1 || number > this.count) return null;
    if (number === 1) return { index: 0, at: 0 };
    const index = last(this.before, number - 2);
    const part = this.part(index);
    if (!part) return null;
    const at = part.breaks[number - 2 - this.before[index]] + 1;
    return at < part.length ? { index, at } : { index: index + 1, at: 0 };
  }

  // Where a line stops within a part, and whether it ends there.
  stop(index, part, number) {
    const own = number - 1 - this.before[index];
    if (own < part.count) return { at: part.breaks[own], isEnd: true };
    const isLast = index === this.starts.length - 1;
    return { at: part.length, isEnd: isLast };
  }

  // To the byte if its end is at hand, else to the end of the part that it ends in.
  lengthOf(number, place) {
    const begin = this.starts[place.index] + place.at;
    if (number > this.breaks) return this.end - begin;
    const index = last(this.before, number - 1);
    const part = this.parts.get(index);
    const end = part ? this.starts[index] + part.breaks[number - 1 - this.before[index]] : this.endOf(index);
    return end - begin;
  }

  endOf(index) {
    return index + 1 < this.starts.length ? this.starts[index + 1] : this.end;
  }

  // A part that is there; else it is asked for.
  part(index) {
    const part = this.parts.get(index);
    if (part) {
      this.parts.delete(index);
      this.parts.set(index, part);
      return part;
    }
    if (index < this.starts.length && !this.coming.has(index)) this.coming.set(index, this.fetch(index));
    return null;
  }

  async fetch(index) {
    let failure;
    try {
      this.keep(index, new Part(await this.read(this.starts[index], this.endOf(index))));
    } catch (error) {
      failure = error;
    }
    this.coming.delete(index);
    this.failure = failure;
    this.changed(failure);
  }

  keep(index, part) {
    this.parts.set(index, part);
    for (const old of this.parts.keys()) {
      if (this.parts.size <= MOST_PARTS) return;
      if (this.parts.get(old) !== this.growing) this.parts.delete(old);
    }
  }
}

/** A part that was read. */
class Part {
  constructor(bytes) {
    this.bytes = bytes;
    this.length = bytes.length;
    this.breaks = positions(bytes, 0);
    this.count = this.breaks.length;
  }
}

/** The last part of a log that is being written. */
class Growing {
  constructor(room) {
    // More than what is there: `length` says how much that is.
    this.bytes = new Uint8Array(Math.max(room, 65536));
    this.length = 0;
    this.breaks = [];
    this.count = 0;
  }

  // How many lines end in the bytes that were added.
  add(bytes) {
    this.bytes.set(bytes, this.length);
    const found = positions(bytes, this.length);
    for (const position of found) this.breaks.push(position);
    this.length += bytes.length;
    this.count += found.length;
    return found.length;
  }
}

function positions(bytes, from) {
  const found = [];
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) found.push(from + at);
  return found;
}

// The last index whose value is not greater; the values never fall.
function last(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// A code point that was cut in two is left out.
function text(pieces, isCut) {
  let said;
  if (pieces.length === 1) {
    said = isCut ? new TextDecoder("utf-8", { ignoreBOM: true }).decode(pieces[0], { stream: true }) : decoder.decode(pieces[0]);
  } else {
    const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return text([whole], isCut);
  }
  return said.endsWith("\r") ? said.slice(0, -1) : said;
}
