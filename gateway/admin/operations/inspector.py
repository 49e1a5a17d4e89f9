"""The webhook inspector's pages: what came, what it was answered, and why it was refused."""

from flask import abort, current_app, request

from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.admin.operations.rooms import operators, show
from gateway.conversation import verdicts
from gateway.store import inspections
from gateway.store.connection import deadline

PAGE_SIZE = 50


@bp.get("/operations/webhooks")
@operators
def webhooks() -> str:
    """List the webhooks that were kept, newest first."""
    given = {name: request.args.get(name, "")[:200] for name in ("verdict", "path", "status", "cursor")}
    if given["status"] and not (given["status"].isdecimal() and len(given["status"]) == 3):
        abort(404)
    with deadline():
        counts = inspections.verdicts()
        try:
            page = inspections.page(
                verdict=given["verdict"],
                path=given["path"],
                status=int(given["status"]) if given["status"] else None,
                cursor=given["cursor"],
                limit=PAGE_SIZE,
            )
        except ValueError:
            abort(400, "This address names no page of the list. Start again from the newest.")
    paths = sorted(rule.rule for rule in current_app.url_map.iter_rules() if rule.rule.startswith("/webhooks"))
    return show("webhooks", page=page, counts=counts, paths=paths, given=given, named=verdicts.name,
                tone=verdicts.tone, settings=runtime().settings.inspector, kept=inspections.KEPT)  # fmt: skip


@bp.get("/operations/webhooks/<inspection_id>")
@operators
def webhook(inspection_id: str) -> str:
    """Show one webhook, and explain its verdict."""
    with deadline():
        seen = inspections.one(inspection_id)
    if seen is None:
        abort(404, "There is no such webhook here. It may have expired since.")
    return show("webhook", seen=seen, explained=verdicts.explain(seen), named=verdicts.name, tone=verdicts.tone)
