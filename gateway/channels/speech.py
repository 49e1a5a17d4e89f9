"""Texts made fit for the ear: what an answer marks up for reading is not read out on a call."""

import re

# What <Say> takes at most.
SAY_LIMIT = 4096
LINK = "a link"

_LINE_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_EMOJI = re.compile(
    " ?[\U0001f000-\U0001faff\u2600-\u27bf\u231a\u231b\u23e9-\u23fa\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55]"
    "[\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
    # Elsewhere the joiner is a letter's (Malayalam, Sinhala), so only the pictures' own signs go alone.
    "|[\ufe0e\ufe0f\u20e3]"
)

# What a line can be, beside a sentence.
_FENCE_OR_RULE = re.compile(r"\s*(?:(?:```|~~~).*|[-*_=](?:\s*[-*_=]){2,}\s*)")
_TABLE_RULE = re.compile(r"(?=[^|]*\|)[\s|:+-]*")
_DEFINITION = re.compile(r"\s*\[[^\]]+\]:\s*\S+.*")
_QUOTED = re.compile(r"\s*(?:>\s?)+")
_HEADING = re.compile(r"\s*#{1,6}\s+(?P<words>.*)")
_ITEM = re.compile(r"\s*(?:(?:[-*+•]\s+)(?:\[[ xX]\]\s+)?|(?P<number>\d{1,3}[.)]\s+))(?P<words>.*)")

# What stands inside a line.
_LINKED = re.compile(
    r"!?\[(?P<words>[^\[\]]*)\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\s*\)|\[[^\[\]]*\])"
)
_FOOTNOTE = re.compile(r"\[\^[^\]\s]*\]")
_URL = re.compile(
    r"<?(?i:\b(?:https?|ftp)://|\bwww\.[\w-]+\.)[^\s<>]*>?"
    # Without a scheme only what has a path: "example.com" is what people say.
    r"|(?<![\w@.-])(?:[a-z0-9-]+\.)+[a-z]{2,10}/[^\s<>]+"
)
# What stands behind a URL rather than in it.
_BEHIND = ".,;:!?)]}'\"*_`|"
_LINKS_IN_A_ROW = re.compile(rf"{LINK}(?:[\s,;.:()]*{LINK})+")
_TAG = re.compile(r"</?(?:a|b|br|code|del|em|i|p|s|span|strong|sub|sup|u)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<![\w*])(?P<mark>\*{1,3})(?=[^\s*])(?P<words>[^*]*[^\s*])(?P=mark)(?![\w*])")
_ESCAPED = re.compile(r"\\(?=[\\`*_{}\[\]()#+.!|~>-])")
_EMAIL = r"(?<![\w.+-])[\w.+-]{1,64}@(?:[^\W_]|-)+(?:\.(?:[^\W_]|-)+)+"
# Telephone keys and the like: "2#", "*31#", "#1".
_KEYS = r"(?<![\w*#])[*#]?\d+(?:[*#]\d+)*[*#]?(?![\w*#])"
_MARKS = re.compile(rf"(?P<kept>{_EMAIL}|{_KEYS})|[*_#`]+|~~+")

_ENDS = re.compile(r"""[.!?:;,…。！？、،؛؟۔]["'”’»)\]]*$""")
_SENTENCE_END = re.compile(r"""[.!?…。！？؟۔]["'”’»)\]]*(?=\s|$)""")


def speakable(text: str, limit: int = SAY_LIMIT) -> str:
    """Write a text as it is to be said: no markdown, no URLs, no emoji; line breaks and list items are sentences.

    What is plain stays as it is. A text over `limit` ends with the last whole sentence below it.
    """
    lines = [line for raw in _LINE_BREAKS.split(_EMOJI.sub("", text)) if (line := _line(raw))]
    said = " ".join([*map(_ended, lines[:-1]), *lines[-1:]])
    said = _LINKS_IN_A_ROW.sub(LINK, said)
    # Said letter by letter.
    return _cut(said.replace("http", "HTTP"), limit)


def _line(line: str) -> str:
    """Give the words of one line; none for what only draws."""
    if _FENCE_OR_RULE.fullmatch(line) or _TABLE_RULE.fullmatch(line) or _DEFINITION.fullmatch(line):
        return ""
    line = _QUOTED.sub("", line, count=1) if line.lstrip().startswith(">") else line
    if heading := _HEADING.fullmatch(line):
        return _ended(_words(heading["words"].rstrip("# ")))
    if item := _ITEM.fullmatch(line):
        words = _words(item["words"])
        return _ended((item["number"] or "") + words) if words else ""
    if "|" in line:
        return _ended(", ".join(filter(None, map(_words, line.split("|")))))
    return _words(line)


def _words(line: str) -> str:
    line = _LINKED.sub(lambda link: link["words"], _FOOTNOTE.sub("", line))
    line = _TAG.sub(" ", _URL.sub(_link, line))
    line = _ESCAPED.sub("", _EMPHASIS.sub(lambda marked: marked["words"], line))
    line = _MARKS.sub(lambda mark: mark["kept"] or _between(mark), line)
    return " ".join(line.split())


def _link(url: re.Match[str]) -> str:
    return LINK + url[0][len(url[0].rstrip(_BEHIND)) :]


def _between(mark: re.Match[str]) -> str:
    """Part the words that a mark joined (`order_number`), and leave nothing else of it."""
    before, after = mark.string[: mark.start()][-1:], mark.string[mark.end() :][:1]
    return " " if before.isalnum() and after.isalnum() else ""


def _ended(line: str) -> str:
    return line if not line or _ENDS.search(line) else f"{line}."


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    ends = [end.end() for end in _SENTENCE_END.finditer(text[: limit + 1]) if end.end() <= limit]
    cut = ends[-1] if ends else text.rfind(" ", 0, limit + 1)
    return text[: cut if cut > 0 else limit].rstrip()
