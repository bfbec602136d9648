// Whether somebody can see the page. Browsers open six connections to a server without HTTP/2, for all their tabs together: a page
// that holds one while it is hidden keeps others from loading.

/** Resolves as soon as the page can be seen. */
export async function untilSeen() {
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}
