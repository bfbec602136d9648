// Reads a line of a log as a terminal would show it. Makes no HTML: it answers with pieces of text and names of classes.

const HUES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

// Control sequences; strings as in a window title, which end with their line at the latest; all other escapes.
const ESCAPE = /\x1b(?:\[([ -?]*)([@-~])?|[\]PX^_](?:[^\x07\x1b]|\x1b(?!\\))*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)/g;

// What would hide or reorder text. Tabs are text.
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

// More pieces than this are not coloured: a line may change its colour with every character.
const MOST_PIECES = 100;

const PLAIN = { hue: "", bold: false, italic: false, underline: false, strike: false };

/** The pieces of a line, each `{text, names}`, where `names` are classes or "". Every line begins without colours. */
export function pieces(line) {
  const found = [];
  let style = PLAIN;
  let at = 0;
  for (const escape of line.matchAll(ESCAPE)) {
    add(found, line.slice(at, escape.index), style);
    at = escape.index + escape[0].length;
    if (escape[2] === "m") style = styled(style, escape[1]);
    if (found.length >= MOST_PIECES) {
      add(found, line.slice(at).replace(ESCAPE, ""), PLAIN);
      return found;
    }
  }
  add(found, line.slice(at), style);
  return found;
}

/** The text of a line, without escapes. */
export function plain(line) {
  return line.replace(ESCAPE, "").replace(CONTROL, visible);
}

function add(found, text, style) {
  if (text === "") return;
  const shown = text.replace(CONTROL, visible);
  const names = classes(style);
  const last = found.at(-1);
  if (last && last.names === names) last.text += shown;
  else found.push({ text: shown, names });
}

// A picture of what has one, else the number.
function visible(char) {
  const code = char.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

function classes({ hue, bold, italic, underline, strike }) {
  const names = [];
  if (hue) names.push(`a-${hue}`);
  if (bold) names.push("a-bold");
  if (italic) names.push("a-italic");
  if (underline) names.push("a-underline");
  if (strike) names.push("a-strike");
  return names.join(" ");
}

// Backgrounds, inversion and concealment are left out: with them a log could hide what it says.
function styled(before, parameters) {
  if (!/^[0-9;:]*$/.test(parameters)) return before;
  const codes = parameters.split(/[;:]/).map(Number);
  let style = before;
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 38 || code === 48) {
      const [hue, length] = extended(codes, i + 1);
      if (code === 38 && hue !== undefined) style = { ...style, hue };
      i += length;
    } else {
      style = changed(style, code);
    }
  }
  return style;
}

function changed(style, code) {
  if (code === 0) return PLAIN;
  if (code === 1) return { ...style, bold: true };
  if (code === 3) return { ...style, italic: true };
  if (code === 4) return { ...style, underline: true };
  if (code === 9) return { ...style, strike: true };
  if (code === 22) return { ...style, bold: false };
  if (code === 23) return { ...style, italic: false };
  if (code === 24) return { ...style, underline: false };
  if (code === 29) return { ...style, strike: false };
  if (code === 39) return { ...style, hue: "" };
  if (code >= 30 && code <= 37) return { ...style, hue: HUES[code - 30] };
  if (code >= 90 && code <= 97) return { ...style, hue: code === 90 ? "grey" : HUES[code - 90] };
  return style;
}

// A colour of 256, or one of red, green and blue, as the hue that is nearest; and how many numbers told it.
function extended(codes, at) {
  if (codes[at] === 5) return [ofTable(codes[at + 1] ?? 0), 2];
  if (codes[at] === 2) return [ofRgb(codes[at + 1] ?? 0, codes[at + 2] ?? 0, codes[at + 3] ?? 0), 4];
  return [undefined, 1];
}

function ofTable(index) {
  if (index < 8) return HUES[index];
  if (index < 16) return index === 8 ? "grey" : HUES[index - 8];
  if (index >= 232) return "grey";
  const cube = index - 16;
  const level = (step) => (step === 0 ? 0 : 55 + 40 * step);
  return ofRgb(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function ofRgb(red, green, blue) {
  const most = Math.max(red, green, blue);
  const least = Math.min(red, green, blue);
  if (most - least < 40) return most < 40 ? "black" : most > 215 ? "white" : "grey";
  const half = (most + least) / 2;
  return HUES[(red > half ? 1 : 0) + (green > half ? 2 : 0) + (blue > half ? 4 : 0)];
}
