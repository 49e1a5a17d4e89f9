"""The page that a request belongs to, to come back to it: parts of a page and forms have addresses of their own."""

from flask import request, url_for


def page() -> str | None:
    """Give the address of the page a request comes from; None for a form that does not say where it was."""
    given = request.view_args or {}
    if request.endpoint == "admin.session_list":
        return _beside(request.args.get("open", ""))
    if request.endpoint == "admin.session_messages" or (request.method == "POST" and "session_id" in given):
        return url_for("admin.session", session_id=given["session_id"])
    if request.method != "GET":
        return None
    return request.script_root + request.full_path.rstrip("?")


def _beside(open_id: str) -> str:
    """Give the page of a list, with the session that is open beside it."""
    if open_id:
        return url_for("admin.session", session_id=open_id)
    return f"{url_for('admin.sessions')}?{request.query_string.decode()}".rstrip("?")
