"""The pictures of the console in docs/pictures/: taken with `make pictures` from a real night, and there for every page of it."""

import pytest
from gateway import ROOT
from playwright.sync_api import expect
from visit import PHONE

PICTURES = ROOT / "docs" / "pictures"
# All of them together: they are cloned with the repository.
MOST_BYTES = 1_500_000
LOOKS = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": PHONE}
# The first three in every look.
SHOWN = {
    "light": ["now", "job", "log", "jobs", "alert", "tester", "stats"],
    "dark": ["now", "job", "log"],
    "phone": ["now", "job", "log", "approve"],
}


def pages(night):
    return {
        "now": "/",
        "jobs": "/jobs",
        "job": f"/jobs/{night.half}",
        "log": f"/jobs/{night.half}/log",
        "approve": f"/jobs/{night.waiting}/approve",
        "alert": f"/alerts/{night.fingerprint}",
        "tester": f"/tester?notification={night.notification}",
        "stats": "/stats",
    }


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_can_be_photographed(visit, house, story, look, request, tmp_path):
    folder = PICTURES if request.config.getoption("--pictures") else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    seen = visit(house, "operator", **LOOKS[look], reduced_motion="reduce")
    for name in SHOWN[look]:
        seen.go(pages(story)[name])
        seen.page.wait_for_load_state("load")
        if name in ("job", "log"):
            seen.page.locator("#log[data-ready]").wait_for()
            expect(seen.page.locator(".is-coming")).to_have_count(0)
        if name == "log":
            wrap = seen.page.get_by_role("button", name="Wrap")
            if wrap.get_attribute("aria-pressed") != "true":
                wrap.click()
            seen.page.get_by_role("searchbox").fill("address already")
            seen.page.keyboard.press("Enter")
            seen.page.locator("mark").first.wait_for()
        picture = folder / f"{name}-{look}.png"
        seen.page.screenshot(path=picture, scale="css")
        assert picture.stat().st_size > 5_000


def test_the_pictures_are_there_and_not_too_large():
    expected = {f"{name}-{look}.png" for look, names in SHOWN.items() for name in names}
    sizes = {picture.name: picture.stat().st_size for picture in PICTURES.iterdir()}
    assert set(sizes) == expected
    assert sum(sizes.values()) <= MOST_BYTES, sizes
