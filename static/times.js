// Turns times from UTC, as the server writes them, to the browser's zone. UTC stays in the title.

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** Every `<time>` below `root`. */
export function localTimes(root) {
  const today = day.format(new Date());
  for (const element of root.querySelectorAll("time[datetime]:not([title])")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    element.title = element.textContent;
    const that = day.format(at);
    element.textContent = that === today ? time.format(at) : `${that}, ${time.format(at)}`;
  }
}
