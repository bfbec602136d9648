"""What an operator does at night, in the order of the console's pages."""

import json
import re

import pytest
from gateway import token, until
from playwright.sync_api import expect
from visit import PHONE


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def link(page, name):
    return page.get_by_role("link", name=name)



def test_signing_in_leads_to_what_was_asked_for_and_signing_out_ends_it(visit, house, story):
    seen = visit(house)
    page = seen.page
    seen.go(f"/jobs/{story.half}")
    page.get_by_label("Token").fill("wrong")
    seen.expected.append("401")
    button(page, "Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert not seen.context.cookies()
    page.get_by_label("Token").fill(token("viewer"))
    button(page, "Sign in").click()
    page.wait_for_url(f"**/jobs/{story.half}")
    (cookie,) = seen.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    button(page, "Sign out").click()
    expect(button(page, "Sign in")).to_be_visible()
    # Also for who has kept the cookie.
    seen.context.add_cookies([cookie])
    seen.go("/jobs")
    assert "/signin" in page.url


@pytest.mark.parametrize("role, may", [("viewer", False), ("operator", True), ("admin", True)])
def test_a_role_sees_what_it_may_do(visit, house, story, role, may):
    seen = visit(house, role)
    for path, names in {
        "/": ["Pause …"],
        f"/jobs/{story.half}": ["Run again …", "Run again on the failed hosts …", "Run again in check mode …"],
        f"/jobs/{story.waiting}": ["Approve …", "Reject …"],
        f"/jobs/{story.running}": ["Cancel …"],
    }.items():
        seen.go(path)
        for name in names:
            expect(link(seen.page, name)).to_have_count(1 if may else 0)
    if not may:
        seen.expected.append("403")
        assert seen.go(f"/jobs/{story.half}/rerun").status == 403


def test_senders_cannot_sign_in(visit, house):
    seen = visit(house)
    seen.go("/signin")
    seen.expected += ["401", "403"]
    seen.page.get_by_label("Token").fill(token("sender"))
    button(seen.page, "Sign in").click()
    expect(seen.page.get_by_role("alert")).to_be_visible()


def test_now_shows_what_moves_by_itself_stands_still_on_request_and_says_when_it_is_cut_off(gateway, visit):
    seen = visit(gateway, "operator")
    page = seen.page
    seen.go("/")
    expect(page.get_by_text("● live")).to_be_visible()
    expect(page.get_by_text("Nothing runs.")).to_be_visible()
    job = gateway.queue("TrafficHigh", service="now")
    running = page.locator("#live-running")
    expect(link(running, "drain on drain/now")).to_be_visible()
    button(page, "Pause updates").click()
    gateway.touch("now-1")
    gateway.touch("now-2")
    gateway.until_finished(job)
    expect(page.get_by_text("this page stands still")).to_be_visible()
    expect(link(running, "drain on drain/now")).to_be_visible()
    button(page, "Go on").click()
    expect(running.get_by_text("Nothing runs.")).to_be_visible()
    expect(page.locator("#live-strip")).to_contain_text("1 succeeded")
    seen.expected += ["ERR_", "Failed to load"]
    gateway.kill()
    expect(page.get_by_text("connection lost")).to_be_visible()
    gateway.restart()
    expect(page.get_by_text("● live")).to_be_visible()


def test_the_failed_hosts_are_run_again_from_the_alert_to_the_end(gateway, visit):
    job = gateway.queue("WebHalfDown", service="shop")
    gateway.until_finished(job)
    seen = visit(gateway, "operator")
    page = seen.page
    seen.go(f"/jobs/{job}")
    expect(page.locator("h1")).to_contain_text("failed on web2")
    expect(page.locator("#live-failures")).to_contain_text("bind: address already in use")
    gateway.touch("mended")
    link(page, "Run again on the failed hosts …").click()
    expect(page.locator(".lead")).to_contain_text("web2")
    expect(page.locator("main")).not_to_contain_text("web1,")
    button(page, "Run it").dblclick()
    page.wait_for_url(lambda url: "/jobs/" in url and job not in url)
    expect(page.locator("#live-headline")).to_contain_text("succeeded")
    expect(page.locator("main")).to_contain_text("by operator")
    again = gateway.get("/api/v1/jobs?trigger=rerun")["items"]
    assert len(again) == 1 and again[0]["rerun_of"] == job and list(again[0]["attempts"][0]["host_stats"]) == ["web2"]
    seen.go(f"/jobs/{job}")
    expect(page.locator("#live-followers")).to_contain_text("operator")


def test_a_check_changes_nothing_and_says_so(gateway, visit):
    job = gateway.queue("WebDown", service="shop")
    gateway.until_finished(job)
    seen = visit(gateway, "operator")
    seen.go(f"/jobs/{job}")
    link(seen.page, "Run again in check mode …").click()
    button(seen.page, "Run in check mode").click()
    expect(seen.page.locator("#live-headline")).to_contain_text("succeeded")
    (again,) = gateway.get("/api/v1/jobs?trigger=rerun")["items"]
    assert again["parameters"]["check"] is True


@pytest.mark.parametrize("answer, ending", [("Approve", "succeeded"), ("Reject", "canceled")])
def test_what_waits_for_approval_is_answered_with_a_comment(gateway, visit, answer, ending):
    seen = visit(gateway, "operator")
    page = seen.page
    seen.go("/")
    (decision,) = gateway.post("DatabaseDown", service="orders")
    link(page.locator("#live-approve"), "restart-web on service/orders").click()
    link(page, f"{answer} …").click()
    expect(page.locator("h1")).to_contain_text("service/orders")
    expect(page.locator(".lead")).to_contain_text("will run on" if answer == "Approve" else "will not run")
    page.get_by_label("Comment").fill("the team knows")
    button(page, answer).click()
    expect(page.locator("#live-headline")).to_contain_text(ending)
    assert gateway.until_finished(decision["job"])["status"] == ending
    expect(page.locator("#live-way")).to_contain_text("by operator")
    expect(page.locator("#live-way")).to_contain_text("the team knows")


def test_a_running_job_is_canceled(gateway, visit):
    job = gateway.queue("TrafficHigh", service="stop")
    gateway.until_logged(job, "Wait for the first sign")
    seen = visit(gateway, "operator")
    seen.go(f"/jobs/{job}")
    link(seen.page, "Cancel …").click()
    seen.page.get_by_label("Comment").fill("enough")
    seen.page.locator("main form button").click()
    expect(seen.page.locator("#live-headline")).to_contain_text("canceled")
    assert gateway.until_finished(job)["reason"] == "canceled"


def test_a_pause_holds_everything_back_until_somebody_resumes(gateway, visit):
    seen = visit(gateway, "operator")
    page = seen.page
    seen.go("/")
    link(page, "Pause …").click()
    page.get_by_label("Why").fill("the network is being mended")
    button(page, "Pause").click()
    expect(page.locator("#live-paused")).to_contain_text("by operator")
    expect(page.locator("#live-paused")).to_contain_text("the network is being mended")
    (decision,) = gateway.post("WebDown", service="held")
    assert decision["decision"] == "paused"
    expect(page.locator("#live-held")).to_contain_text("service/held")
    link(page, "Resume …").click()
    page.locator("main form button").click()
    expect(page.locator("#live-paused")).not_to_contain_text("by operator")
    (job,) = until("it runs after all", lambda: gateway.get("/api/v1/jobs")["items"])
    gateway.until_finished(job["id"])
    expect(page.locator("#live-strip")).to_contain_text("1 succeeded")


def test_a_breaker_is_opened_and_closed_again(gateway, visit):
    seen = visit(gateway, "operator")
    page = seen.page
    seen.go("/routes")
    link(page, "Open its breaker …").first.click()
    page.get_by_label("Why").fill("its playbook is being rewritten")
    button(page, "Open the breaker").click()
    expect(page.locator("#live-paused")).to_contain_text("opened by operator: its playbook is being rewritten")
    link(page, "Close …").click()
    button(page, "Close the breaker").click()
    expect(page.locator("#live-paused")).not_to_contain_text("Breaker of")


def test_jobs_are_filtered_by_controls_which_the_address_keeps(visit, house, story):
    seen = visit(house, "viewer")
    page = seen.page
    seen.go("/jobs")
    page.get_by_role("checkbox", name="failed").check()
    button(page, "Show").click()
    assert "status=failed" in page.url
    assert {row.get_attribute("href") for row in page.locator(".rows .title").all()} == {f"/jobs/{story.half}"}
    page.get_by_role("checkbox", name="failed").uncheck()
    page.get_by_role("searchbox").fill("SERVICE/ORDERS")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "q=" in url)
    page.reload()
    assert [row.get_attribute("href") for row in page.locator(".rows .title").all()] == [f"/jobs/{story.waiting}"]


def test_the_keyboard_alone_leads_from_the_list_to_a_job_and_to_running_it_again(visit, house, story):
    seen = visit(house, "operator")
    page = seen.page
    seen.go("/jobs")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("restart-half")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "restart-half" in url)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{story.half}")
    page.keyboard.press("r")
    page.wait_for_url("**/rerun?hosts=failed")
    # An alert is nothing to run again.
    seen.go("/alerts")
    page.keyboard.press("j")
    expect(page.locator(".title").first).to_be_focused()
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/*")


def test_the_keys_are_turned_off_and_on_again(visit, house):
    seen = visit(house, "operator")
    page = seen.page
    dialog = page.get_by_role("dialog")
    seen.go("/jobs")
    for is_on in [False, True]:
        button(page, "Keyboard").click()
        page.get_by_label("These keys work").set_checked(is_on)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        page.reload()
        page.locator("[data-keys] button").wait_for()
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.className") == ("title" if is_on else "")
        page.keyboard.press("?")
        expect(dialog).to_have_count(1 if is_on else 0)


def test_a_playbook_is_run_by_hand_with_a_form_made_of_its_variables(gateway, visit):
    seen = visit(gateway, "operator")
    page = seen.page
    seen.go("/playbooks")
    page.get_by_role("region", name="Playbook restart-web").get_by_role("link", name="Run by hand …").click()
    page.get_by_label("Label service").fill("by-hand")
    page.get_by_label("Variable service").fill("by-hand")
    button(page, "See what would run").click()
    expect(page.locator("main")).to_contain_text("by-hand")
    button(page, "Run it").click()
    expect(page.locator("#live-headline")).to_contain_text("succeeded")
    (job,) = gateway.get("/api/v1/jobs?trigger=manual")["items"]
    assert job["target"] == "service/by-hand" and job["triggered_by"] == "operator"
    assert job["parameters"]["vars"]["service"] == "by-hand"


def test_a_pasted_notification_and_a_past_one_are_explained_step_by_step(visit, house, story):
    seen = visit(house, "viewer")
    page = seen.page
    seen.go("/tester")
    payload = {
        "version": "4", "groupKey": "{}", "status": "firing", "receiver": "r", "groupLabels": {}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "http://a", "truncatedAlerts": 0,
        "alerts": [{"status": "firing", "labels": {"alertname": "WebDown", "service": "new"}, "annotations": {},
                    "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p",
                    "fingerprint": "00000000000000aa"}],
    }  # fmt: skip
    page.get_by_label("JSON").fill(json.dumps(payload))
    button(page, "Explain").click()
    card = page.get_by_role("region", name="Alert WebDown")
    expect(card).to_contain_text("web-down")
    expect(card.get_by_role("listitem").filter(has_text="database-down")).to_contain_text("alertname")
    card.locator("summary").first.click()
    seen.is_accessible()
    page.get_by_label("JSON").fill("{")
    seen.expected.append("400")
    button(page, "Explain").click()
    expect(page.get_by_role("alert")).to_be_visible()
    seen.go(f"/tester?notification={story.notification}")
    expect(page.locator("main")).to_contain_text("web-down")


def test_the_story_of_an_alert_is_told(visit, house, story):
    seen = visit(house, "viewer")
    page = seen.page
    seen.go("/alerts")
    link(page, "WebHalfDown").first.click()
    page.wait_for_url(f"**/alerts/{story.fingerprint}")
    expect(page.locator(".way")).to_contain_text("web-half-down")
    expect(link(page, "restart-half on half/shop")).to_be_visible()


def test_a_night_on_a_phone_without_scripts(gateway, visit):
    job = gateway.queue("WebHalfDown", service="phone")
    gateway.until_finished(job)
    gateway.touch("mended")
    seen = visit(gateway, "operator", java_script_enabled=False, **PHONE)
    page = seen.page
    seen.go("/")
    page.locator("#live-strip .strip a").first.click()
    expect(page.locator("h1")).to_contain_text("failed")
    link(page, re.compile("^Attempt 1")).first.click()
    expect(page.locator("pre.output")).to_contain_text("PLAY RECAP")
    page.go_back()
    link(page, "Run again on the failed hosts …").click()
    button(page, "Run it").click()
    until("it ran", lambda: page.reload() and "succeeded" in page.locator("#live-headline").inner_text())
