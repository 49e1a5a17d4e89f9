"""What axe-core finds on each page of the console: at a desk, in light and dark, and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from gateway.conversation import daily
from tests.admin.conftest import log_in
from tests.conftest import Twilio, fixture

OPERATIONS = [f"/admin/operations{page}" for page in ("", "/outbox", "/webhooks", "/channels", "/keys")]
# As they are before anything came, and with something of each.
EMPTY = [
    "/admin/", "/admin/account", "/admin/people", "/admin/phone", "/admin/whatif", "/admin/analytics", *OPERATIONS,
    "/admin/nothing",
]  # fmt: skip
FILLED = [
    "/admin/", "/admin/phone", "/admin/whatif?threshold=600", "/admin/analytics?from=2026-03-01&to=2026-03-02",
    "/admin/sessions/{session}", "/admin/sessions/{session}/print", *OPERATIONS,
]  # fmt: skip
# The rules of axe that look at colors.
COLORS = {"runOnly": ["color-contrast", "link-in-text-block"], "resultTypes": ["violations"]}


@pytest.fixture
def served(serve, clock):
    app, base = serve(public_url="http://gateway.example.com")
    return Twilio(app.test_client(), base="http://gateway.example.com"), base, app.extensions["gateway"]


def fill(twilio, clock):
    twilio.sms("x" * 300)
    clock.move_to(minutes=7)
    twilio.sms("مرحبا")
    twilio.post("/webhooks/whatsapp", fixture("whatsapp/media"))
    twilio.call()


def serious(page, *, dark):
    """Look at the page, and in dark at its colors, where nothing else is different; none may be fading."""
    found = [("light", one) for one in Axe().run(page).response["violations"]]
    if dark:
        page.emulate_media(color_scheme="dark")
        found += [("dark", one) for one in page.evaluate("colors => axe.run(colors)", COLORS)["violations"]]
        page.emulate_media(color_scheme="light")
    return [
        f"{page.url} in {scheme}: {one['id']} ({one['impact']}): {[node['html'][:160] for node in one['nodes'][:3]]}"
        for scheme, one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("width", "dark"),
    [pytest.param(1280, True, id="desk"), pytest.param(390, False, id="phone")],  # colors are the same at any width
)
def test_no_page_has_a_serious_violation(served, open_page, clock, db, width, dark):
    twilio, base, runtime = served
    page = open_page(viewport={"width": width, "height": 860}, color_scheme="light", reduced_motion="reduce")
    page.goto(f"{base}/admin/login")
    found = serious(page, dark=dark)
    log_in(page, base)
    for path in EMPTY:
        page.goto(base + path)
        found += serious(page, dark=dark)
    fill(twilio, clock)
    daily.count(runtime, lambda: False)
    session = db.sessions.find_one({"communication_type": "whatsapp"})["_id"]
    for path in FILLED:
        page.goto(base + path.format(session=session))
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found += serious(page, dark=dark)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} scrolls sideways"
    assert found == []
