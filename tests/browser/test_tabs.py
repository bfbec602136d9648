"""Many tabs on one gateway: a browser has six connections to it, and a page that streams holds one or two of them."""

from playwright.sync_api import expect
from visit import see

MOST = 6


def test_tabs_that_nobody_sees_leave_the_connections_to_those_that_somebody_does(gateway, visit):
    job = gateway.queue("TrafficHigh", service="tabs")
    gateway.until_logged(job, "Wait for the first sign")
    seen = visit(gateway, "viewer")
    pages = [seen.page]
    for path in ["/", f"/jobs/{job}", f"/jobs/{job}/log"] * 3:
        see(pages[-1], False)
        pages.append(seen.tab())
        pages[-1].goto(gateway.url + path)
        live = pages[-1].locator("#log-state") if path.endswith("log") else pages[-1].locator(".live-text")
        expect(live).to_contain_text("ive")
    assert len(pages) > MOST
    # What has happened meanwhile is there as soon as somebody looks.
    see(pages[-1], False)
    gateway.touch("tabs-1")
    gateway.touch("tabs-2")
    gateway.until_finished(job)
    now, own, log = pages[1:4]
    expect(now.locator("#live-running")).to_contain_text("drain on drain/tabs")
    for page in (now, own, log):
        see(page, True)
    expect(now.get_by_text("Nothing runs.")).to_be_visible()
    expect(own.locator("#live-headline")).to_contain_text("succeeded")
    expect(log.locator("#log-state")).to_have_text("Ended: ok")


def test_a_tab_that_was_never_seen_begins_to_follow_when_it_is(gateway, visit):
    job = gateway.queue("TrafficHigh", service="behind")
    gateway.until_logged(job, "Wait for the first sign")
    seen = visit(gateway, "viewer")
    page = seen.tab()
    page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    streams = []
    page.on("request", lambda request: streams.append(request.url) if request.url.endswith("stream") or "/stream?" in request.url else None)
    page.goto(f"{gateway.url}/jobs/{job}")
    page.locator("#log[data-ready]").wait_for()
    assert streams == []
    see(page, True)
    expect(page.locator("#log-state")).to_have_text("Live")
    assert len(streams) == 2
