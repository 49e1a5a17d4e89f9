"""Lines of a CSV file that a spreadsheet shows and never runs.

What begins like a formula gets an apostrophe before it, as https://owasp.org/www-community/attacks/CSV_Injection has
it: what people write ends up in these cells, and a spreadsheet would fetch addresses or run commands for them. Some
countries' spreadsheets part cells at semicolons, so one is disarmed behind those, too, and at the start of a line.
"""

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime

# Without it a spreadsheet takes UTF-8 for its own country's code page.
BYTE_ORDER_MARK = "\ufeff"

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # some languages take the wide ones too
_CONTROL = ("\t", "\r", "\n")
# A sign with a space behind it is an item of a list.
_BEHIND_A_SEPARATOR = re.compile("(?<=[\\s\\S])([;\t\r\n]\\s*)(?=[=@\uff1d\uff20]|[-+\uff0b\uff0d]\\S)")


def line(values: Iterable[object]) -> str:
    """Write one line, ended as RFC 4180 wants; moments are ISO 8601 in UTC, None is empty."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return written.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        disarmed = _BEHIND_A_SEPARATOR.sub(r"\1'", value)
        return f"'{disarmed}" if value.startswith(_CONTROL) or value.lstrip().startswith(_FORMULA) else disarmed
    return "" if value is None else value
