"""Flows: what there is, and where a session is in one."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from gateway.api.schemas import Body, Moment, Text

# Not `Text`: whoever makes names by the pattern alone is not to make an empty one.
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]
FieldValue = Annotated[Text, StringConstraints(max_length=500)]


class FlowField(BaseModel):
    """Something a flow finds out."""

    name: str
    kind: str = Field(description="`name`, `phone`, `email`, `number`, `date`, `choice`, `yes_no`, `items`, ...")
    label: str
    optional: bool
    choices: list[str] = Field(description="What there is to choose from; empty where anything goes.")


class FlowStep(BaseModel):
    """A step of a flow, in the order of its file."""

    name: str
    collects: list[str] = Field(description="The fields it asks for; none where it asks to confirm or only tells.")
    confirms: bool


class FlowTriggers(BaseModel):
    """What begins a flow."""

    words: list[str]
    intents: list[str]
    events: list[str]


class FlowDefinition(BaseModel):
    """A flow as its file describes it."""

    name: str
    title: str
    version: int
    timeout_seconds: int = Field(description="How long it waits for each answer.")
    triggers: FlowTriggers
    steps: list[FlowStep]
    fields: list[FlowField]


class FlowList(BaseModel):
    """All flows there are."""

    items: list[FlowDefinition]


class SessionFlow(BaseModel):
    """Where a session is in a flow, or how the last one ended."""

    name: str
    title: str
    version: int
    run: str = Field(description="New for every time a flow is begun.")
    step: str = Field(description="The step that waits for an answer, or the ending once there is an `outcome`.")
    asking: str | None = Field(description="The field that was asked for last.")
    outcome: str | None = Field(description="`completed`, `canceled`, `given_up`, `expired`; null while it goes on.")
    values: dict[str, Any] = Field(description="What is known so far, by field.")
    started_at: Moment
    waiting_since: Moment = Field(description="Since when an answer is waited for; when it ended.")
    expires_at: Moment | None = Field(description="When it ends unless somebody answers; null where it ended.")


def _every_name(schema: dict[str, Any]) -> None:
    """Say that every name is as the pattern, and not only what is true of those that are."""
    ((pattern, values),) = schema.pop("patternProperties").items()
    schema["additionalProperties"] = values
    schema["propertyNames"] |= {"pattern": pattern}


class FlowBody(Body):
    """Which flow is to begin."""

    flow: Annotated[Text, StringConstraints(min_length=1, max_length=100)] = Field(examples=["callback"])
    values: dict[FieldName, FieldValue] = Field(
        {},
        description="What is known already, by field; what is understood is not asked for.",
        max_length=100,
        json_schema_extra=_every_name,
    )
    replace: bool = Field(False, description="Cancel the flow that is under way, if there is one.")
