// Reads and writes the lines that an address names, as in #L120-L140, and copies them. Never moves what is shown.

/** The lines that a hash names: `[first, last]`, or nothing. */
export function rangeOf(hash) {
  const found = /^#L([1-9]\d{0,11})(?:-L?([1-9]\d{0,11}))?$/.exec(hash);
  if (!found) return undefined;
  const first = Number(found[1]);
  const second = Number(found[2] ?? first);
  return [Math.min(first, second), Math.max(first, second)];
}

/** The same as a person may write it: `12`, `12-30`, `L12-L30`. */
export function rangeSaid(text) {
  return rangeOf(`#L${text.trim().replace(/^#?L/i, "").replace(/\s*(?:-|–|to)\s*L?/i, "-L")}`);
}

export function hashOf([first, last]) {
  return first === last ? `#L${first}` : `#L${first}-L${last}`;
}

export function nameOf([first, last]) {
  return first === last ? `Line ${first}` : `Lines ${first}–${last}`;
}

/** Puts a text into the clipboard. Whether that could be done: browsers allow it to pages of a secure origin. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  const had = document.activeElement;
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  had?.focus({ preventScroll: true });
  return isDone;
}
