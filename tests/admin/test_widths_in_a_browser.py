"""What must fit: at a desk and on a phone."""

import pytest

from gateway.store import api_keys
from tests.admin.conftest import log_in
from tests.conftest import TEN

WIDTHS = [1280, 390]


@pytest.fixture
def open_at(serve, open_page):
    """Open a page of the console in a window of a width."""
    _, base = serve()

    def opened(path, width):
        page = open_page(viewport={"width": width, "height": 860})
        log_in(page, base)
        page.goto(base + path)
        return page

    return opened


def box(page, selector):
    """Tell where something is, of which a page has one."""
    return page.locator(selector).bounding_box()


@pytest.mark.parametrize("width", WIDTHS)
def test_ones_account_fits_and_its_button_is_below_the_fields(open_at, width):
    page = open_at("/admin/account", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    field, button = box(page, "#again"), page.get_by_role("button", name="Change password").bounding_box()
    assert button["y"] >= field["y"] + field["height"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/admin/", "/admin/people", "/admin/phone"])
def test_all_tabs_are_in_sight(open_at, width, path):
    page = open_at(path, width)
    for bar in page.locator(".bar nav, nav.tabs").all():
        assert bar.evaluate("bar => bar.scrollWidth <= bar.clientWidth"), bar.inner_text()
    current = page.locator(".bar nav [aria-current]").bounding_box()
    assert 0 <= current["x"] <= current["x"] + current["width"] <= width


# In how many pieces each word of the keys' cells is set.
_PIECES = """() => [...document.querySelectorAll(".keys td:not(.first)")].flatMap((cell) => {
  const range = document.createRange(), walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), pieces = [];
  while (walker.nextNode()) {
    for (const word of walker.currentNode.data.matchAll(/\\S+/g)) {
      range.setStart(walker.currentNode, word.index);
      range.setEnd(walker.currentNode, word.index + word[0].length);
      pieces.push([word[0], range.getClientRects().length]);
    }
  }
  return pieces;
})"""


@pytest.mark.parametrize("width", [1280, 820])
def test_no_word_about_a_key_is_broken(open_at, width):
    channels = ["sms:+15017122661", "whatsapp:+14155238886", "voice:+15017122661"]
    page = open_at("/admin/operations/keys", width)
    api_keys.add("the key of the whole company", ["read", "write", "admin"], TEN, by="admin", channels=channels)
    page.reload()
    pieces = page.evaluate(_PIECES)
    assert "admin," in [word for word, _ in pieces]
    assert [word for word, count in pieces if count > 1] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
