// Shows a long list of rows by making only those that are in sight. Knows nothing of logs, and never reads a row's text.

// Browsers draw nothing that is much higher than this many pixels.
const MOST_PIXELS = 4_000_000;

// A browser that scrolls smoothly may go on with that for so long, in milliseconds, after it was sent elsewhere.
const AFTERWARDS = 500;

// Rows that are made beyond each end of what is in sight.
const BEYOND = 20;

/**
 * Rows may be of any height; those that are not made are taken to have the usual one. So where the scrollbar is and what is in
 * sight may differ a little: a short way of scrolling goes by what is drawn, a long one by the scrollbar, and both are brought
 * together at rest.
 */
export class View {
  /**
   * `list` has `make(row)`, which answers with an element, and `key(row)` and `row(key)`: what stays with an element when rows are
   * counted anew. `moved(way)` is called when a person has scrolled, downwards if `way` is above 0.
   */
  constructor(scroller, list, moved) {
    this.scroller = scroller;
    this.list = list;
    this.moved = moved;
    this.canvas = element("log-canvas");
    this.block = element("log-rows");
    this.canvas.append(this.block);
    scroller.append(this.canvas);
    this.rows = 0;
    this.height = 20;
    // The rows that are made: the first one, where it is on the canvas, their elements and keys.
    this.first = 0;
    this.top = 0;
    this.made = [];
    this.keys = [];
    this.lastTop = 0;
    this.sentUntil = 0;
    // The key of a row that was brought into sight, and how far below the upper edge: it stays there, whatever height the rows
    // above it turn out to have, until a person scrolls.
    this.held = null;
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    for (const input of ["wheel", "touchstart", "pointerdown", "keydown"]) {
      scroller.addEventListener(input, () => this.letGo(), { passive: true });
    }
    scroller.addEventListener("wheel", (event) => event.deltaY < 0 && this.moved(-1), { passive: true });
    scroller.addEventListener("scrollend", () => this.settle());
    scroller.addEventListener("keydown", (event) => this.pressed(event));
    new ResizeObserver(() => this.resized()).observe(scroller);
  }

  /** What is in sight: the first row, and the last. */
  get range() {
    const top = this.scroller.scrollTop;
    return [this.rowAt(top), this.rowAt(top + this.sight - 1)];
  }

  get isAtEnd() {
    if (this.first + this.made.length < this.rows) return false;
    return this.top + this.block.offsetHeight <= this.scroller.scrollTop + this.sight + 4;
  }

  /** How many rows there are now. What is in sight stays. */
  setRows(rows) {
    this.rows = rows;
    this.resize();
    this.draw(...this.anchor());
  }

  /** Makes every row anew, or only those that `choose(row, element)` says. */
  renew(choose = () => true) {
    const anchor = this.anchor();
    this.made.forEach((old, i) => {
      if (choose(this.first + i, old)) this.made[i] = this.replace(old, this.first + i);
    });
    this.draw(...anchor);
  }

  /** Brings a row into sight, so many pixels below the upper edge. */
  show(row, below = this.sight / 3) {
    const wanted = Math.max(0, Math.min(row, this.rows - 1));
    this.scrollTo(this.ideal(wanted) - below);
    this.held = null;
    this.draw(wanted, Math.min(below, this.scroller.scrollTop + below));
    this.settle();
    this.hold(wanted);
    this.sent();
  }

  /** Brings the last row to the lower edge. */
  showEnd() {
    this.keepEnd();
    this.sent();
  }

  /** The same, over and over: whoever scrolls meanwhile is let go. */
  keepEnd() {
    if (this.rows === 0) return;
    this.held = null;
    this.scrollTo(this.extent);
    this.draw(this.rows - 1, this.sight - this.height);
    this.stick();
  }

  /** Puts the first row at the upper edge. */
  showStart() {
    this.held = null;
    this.scrollTo(0);
    this.draw(0, 0);
    this.sent();
  }

  // Nobody but a person moves it from there for a while.
  sent() {
    this.sentUntil = performance.now() + AFTERWARDS;
  }

  hold(row) {
    const made = this.made[row - this.first];
    if (made) this.held = [this.list.key(row), this.top + made.offsetTop - this.scroller.scrollTop];
  }

  // A person may be about to scroll.
  letGo() {
    this.sentUntil = 0;
    this.held = null;
  }

  // How much of the rows can be seen.
  get sight() {
    return this.scroller.clientHeight || 400;
  }

  // How far one can scroll.
  get extent() {
    return Math.max(0, this.length - this.sight);
  }

  // Where a row would be if all had the usual height and there were room.
  ideal(row) {
    const whole = this.rows * this.height;
    if (whole <= this.length) return row * this.height;
    return Math.min(this.extent, (row * this.height * this.extent) / Math.max(1, whole - this.sight));
  }

  rowOf(top) {
    const whole = this.rows * this.height;
    const scale = whole <= this.length ? 1 : Math.max(1, whole - this.sight) / Math.max(1, this.extent);
    return Math.max(0, Math.min(this.rows - 1, Math.floor((top * scale) / this.height)));
  }

  resize() {
    this.length = Math.min(this.rows * this.height, MOST_PIXELS);
    this.canvas.style.height = `${this.length}px`;
  }

  resized() {
    const probe = this.made.find((row) => row.offsetHeight > 0);
    const style = probe && getComputedStyle(probe);
    const height = style ? Number.parseFloat(style.lineHeight) : NaN;
    const wasAtEnd = this.isAtEnd;
    if (height > 0) this.height = height;
    this.resize();
    if (wasAtEnd && this.rows > 0 && this.first > 0) this.keepEnd();
    else this.draw(...this.anchor());
  }

  scrolled() {
    const top = this.scroller.scrollTop;
    const way = top - this.lastTop;
    if (Math.abs(way) < 1) return;
    if (performance.now() < this.sentUntil) {
      this.scrollTo(this.lastTop);
      return;
    }
    this.lastTop = top;
    this.held = null;
    const isDrawn = top >= this.top && top < this.top + this.block.offsetHeight;
    if (Math.abs(way) < 2 * this.sight && isDrawn) this.draw(...this.anchor());
    else if (top >= this.extent - 1) this.keepEnd();
    else this.draw(this.rowOf(top), 0);
    this.moved(way);
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.scroller) return;
    if (event.key === "End") this.showEnd();
    else if (event.key === "Home") this.showStart();
    else return;
    event.preventDefault();
    this.moved(event.key === "End" ? 1 : -1);
  }

  // A row that stays where it is, and how far below the upper edge that is.
  anchor() {
    const top = this.scroller.scrollTop;
    if (this.made.length === 0) return [this.rowOf(top), 0];
    if (this.held) return [this.list.row(this.held[0]), this.held[1]];
    const index = this.rowAt(top) - this.first;
    return [this.list.row(this.keys[index]), this.top + this.made[index].offsetTop - top];
  }

  rowAt(top) {
    let low = 0;
    let high = this.made.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.top + this.made[middle].offsetTop <= top) low = middle + 1;
      else high = middle;
    }
    return this.first + Math.max(0, low - 1);
  }

  // Makes what is in sight if that row is so far below the upper edge.
  draw(row, below) {
    const above = Math.max(0, Math.ceil(below / this.height));
    const from = Math.max(0, row - above - BEYOND);
    const to = Math.min(this.rows, row + Math.ceil((this.sight - below) / this.height) + BEYOND);
    this.take(from, Math.max(from, to));
    if (this.made.length === 0) return;
    this.place(this.scroller.scrollTop + below - this.made[Math.min(row, this.rows - 1) - this.first].offsetTop);
    this.mend();
  }

  take(from, to) {
    const old = new Map(this.keys.map((key, i) => [key, this.made[i]]));
    this.first = from;
    this.keys = [];
    for (let row = from; row < to; row += 1) this.keys.push(this.list.key(row));
    const kept = new Map();
    for (const key of this.keys) {
      if (old.has(key)) kept.set(key, old.get(key));
    }
    for (const [key, made] of old) {
      if (!kept.has(key)) this.remove(made);
    }
    let before = null;
    this.made = this.keys.map((key, i) => {
      const made = kept.get(key) ?? this.list.make(from + i);
      const next = before ? before.nextSibling : this.block.firstChild;
      if (made !== next) this.block.insertBefore(made, next);
      before = made;
      return made;
    });
  }

  replace(old, row) {
    const made = this.list.make(row);
    const had = old.contains(document.activeElement) ? document.activeElement.className : "";
    old.replaceWith(made);
    if (had) (made.getElementsByClassName(had)[0] ?? this.scroller).focus({ preventScroll: true });
    return made;
  }

  remove(made) {
    // Else the keyboard would be nowhere.
    if (made.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
    made.remove();
  }

  place(top) {
    this.top = top;
    this.block.style.transform = `translateY(${top}px)`;
  }

  // At both ends the rows go by the scrollbar.
  mend() {
    const isStart = this.first === 0;
    const isEnd = this.first + this.made.length === this.rows;
    const height = this.block.offsetHeight;
    if (isStart && isEnd) {
      this.length = height;
      this.canvas.style.height = `${height}px`;
      this.shift(-this.top);
    } else if (isStart && this.top !== 0) {
      this.shift(-this.top);
    } else if (isEnd && this.top + height !== this.length) {
      this.shift(this.length - this.top - height);
    } else if (!isStart && this.scroller.scrollTop <= 0) {
      this.shift(this.sight / 2);
    } else if (!isEnd && this.scroller.scrollTop >= this.extent) {
      this.shift(-this.sight / 2);
    }
  }

  // Moves rows and scrollbar alike: nothing is seen of it.
  shift(by) {
    if (Math.abs(by) < 0.01) return;
    const before = this.scroller.scrollTop;
    this.scrollTo(before + by);
    this.place(this.top + by);
  }

  stick() {
    const over = this.top + this.block.offsetHeight - this.sight - this.scroller.scrollTop;
    if (Math.abs(over) > 0.5) this.scrollTo(this.scroller.scrollTop + over);
  }

  // Brings the scrollbar to where the rows are.
  settle() {
    if (this.made.length === 0 || this.first === 0 || this.first + this.made.length === this.rows) return;
    const [row, below] = this.anchor();
    const by = this.ideal(row) - below - this.scroller.scrollTop;
    if (Math.abs(by) > 1) this.shift(by);
  }

  scrollTo(top) {
    this.scroller.scrollTop = top;
    this.lastTop = this.scroller.scrollTop;
  }
}

function element(name) {
  const made = document.createElement("div");
  made.className = name;
  return made;
}
