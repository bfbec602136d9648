"""Pages that renew themselves: they leave whoever uses them where they are, and say when they cannot go on."""

from playwright.sync_api import expect


def test_who_reads_a_table_with_the_keyboard_stays_in_it_when_it_is_renewed(gateway, visit):
    job = gateway.queue("TrafficHigh", service="table")
    gateway.until_logged(job, "Wait for the first sign")
    seen = visit(gateway, "viewer")
    page = seen.page
    seen.go(f"/jobs/{job}")
    table = page.get_by_role("group", name="Hosts and tasks")
    expect(table).to_contain_text("Say much")
    table.focus()
    gateway.touch("table-1")
    gateway.touch("table-2")
    expect(table).to_contain_text("Finish")
    expect(page.locator("#live-headline")).to_contain_text("succeeded")
    expect(table).to_be_focused()


def test_a_gateway_that_does_not_answer_is_not_waited_for_in_silence(gateway, visit):
    seen = visit(gateway, "viewer")
    page = seen.page
    page.clock.install()
    seen.go("/")
    expect(page.get_by_text("● live")).to_be_visible()
    held = []
    page.route(gateway.url + "/", lambda route: held.append(route))
    with page.expect_request(lambda request: request.resource_type == "fetch"):
        page.clock.fast_forward(32_000)
    page.clock.fast_forward(21_000)
    expect(page.get_by_text("connection lost")).to_be_visible()
    page.unroute(gateway.url + "/")
    page.clock.fast_forward(6_000)
    expect(page.get_by_text("● live")).to_be_visible()


def renewed(page):
    """The page is asked for again, and has the answer."""
    return page.expect_response(lambda response: response.request.resource_type == "fetch")


def one_alert(gateway, visit):
    """What goes on now, with one alert that fires."""
    job = gateway.queue("WebDown", service="first")
    gateway.until_finished(job)
    seen = visit(gateway, "viewer")
    seen.go("/")
    expect(seen.page.get_by_text("● live")).to_be_visible()
    return seen.page


def test_nothing_moves_under_a_pressed_button_and_it_does_what_it_was_pressed_for(gateway, visit):
    page = one_alert(gateway, visit)
    page.get_by_role("link", name="WebDown").first.hover()
    with renewed(page):
        page.mouse.down()
        gateway.queue("WebDown", service="second")
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    page.mouse.up()
    page.wait_for_url("**/alerts/*")


def test_what_is_selected_stays_until_it_is_let_go(gateway, visit):
    page = one_alert(gateway, visit)
    page.evaluate("() => getSelection().selectAllChildren(document.querySelector('[data-part] .verdict'))")
    selected = page.evaluate("() => String(getSelection())")
    with renewed(page):
        gateway.queue("WebDown", service="second")
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    assert page.evaluate("() => String(getSelection())") == selected != ""
    page.evaluate("() => getSelection().removeAllRanges()")
    expect(page.locator("main")).to_contain_text("service=second")
