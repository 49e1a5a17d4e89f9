"""Lines of a CSV file that a spreadsheet shows and never runs.

What begins like a formula gets an apostrophe before it, as https://owasp.org/www-community/attacks/CSV_Injection has
it: what people write ends up in these cells, and a spreadsheet would fetch addresses or run commands for them.
"""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

# Without it a spreadsheet takes UTF-8 for its own country's code page.
BYTE_ORDER_MARK = "\ufeff"

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # some languages take the wide ones too
_CONTROL = ("\t", "\r", "\n")


def line(values: Iterable[object]) -> str:
    """Write one line, ended as RFC 4180 wants; moments are ISO 8601 in UTC, None is empty."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return written.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and (value.startswith(_CONTROL) or value.lstrip().startswith(_FORMULA)):
        return f"'{value}"
    return "" if value is None else value
