"""What docs/flows.md shows is what happens."""

import re
from pathlib import Path

import pytest

from gateway.core import flows
from gateway.core.flow_parts.endings import ACTIONS
from gateway.core.flow_parts.fields import FIELD_KEYS
from gateway.core.flow_parts.wording import TEXTS
from gateway.core.flows import FlowError, Kind
from tests.core.flow_samples import AT, parsed, shipped

PAGE = (Path(__file__).parent.parent.parent / "docs" / "flows.md").read_text()
WRITTEN = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
TALKS = [
    re.sub(r"(?m)^    ", "", block).strip()
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)
    if "    > " in block
]

FLOWS = [parsed(WRITTEN[0], "config/flows/table.toml"), shipped("bulk_order"), shipped("callback")]


@pytest.mark.parametrize(
    ("flow", "talk"),
    list(zip(FLOWS, TALKS, strict=True)),
)
def test_the_conversations_of_the_page_go_as_they_are_written(flow, talk):
    replies, first = re.split(r"(?m)^> .*\n", talk), talk.startswith("> ")
    said = re.findall(r"(?m)^> (.*)$", talk)
    opening = said.pop(0) if first else ""
    advance = flows.begin(flow, run="run", at=AT, by="m", text=opening)
    heard = [advance.text]
    for number, text in enumerate(said):
        advance = flows.step(flow, advance.state, text, at=AT, by=f"m{number}")
        heard.append(advance.text)
    assert heard == [reply.strip() for reply in replies if reply.strip()]


def test_the_mistakes_of_the_page_are_told_as_it_shows_them():
    text = WRITTEN[0].replace('kind = "number"', 'kind = "numbr"', 1).replace("[, {name}]", ", {nmae}")
    with pytest.raises(FlowError) as refused:
        parsed(text, "config/flows/table.toml")
    told = str(refused.value).split("\n")
    shown = re.findall(r"(?m)^    (config/flows/table.toml: .*?)(?: \.\.\.)?$", PAGE)
    assert [line[: len(part)] for line, part in zip(told, shown, strict=True)] == shown


def test_every_key_kind_action_and_text_is_on_the_page():
    for word in (*FIELD_KEYS, *Kind, *ACTIONS, *TEXTS, "give_up", "timeout_minutes", "date_order", "outcome"):
        assert f"`{word}`" in PAGE or f'"{word}"' in PAGE, word
