"""Programs that are told of events: how each does, switched on and off, tested, and told again what failed."""

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import login
from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.admin.operations.rooms import operators, show
from gateway.conversation import failed
from gateway.conversation import subscriptions as use
from gateway.conversation.subscriptions import MOST, NotNow
from gateway.store import deliveries, subscriptions
from gateway.store.connection import deadline
from gateway.store.subscriptions import Subscription

WHY_DISABLED = {
    "gone": "it answered 410: it wants no more",
    "failing": "it took nothing for days",
    "key_ended": "the key it was made with has ended",
}
TONES = {"active": "good", "failing": "bad", "disabled": "bad", "paused": "quiet"}


@bp.get("/operations/events")
@operators
def events() -> str:
    """List all subscriptions."""
    with deadline():
        listed = subscriptions.page(None, limit=MOST)
        counts = {one.id: deliveries.counts(one.id) for one in listed}
    return show("events", listed=listed, counts=counts, why=WHY_DISABLED, tones=TONES, most=deliveries.COUNTED)


@bp.post("/operations/events/<subscription_id>")
@operators
def act_on_events(subscription_id: str) -> ResponseReturnValue:
    """Switch a subscription on or off, test it, or have told again what failed."""
    with deadline():
        which = subscriptions.get(subscription_id)
    if which is None:
        abort(404)
    try:
        flash(_act(which, request.form.get("act", "")))
    except NotNow as refusal:
        flash(str(refusal))
    return redirect(url_for(".events"))


def _act(which: Subscription, act: str) -> str:
    by = login.access()
    if act in ("on", "off"):
        use.change(runtime(), which, by, active=act == "on")
        return "It is told of what comes from now on." if act == "on" else "It is told of nothing more."
    if act == "test":
        use.ping(runtime(), which, by)
        return "A ping is on its way. Look again in a moment."
    if act != "again":
        abort(400, "Choose what to do: on, off, test or again.")
    return f"{use.replay_failed(runtime(), which, by, failed.BATCH):,} will be told again."
