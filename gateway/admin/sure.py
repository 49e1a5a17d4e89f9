"""Asking before what cannot be taken back: a script asks at once, and a page of its own where there is none."""

from flask import render_template, request


def is_sure() -> bool:
    """Tell whether whoever sent a form was asked."""
    return request.form.get("sure") == "yes"


def ask(back: str) -> str:
    """Ask what the form says is to be asked, and send it again from there; `back` leads to where nothing was done."""
    kept = [(name, value) for name, value in request.form.items(multi=True) if name not in ("csrf_token", "question")]
    return render_template("sure.html", question=request.form.get("question") or "Are you sure?", kept=kept, back=back)
