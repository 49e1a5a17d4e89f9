"""What failed in the outbox, and what an operator does about it."""

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import login, sure
from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.admin.operations.rooms import operators, show
from gateway.conversation import failed
from gateway.conversation.failed import Done
from gateway.core.codes import explain
from gateway.store import backlog, failures
from gateway.store.connection import deadline

PAGE_SIZE = 25

STEPS = {
    "answer": "Make an answer",
    "send": "Send a message",
    "fetch": "Fetch files",
    "delete": "Delete at Twilio",
    "alert": "Alert somebody",
    "flow": "Finish a flow",
    "event": "Tell a program",
    "crm": "Synchronise with the CRM",
}
_TOLD = {
    Done.RETRIED: "It will be tried again now. What may have gone out is looked up at Twilio first.",
    Done.CANCELED: "It was set aside; nobody tries it again.",
    Done.SENT: "It had gone out after all, so there is nothing to send again.",
    Done.GONE: "Its message is not wanted any more, so the row was closed.",
    Done.UNCHANGED: "It is no longer failed: somebody else has seen to it.",
}


@bp.get("/operations/outbox", endpoint="outbox")
@operators
def failed_rows() -> str:
    """List what failed, by kind and one by one."""
    step, reason = request.args.get("step", ""), request.args.get("reason")
    if step and step not in STEPS:
        abort(404)
    with deadline():
        now = runtime().clock.now()
        waiting, oldest, kinds = failures.waiting(now), backlog.oldest(), failures.kinds()
        try:
            page = failures.page(step=step, reason=reason, cursor=request.args.get("cursor", ""), limit=PAGE_SIZE)
        except ValueError:
            abort(400, "This address names no page of the list. Start again from the newest.")
    return show(
        "outbox",
        waiting=waiting,
        oldest=oldest,
        kinds=kinds,
        page=page,
        step=step,
        reason=reason,
        cursor=request.args.get("cursor", ""),
        steps=STEPS,
        explain=_explained,
        batch=failed.BATCH,
    )


def _explained(error: str) -> str:
    """Explain an error of Twilio's, if it is one."""
    code = error.partition(":")[0]
    return explain(code) if code.isdecimal() else ""


@bp.post("/operations/outbox")
@operators
def act_on_outbox() -> ResponseReturnValue:
    """Retry or cancel one failed row, or all of a kind."""
    again, row_id = request.form.get("act") == "retry", request.form.get("row")
    if not again and request.form.get("act") != "cancel":
        abort(400, "Choose what to do: retry or cancel.")
    chosen = {name: request.args[name] for name in ("step", "reason") if name in request.args}
    back, by = url_for(".outbox", **chosen), login.name()  # type: ignore[arg-type]
    if row_id is None and not again and not sure.is_sure():
        return sure.ask(back)
    if row_id is not None:
        done = (failed.retry if again else failed.cancel)(runtime(), row_id, by)
        flash(_TOLD[done])
    else:
        step, reason = request.form.get("step", ""), request.form.get("reason", "")
        count = failed.all_of(runtime(), step, reason, by, again=again)
        flash(f"{count:,} {'will be tried again' if again else 'were set aside'}.")
    return redirect(back)
