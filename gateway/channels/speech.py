"""Written words made speakable: what a voice would read out as noise becomes words, pauses or nothing."""

import re

# What <Say> takes at most.
SAY_LIMIT = 4096
LINK = "a link"

_LINES = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|>~])")
_MARKED_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])")
_URL = re.compile(
    r"<?(?:https?://|www\.)(?:[^\s<>\"]*[^\s<>\".,;:!?)\]*_`'»”’])?>?"
    # Without a scheme only what has a path is surely an address: people are told "example.com" as it is.
    r"|(?<![\w@.-])(?:[a-z0-9-]+\.)+[a-z]{2,}/(?:[^\s<>\"]*[^\s<>\".,;:!?)\]*_`'»”’])?",
    re.IGNORECASE,
)
_MAIL = re.compile(r"<?(?:mailto:)?([\w.+-]+@[\w-]+(?:\.[\w-]+)+)>?")

_PICTURE = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u231a\u231b\u23e9-\u23fa\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u25aa-\u25ab"
    "\u25fb-\u25fe"
)
_JOINER = "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f"
# A joiner alone stays: Indic scripts are written with it.
_EMOJI = re.compile(f"[{_PICTURE}][{_PICTURE}{_JOINER}]*")
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")

_FENCE = re.compile(r"(?:```|~~~)[\w+-]*")
_RULE = re.compile(r"(?:[-*_=]\s*){3,}|=+")
_TABLE_RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")
_QUOTE = re.compile(r"(?:>\s?)+")
_HEADING = re.compile(r"#{1,6}\s+")
_BULLET = re.compile(r"[-*+•‣◦]\s+(?:\[[ xX]\]\s+)?")
_NUMBERED = re.compile(r"\d{1,3}[.)]\s+\S")

_TIMES = re.compile(r"(?<=\d)[ \t]*\*[ \t]*(?=\d)")
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")
_SPACES = re.compile(r"[ \t]+")
_BEFORE_POINT = re.compile(r"[ \t]+([.,;!?](?:\s|$))")

_PAUSES = tuple(".!?:;,…。！？：；，、؟۔؛،।")
_CLOSING = "\"'»”’)]} "
_SENTENCE = re.compile(r"[.!?…。！？؟۔।][\"'»”’)]*(?=\s|$)")


def speakable(text: str) -> str:
    """Write a text the way it is to be heard: no markdown, no addresses, no pictures, and pauses for line breaks.

    Plain text stays as it is. What is longer than <Say> takes ends with its last whole sentence.
    """
    lines = [_line(line.strip()) for line in _LINES.split(_BREAK.sub("\n", text))]
    spoken = [(words, alone) for words, alone in lines if any(map(_is_heard, words))]
    sentences = [_paused(words) if alone or last else words for words, alone, last in _with_last(spoken)]
    return _cut(" ".join(sentences))


def _with_last(spoken: list[tuple[str, bool]]) -> list[tuple[str, bool, bool]]:
    """Tell which lines others follow: those want a pause."""
    return [(words, alone, number < len(spoken)) for number, (words, alone) in enumerate(spoken, start=1)]


def _is_heard(character: str) -> bool:
    return character.isalnum() or character in "$€£¥%&+=?!"


def _line(line: str) -> tuple[str, bool]:
    """Read one line; True where it is a sentence of its own, such as an item of a list."""
    line = _QUOTE.sub("", line, count=1) if line.startswith(">") else line
    if _FENCE.fullmatch(line) or _RULE.fullmatch(line) or ("-" in line and _TABLE_RULE.fullmatch(line)):
        return "", False
    if line.startswith("|"):
        cells = (_inline(cell.strip()) for cell in line.strip("|").split("|"))
        return ", ".join(cell for cell in cells if cell), True
    for mark in (_HEADING, _BULLET):
        if found := mark.match(line):
            return _inline(line[found.end() :]), True
    return _inline(line), bool(_NUMBERED.match(line))


def _inline(words: str) -> str:
    words = _ESCAPED.sub(r"\1", words)
    words = _KEYCAP.sub(r"\1", words)
    words = _MARKED_LINK.sub(lambda found: found[1].strip() or ("" if found[0].startswith("!") else LINK), words)
    words = _URL.sub(LINK, words)
    # An underscore that belongs to an address must not get lost: it is said.
    words = _MAIL.sub(lambda found: found[1].replace("_", " underscore "), words)
    words = _EMOJI.sub("", words)
    words = _TIMES.sub(" × ", words).replace("~~", "")
    words = _EDGE_UNDERSCORE.sub("", words).replace("_", " ")
    words = re.sub(r"[*`#]", "", words)
    return _BEFORE_POINT.sub(r"\1", _SPACES.sub(" ", words)).strip()


def _paused(words: str) -> str:
    return words if words.rstrip(_CLOSING).endswith(_PAUSES) else f"{words}."


def _cut(words: str) -> str:
    if len(words) <= SAY_LIMIT:
        return words
    kept = words[:SAY_LIMIT]
    ends = [found.end() for found in _SENTENCE.finditer(words, 0, SAY_LIMIT + 1) if found.end() <= SAY_LIMIT]
    # Half of it or more: a first sentence alone is no answer.
    end = ends[-1] if ends and ends[-1] > SAY_LIMIT // 2 else kept.rfind(" ")
    return kept[:end].rstrip() if end > 0 else kept
