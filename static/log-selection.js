// What a person has selected of a log with the mouse: copies it as the lines are, without what stands beside them.

/** `selected` is called when something is, `view` has the rows that are made. Listens until `signal` ends it. */
export function selections(scroller, view, selected, signal) {
  document.addEventListener("selectionchange", () => isWithin(scroller) && selected(), { signal });
  scroller.addEventListener("copy", (event) => {
    const selection = getSelection();
    if (!isWithin(scroller)) return;
    const rows = view.made.filter((row) => selection.containsNode(row, true));
    // A browser would take buttons for text, and leave out lines that are empty.
    event.clipboardData.setData("text/plain", rows.map((row) => selectedOf(row, selection)).join("\n"));
    event.preventDefault();
  });
}

function isWithin(scroller) {
  const selection = getSelection();
  return !selection.isCollapsed && scroller.contains(selection.anchorNode);
}

function selectedOf(made, selection) {
  const line = made.querySelector(".log-line");
  const own = selection.getRangeAt(0).cloneRange();
  if (!selection.containsNode(line)) {
    const whole = document.createRange();
    whole.selectNodeContents(line);
    if (own.compareBoundaryPoints(Range.START_TO_START, whole) < 0) own.setStart(whole.startContainer, whole.startOffset);
    if (own.compareBoundaryPoints(Range.END_TO_END, whole) > 0) own.setEnd(whole.endContainer, whole.endOffset);
  } else {
    own.selectNodeContents(line);
  }
  const text = own.cloneContents();
  for (const beside of text.querySelectorAll("button, .log-note")) beside.remove();
  return text.textContent;
}
