"""The chat widget in a real browser: on the demo page, and on a site of somebody else's."""

import re
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from types import SimpleNamespace

import mongoengine
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from werkzeug.wrappers import Response

from gateway.channels.chat import ChatMessage, ChatUser
from gateway.conversation import chat, chat_sites, send
from gateway.conversation.runtime import Clock
from gateway.core.replies import Reply
from gateway.store import api_keys
from tests.admin.conftest import log_in
from tests.conftest import StoppedClock
from tests.conversation.worker import Worker, slow_responder
from tests.stand_ins.bots import serve as served
from tests.stand_ins.serving import Served

# What a site may do to its own buttons, boxes and text.
HOSTILE = (
    "* { font: 40px serif !important; color: lime !important; text-transform: uppercase }"
    "gateway-chat, button, section { display: none !important; opacity: 0 !important }"
)
WAIT = {"wait_seconds": 1}


class RunningClock(StoppedClock):
    """A clock that goes like the browser's, and that a test moves ahead."""

    ahead = timedelta()

    def now(self):
        return Clock.now(self) + self.ahead

    def tick(self, seconds):
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return RunningClock()


class Chat:
    """The widget on a page, as whoever sits before it finds its parts."""

    def __init__(self, page):
        self.page = page
        self.launcher = page.locator("gateway-chat").get_by_role("button", name="Open the chat")
        self.panel = page.get_by_role("dialog", name="Chat with us")
        self.field = page.get_by_label("Your message")
        self.lines = page.locator("gateway-chat li")
        self.typing = page.get_by_text("An answer is on its way")
        self.notice = page.get_by_role("alert")

    def open(self):
        self.launcher.click()
        return self

    def say(self, *texts):
        for text in texts:
            self.field.press_sequentially(text) if len(text) < 20 else self.field.fill(text)
            self.field.press("Enter")

    def expect(self, *texts):
        """Wait until the conversation is exactly this."""
        expect(self.lines.locator("p")).to_have_text(list(texts), timeout=20_000)
        expect(self.lines.get_by_text("Sending…")).to_have_count(0)

    @property
    def kept(self):
        return self.page.evaluate("Object.values(localStorage).join()")


def stored():
    """Give what is in the database, in order."""
    return [row["content"] for row in mongoengine.get_db().messages.find(sort=[("createdAt", 1), ("direction", 1)])]


@contextmanager
def website(**attributes):
    """A site of somebody else's, under a policy that allows the gateway's script and its API alone."""
    site = SimpleNamespace(gateway="", attributes=attributes)

    def page(environ, start_response):
        if environ["PATH_INFO"] == "/style.css":
            return Response(HOSTILE, mimetype="text/css")(environ, start_response)
        given = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in site.attributes.items())
        script = f'<script src="{site.gateway}/chat/widget.js"{given} async></script>'
        html = f'<!doctype html><title>A shop</title><link rel="stylesheet" href="/style.css"><h1>Kettles</h1>{script}'
        policy = f"default-src 'none'; style-src 'self'; script-src {site.gateway}; connect-src {site.gateway}"
        headers = {"Content-Security-Policy": policy}
        return Response(html, mimetype="text/html", headers=headers)(environ, start_response)

    with served(page) as site.url:
        yield site


@pytest.fixture
def at(serve, open_page):
    """The widget on the demo page of a gateway that echoes."""
    app, base = serve(reply={"responder": "echo"}, chat=WAIT)
    page = open_page()
    page.goto(f"{base}/chat/demo")
    return SimpleNamespace(app=app, base=base, page=page, chat=Chat(page), runtime=app.extensions["gateway"])


def test_somebody_asks_with_the_keyboard_and_the_conversation_stays(at):
    assert not [url for url in at.page.asked if "/api/" in url]
    at.chat.launcher.focus()
    at.page.keyboard.press("Enter")
    expect(at.chat.field).to_be_focused()
    expect(at.chat.panel.get_by_text("Hello!")).to_be_visible()
    said = ["<b>Hi</b> <img src=x onerror=alert(1)>\njavascript:alert(1)", "x" * 500, "مرحبا", "yes", "yes"]
    at.page.keyboard.insert_text(said[0])
    at.page.keyboard.press("Enter")
    at.chat.expect(said[0], said[0])
    at.chat.say(*said[1:3])
    at.chat.expect(*[text for text in said[:3] for _ in "me"])
    assert at.page.locator("gateway-chat li :is(b, img, a, script)").count() == 0
    assert at.chat.lines.nth(4).locator("p").evaluate("it => getComputedStyle(it).direction") == "rtl"
    assert at.page.locator("#log").evaluate("it => it.scrollWidth <= it.clientWidth")

    # Shift and Enter makes a line; nothing but spaces is nothing.
    at.chat.say("  ")
    at.chat.field.fill("one")
    at.chat.field.press("Shift+Enter")
    expect(at.chat.field).to_have_value("one\n")
    at.chat.field.fill("")
    at.page.keyboard.press("Escape")
    expect(at.chat.panel).to_be_hidden()
    expect(at.chat.launcher).to_be_focused()

    # A second "yes" is a second message, in a second tab, too; the first tab shows it, and so does a reload.
    other = at.page.context.new_page()
    other.goto(f"{at.base}/chat/demo")
    Chat(other).open().say(*said[3:])
    at.chat.open()
    everything = [text for text in said for _ in "me"]
    Chat(other).expect(*everything)
    at.page.bring_to_front()
    at.chat.expect(*everything)
    at.page.reload()
    at.chat.open().expect(*everything)
    assert stored() == everything
    at.page.get_by_role("link", name="See it in the console").click()
    expect(at.page).to_have_url(re.compile(r"/admin/"))
    assert at.page.said == []


def test_an_answer_is_awaited_and_an_operators_words_are_counted(at, clock, open_page):
    worker = Worker(at.app, clock)
    with slow_responder(at.app, lambda turn: Reply("At nine.")):
        at.chat.open().say("When do you open?")
        expect(at.chat.typing).to_be_visible()
        worker.run(after=5)
        at.chat.expect("When do you open?", "At nine.")
    expect(at.chat.typing).to_be_hidden()
    at.page.get_by_role("button", name="Close the chat").click()

    console = open_page()
    log_in(console, at.base)
    console.goto(at.base + at.page.get_by_role("link", name="See it in the console").get_attribute("href"))
    clock.tick(5)
    console.get_by_label("Message", exact=True).fill("Today at ten, sorry!")
    console.get_by_role("button", name="Send").click()
    expect(console.get_by_role("status")).to_have_text("On its way.")
    at.page.bring_to_front()
    at.page.reload()
    # It came while nobody looked: the button says so, until somebody does.
    expect(at.page.get_by_role("button", name="Open the chat 1")).to_be_visible()
    at.chat.open().expect("When do you open?", "At nine.", "Today at ten, sorry!")
    at.page.get_by_role("button", name="Close the chat").click()
    expect(at.chat.launcher).to_have_attribute("data-unread", "")


def test_it_works_on_another_site_and_through_a_restart_of_the_gateway(make_app, open_page):
    with website(title="Kettles & more", color="#ffd500", position="left") as site, ExitStack() as second:
        given = {"env": "development", "public_url": "", "reply": {"responder": "echo"}}
        given["chat"] = WAIT | {"origins": [site.url]}
        app = make_app(**given)
        site.attributes["key"] = chat_sites.publish(app.extensions["gateway"], "web", "a test")
        page = open_page()
        talk = Chat(page)
        talk.panel = page.get_by_role("dialog", name="Kettles & more")
        with Served(app) as gateway:
            site.gateway = gateway.url
            page.goto(site.url)
            talk.open().say("one")
            talk.expect("one", "one")
            box = talk.panel.bounding_box()
            assert box["x"] == 20
            assert talk.lines.locator("p").last.evaluate("it => getComputedStyle(it).fontSize") == "15px"
            # Black on yellow.
            expect(page.locator("gateway-chat header")).to_have_css("color", re.compile(r"oklch\(0 |rgb\(0, 0, 0\)"))
            session = mongoengine.get_db().sessions.find_one()
        talk.say("two", "three")
        expect(talk.lines.get_by_text("Sending…")).to_have_count(2)
        expect(talk.notice).to_be_visible()
        assert "three" in talk.kept
        second.enter_context(Served(make_app(**given), port=gateway.port))
        talk.expect("one", "one", "two", "two", "three", "three")
        expect(talk.notice).to_be_hidden()
        assert stored() == ["one", "one", "two", "two", "three", "three"]
        assert [row["_id"] for row in mongoengine.get_db().sessions.find()] == [session["_id"]]
        assert "three" not in talk.kept
        page.reload()
        talk.open().expect("one", "one", "two", "two", "three", "three")
        assert [told for told in page.said if "ERR_CONNECTION" not in told] == []


def test_what_was_typed_while_the_gateway_was_away_survives_a_reload(make_app, open_page):
    with website() as site:
        given = {"env": "development", "public_url": "", "reply": {"responder": "echo"}}
        given["chat"] = WAIT | {"origins": [site.url]}
        app = make_app(**given)
        site.attributes["key"] = chat_sites.publish(app.extensions["gateway"], "web", "a test")
        page = open_page()
        with Served(app) as gateway:
            site.gateway = gateway.url
            page.goto(site.url)
            # The gateway takes it, and the answer is lost on the way: it is sent again, and stored once.
            lost = []

            def lose(route):
                lost.append(route.fetch())
                route.abort()

            page.route("**/messages?wait=0", lose, times=1)
            Chat(page).open().say("first")
            Chat(page).expect("first", "first")
            assert len(lost) == 1
            # Nothing gets through, and the page is left.
            page.route("**/api/chat/**", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
            Chat(page).say("second")
            expect(Chat(page).notice).to_be_visible()
            page.unroute("**/api/chat/**")
            page.goto("about:blank")
            page.goto(site.url)
            Chat(page).open().expect("first", "first", "second", "second")
            assert stored() == ["first", "first", "second", "second"]


def test_earlier_messages_come_from_all_sessions_of_the_person(at, clock):
    at.chat.open().say("0")
    at.chat.expect("0", "0")
    user_id = mongoengine.get_db().sessions.find_one()["metadata"]["userId"]
    user = ChatUser("web", user_id)
    for number in range(1, 35):
        clock.tick(301 if number == 20 else 2)
        chat.say(at.runtime, user, ChatMessage(str(number), "", {}), chat.whose(user, None), named="")
    assert mongoengine.get_db().sessions.count_documents({}) == 2
    at.page.reload()
    at.chat.open()
    expect(at.chat.lines).to_have_count(30)
    expect(at.chat.lines.last).to_be_in_viewport()
    first = at.chat.lines.first.element_handle()
    more = at.page.get_by_role("button", name="Show earlier messages")
    more.scroll_into_view_if_needed()
    place = first.bounding_box()["y"]
    more.click()
    expect(at.chat.lines).to_have_count(60)
    # What one was reading stays where it was.
    assert abs(first.bounding_box()["y"] - place) < 60
    more.click()
    expect(at.chat.lines).to_have_count(70)
    expect(more).to_be_hidden()
    assert [at.chat.lines.nth(place).locator("p").inner_text() for place in (0, 1, 69)] == ["0", "0", "34"]


def test_people_who_sign_in_see_and_send_what_is_theirs(make_app, open_page):
    with website() as site:
        given = {"env": "development", "public_url": "", "reply": {"responder": "echo"}}
        app = make_app(**given, chat=WAIT | {"origins": [site.url]})
        runtime = app.extensions["gateway"]
        _, key = api_keys.add("site", ["write"], runtime.clock.now(), by="a test")

        def token(user_id):
            asked = {"json": {"user_id": user_id}, "headers": {"Authorization": f"Bearer {key}"}}
            return app.test_client().post("/api/v1/chat-tokens", **asked).json["token"]

        site.attributes |= {"key": "none", "user_token": token("ada")}
        page = open_page()
        with Served(app) as gateway:
            site.gateway = gateway.url
            page.goto(site.url)
            Chat(page).open().say("I am Ada")
            Chat(page).expect("I am Ada", "I am Ada")
            page.route("**/messages?wait=0", lambda route: route.abort())
            Chat(page).say("Ada's secret")
            expect(Chat(page).notice).to_be_visible()
            page.unroute("**/messages?wait=0")

            # Somebody else at the same browser, after a reload, and then without one.
            site.attributes["user_token"] = token("bob")
            page.goto("about:blank")
            page.goto(site.url)
            Chat(page).open().say("I am Bob")
            Chat(page).expect("I am Bob", "I am Bob")
            page.evaluate("token => gatewayChat.identify(token)", token("ada"))
            Chat(page).expect("I am Ada", "I am Ada", "Ada's secret", "Ada's secret")
            counts = {row["metadata"]["userId"]: row["message_count"] for row in mongoengine.get_db().sessions.find()}
            assert counts == {"ada": 4, "bob": 2}
            # A token that is over: the site is told, and gives another.
            page.evaluate("addEventListener('gateway-chat', ({ detail }) => { document.title = detail.status })")
            page.evaluate("gatewayChat.identify('ut_over')")
            expect(page).to_have_title("401")
            expect(Chat(page).lines).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(serve, open_page, scheme, width, clock):
    _, base = serve(reply={"responder": "echo"}, chat=WAIT)
    page = open_page(viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{base}/chat/demo")
    talk = Chat(page)
    talk.launcher.wait_for()
    found = Axe().run(page).response["violations"]
    talk.open()
    found += Axe().run(page).response["violations"]
    talk.say("Hello, " + "x" * 200, "مرحبا")
    expect(talk.lines).to_have_count(4)
    page.locator("#dots").evaluate("it => { it.hidden = false }")
    page.locator("#notice").evaluate("it => { it.hidden = false }")
    found += Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 390:
        assert talk.panel.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}
    assert page.locator("gateway-chat").evaluate("it => it.shadowRoot.getAnimations({ subtree: true }).length") == 0


def test_an_operator_can_be_first_to_speak_again(at, clock):
    at.chat.open().say("Hello")
    at.chat.expect("Hello", "Hello")
    clock.tick(5)
    session = str(mongoengine.get_db().sessions.find_one()["_id"])
    send.reply(at.runtime, session, send.Draft("A person here", author="ops"), message_id="op1")
    at.chat.expect("Hello", "Hello", "A person here")
