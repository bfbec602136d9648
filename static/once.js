// A button that was pressed is not pressed again. The server would not be fooled either: a form does its work once.

// Whoever has stopped the browser from waiting may press again, in milliseconds.
const AGAIN = 5_000;

/** Every form below `root` that does something. */
export function once(root) {
  for (const form of root.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      form.dataset.sent = "yes";
      for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
      setTimeout(() => allow(form), AGAIN);
    });
  }
  // A page that comes back from the browser's memory may be sent again.
  addEventListener("pageshow", () => {
    for (const form of root.querySelectorAll("form[data-sent]")) allow(form);
  });
}

function allow(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
}
