"""What the browser tests share: Debian's Chromium, gateways, and visits that fail at whatever a page must never do."""

import os
import shutil
import tempfile

import pytest
from gateway import Gateway, token
from playwright.sync_api import expect, sync_playwright
from story import night
from visit import LIMIT, Visit

expect.set_options(timeout=LIMIT)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")

# Nothing but the gateway: no updates, no names but addresses of this machine.
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def pytest_addoption(parser):
    parser.addoption("--pictures", action="store_true", help="write docs/pictures anew")


@pytest.fixture(scope="session")
def chromium():
    assert CHROMIUM, "there is no chromium: scripts/deps browser installs it"
    arguments = ARGUMENTS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def running():
    """A gateway, and its folder."""
    with tempfile.TemporaryDirectory(prefix="healgate-", ignore_cleanup_errors=True) as folder:
        gateway = Gateway(folder)
        try:
            yield gateway
        finally:
            gateway.close()


@pytest.fixture
def gateway():
    """A gateway of the test's own."""
    yield from running()


@pytest.fixture(scope="session")
def house():
    """A gateway that many tests look at, and that none of them changes."""
    yield from running()


@pytest.fixture
def visit(chromium, request):
    """Opens pages of a gateway as somebody: `visit(gateway, "viewer")`. What they did wrong is told at the end of the test."""
    if "gateway" in request.fixturenames:
        # First, so that it goes away last: pages that still follow it would complain.
        request.getfixturevalue("gateway")
    visits = []

    def open_for(gateway, role=None, **options):
        visits.append(Visit(chromium, gateway, **options))
        if role:
            visits[-1].sign_in(token(role))
        return visits[-1]

    yield open_for
    for one in visits:
        one.close()
    faults = [fault for one in visits for fault in one.faults]
    assert not faults, "\n".join(faults)


@pytest.fixture(scope="session")
def story(house):
    """What happened on the shared gateway."""
    return night(house)
