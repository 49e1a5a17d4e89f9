"""An admin lets two agents in, each on one line: what either sees, and that news of the other's never come."""

import pytest

from tests.admin.conftest import log_in
from tests.conftest import Twilio

ADA, BEA = "+15550000001", "+15550000002"
SMS, WHATSAPP = "sms:+15017122661", "whatsapp:+14155238886"
SOON = 8000  # milliseconds, on a machine that may stand still


@pytest.fixture
def office(serve):
    """A served gateway with a session on each of two lines."""
    app, base = serve(public_url="http://gateway.example.com")
    twilio = Twilio(app.test_client(), base="http://gateway.example.com")
    twilio.sms("A word for ada", From=ADA)
    twilio.whatsapp("A word for ben", From=f"whatsapp:{BEA}", WaId=BEA[1:], ProfileName="Bea")
    return twilio, base


def let_in(page, name, channel):
    """Add an agent who sees one channel; gives the password the page shows."""
    form = page.get_by_role("region", name="Add somebody")
    form.get_by_label("Name").fill(name)
    form.locator(f'[name=channels][value="{channel}"]').check()
    assert form.get_by_label("Only these").is_checked()
    form.get_by_role("button", name="Add").click()
    page.get_by_role("heading", name=f"Password for {name}").wait_for()
    return page.locator("code.secret").inner_text()


def enter(open_page, base, name, password):
    page = open_page()
    page.goto(f"{base}/admin/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.locator(".row").first.wait_for()
    return page


def test_two_agents_know_nothing_of_each_others_line(office, open_page):
    twilio, base = office
    admin = open_page()
    log_in(admin, base)
    admin.get_by_role("link", name="People").click()
    passwords = {name: let_in(admin, name, line) for name, line in (("ada", SMS), ("ben", WHATSAPP))}
    pages = {name: enter(open_page, base, name, password) for name, password in passwords.items()}
    for name, theirs, others in (("ada", ADA, BEA), ("ben", BEA, ADA)):
        page = pages[name]
        page.locator("#live").wait_for(state="visible", timeout=SOON)
        assert page.locator(".row").count() == 1
        assert theirs in page.locator(".row").inner_text()
        assert others not in page.content()
        assert "All 1" in " ".join(page.get_by_role("navigation", name="Channel").inner_text().split())
        page.locator(".row a").click()
        page.locator("#reply").wait_for()
        page.get_by_text(f"A word for {name}").first.wait_for()
        links = page.get_by_role("navigation", name="Console")
        assert [link.inner_text() for link in links.get_by_role("link").all()][:3] == [
            "Sessions",
            "What-if",
            "Analytics",
        ]
        assert (
            links.get_by_role("link", name="Operations").count()
            == links.get_by_role("link", name="People").count()
            == 0
        )
    answer = pages["ada"].goto(pages["ben"].url)
    assert answer.status == 404
    pages["ada"].goto(f"{base}/admin/?q=word")
    assert pages["ada"].locator(".row").count() == 1
    pages["ada"].locator("#live").wait_for(state="visible", timeout=SOON)
    twilio.whatsapp("News for ben", From=f"whatsapp:{BEA}", WaId=BEA[1:], ProfileName="Bea")
    pages["ben"].locator(".messages").get_by_text("News for ben").first.wait_for(timeout=SOON)
    twilio.sms("One more word for ada", From=ADA)
    pages["ada"].get_by_text("One more word for ada").first.wait_for(timeout=SOON)
    assert "News for ben" not in pages["ada"].content()
    assert [words for page in pages.values() for words in page.said if "404" not in words] == []
