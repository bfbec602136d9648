// The keyboard: / j k Enter r ?  Keys that somebody types into a field, or presses with another key, are not ours. Who speaks
// to their computer, or hits keys by accident, turns them off (WCAG 2.1.4).

const help = [
  ["/", "search jobs"],
  ["j", "next of the list"],
  ["k", "the one before"],
  ["Enter", "open it"],
  ["r", "run it again (asks first)"],
  ["?", "these keys"],
];

/** Listens to the whole page. */
export function keys() {
  const footer = document.querySelector("[data-keys]");
  if (footer) {
    footer.hidden = false;
    footer.querySelector("button").addEventListener("click", show);
  }
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    if (isOff() || isTyping(event.target)) return;
    const act = acts[event.key];
    if (act && act() !== false) event.preventDefault();
  });
}

/** As the browser remembers it; one that remembers nothing has them on. */
function isOff() {
  try {
    return localStorage.getItem("keys") === "off";
  } catch {
    return false;
  }
}

function turn(isOn) {
  try {
    localStorage.setItem("keys", isOn ? "on" : "off");
  } catch {
    // Then they stay on.
  }
}

const acts = {
  "/": search,
  j: () => move(1),
  k: () => move(-1),
  r: runAgain,
  "?": show,
};

function isTyping(target) {
  return target instanceof Element && target.closest("input, textarea, select, dialog, [contenteditable]") !== null;
}

function search() {
  const field = document.querySelector("[data-search]");
  if (!field) {
    location.assign("/jobs#q");
    return;
  }
  field.focus();
  field.select();
}

function titles() {
  return [...document.querySelectorAll("[data-list] .title")];
}

function move(by) {
  const all = titles();
  if (all.length === 0) return false;
  const at = all.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
}

function runAgain() {
  const own = document.querySelector("a[data-key='r']");
  if (own) {
    location.assign(own.href);
    return;
  }
  const chosen = titles().find((title) => title === document.activeElement);
  const job = chosen?.getAttribute("href").match(/^\/jobs\/[^/?#]+$/)?.[0];
  if (!job || !document.body.hasAttribute("data-operator")) return false;
  location.assign(`${job}/rerun`);
}

function show() {
  let dialog = document.getElementById("keys");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "keys";
    dialog.setAttribute("aria-labelledby", "keys-title");
    const title = document.createElement("h2");
    title.id = "keys-title";
    title.textContent = "Keys";
    const list = document.createElement("dl");
    list.className = "pairs";
    for (const [key, what] of help) {
      const line = document.createElement("div");
      const name = document.createElement("dt");
      const kbd = document.createElement("kbd");
      kbd.textContent = key;
      name.append(kbd);
      const text = document.createElement("dd");
      text.textContent = what;
      line.append(name, text);
      list.append(line);
    }
    const choice = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = !isOff();
    box.addEventListener("change", () => turn(box.checked));
    choice.append(box, " These keys work in this browser");
    const form = document.createElement("form");
    form.method = "dialog";
    const close = document.createElement("button");
    close.textContent = "Close";
    form.append(close);
    dialog.append(title, list, choice, form);
    document.body.append(dialog);
  }
  dialog.showModal();
}
