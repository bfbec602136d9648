"""One person's browser: knows what a page loads, and holds it to what no page may do."""

from pathlib import Path
from urllib.parse import urlsplit

import axe_playwright_python

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE = {"viewport": {"width": 375, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
# Of a page with all that it needs, without what it asks for afterwards.
MOST_BYTES = 100_000
# Longer than the 30 s after which a page asks by itself for what no stream tells of.
LIMIT = 60_000


def see(page, is_seen):
    """Brings a page to the front, or puts it behind others, as far as it is told: without a screen each page counts as seen."""
    page.evaluate("""(isHidden) => {
        Object.defineProperty(document, "hidden", {get: () => isHidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }""", not is_seen)  # fmt: skip


class Visit:
    """A browser of its own, without anything from before."""

    def __init__(self, chromium, gateway, **options):
        self.gateway = gateway
        self.origin = gateway.url
        self.faults = []
        # What tests expect to go wrong, as parts of what the browser says about it.
        self.expected = []
        self.loaded = []
        options.setdefault("viewport", {"width": 1200, "height": 800})
        self.context = chromium.new_context(locale="en-GB", timezone_id="Europe/Berlin", **options)
        self.context.set_default_timeout(LIMIT)
        self.page = self.tab()

    def tab(self):
        """Another page of the same browser."""
        page = self.context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._fault(f"error: {error}"))
        page.on("request", self._asked)
        page.on("requestfinished", lambda request: self.loaded.append(request))
        return page

    def close(self):
        self.context.close()

    # Looked at, and not held up: a test that waits for the gateway does not answer the browser meanwhile. Nothing leaves the
    # machine all the same, as the browser finds no names.
    def _asked(self, request):
        if not request.url.startswith((self.origin + "/", "data:", "blob:")):
            self.faults.append(f"asked for {request.url}")

    def _said(self, message):
        if message.type in ("error", "warning"):
            self._fault(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _fault(self, text):
        if not any(part in text for part in self.expected):
            self.faults.append(text)

    def go(self, path):
        """Opens a page; what it answers."""
        self.loaded.clear()
        return self.page.goto(self.origin + path)

    def sign_in(self, token):
        self.go("/signin")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/signin" not in url)

    def bytes(self, kinds=("document", "script", "stylesheet", "image", "font")):
        """How much the page has loaded, by what it loaded."""
        sizes = {}
        for request in self.loaded:
            if request.resource_type in kinds:
                size = request.sizes()
                sizes[urlsplit(request.url).path] = size["responseBodySize"] + size["responseHeadersSize"]
        return sizes

    def is_small(self):
        sizes = self.bytes()
        assert sum(sizes.values()) <= MOST_BYTES, sizes

    def violations(self):
        """What axe-core has to say against the page as it is now, in a line for each element."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
        return [
            f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def is_accessible(self):
        found = self.violations()
        assert not found, "\n".join(found)
