"""Files that are imported, as the API takes and shows them."""

from typing import Annotated, Any, Literal

from flask_openapi3.models.file import FileStorage
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from werkzeug.datastructures import FileStorage as Uploaded

from gateway.api.schemas import Limit, Moment, Page, Path, Query, Text

State = Literal["uploading", "queued", "running", "done", "failed", "canceled"]


def _is_file(given: Any) -> Any:
    if not isinstance(given, Uploaded):
        raise ValueError("must be a file")
    return given


class ImportForm(BaseModel):
    """A file to be imported."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    file: Annotated[FileStorage, AfterValidator(_is_file)] = Field(
        description="The file: JSON lines of `GET /export.jsonl` or `gateway export`, or of another program."
    )
    layout: Annotated[Text, Field(max_length=40)] = Field(
        "",
        description="What the file is: `gateway`, `twilio`, `embedded` or `flat`. Recognised where this is empty.",
    )


class ImportsQuery(Query):
    """Which page."""

    cursor: Annotated[str, Field(pattern=r"^([0-9a-f]{24})?$")] = Field(
        "", description="`next_cursor` of the page before."
    )
    limit: Limit = 50


class ImportPath(Path):
    """An import."""

    import_id: str = Field(max_length=100)


class ImportedSessions(BaseModel):
    """What became of the sessions of a file."""

    created: int
    existing: int = Field(description="Here already: they stay as they are, and get the messages they lack.")
    closed: int = Field(description="Of those created: open in the file, and closed here for another open session.")


class ImportedMessages(BaseModel):
    """What became of the messages of a file."""

    imported: int
    duplicate: int = Field(description="Here already: they stay as they are.")


class ImportedOthers(BaseModel):
    """What became of channels, contacts or files, which an export of everything has."""

    created: int
    existing: int = Field(description="Here already: they stay, and contacts learn what they were known by elsewhere.")


class InPlace(BaseModel):
    """How far an import is that takes over what another application left in the gateway's own database."""

    step: Literal["backup", "aside", "import", "restored"] = Field(
        description="Copied, taken out, imported from the copy; restored by an undo."
    )
    backup: dict[str, int] = Field(
        description="How many documents of each collection are kept in `<collection>_before_<id>`."
    )
    late: int = Field(description="Written by the other application after the backup was begun, and in it too.")
    left: int = Field(description="Still in the backup after an undo, for what came of them stays here.")


class Import(BaseModel):
    """An import: how far it is, and what came of it."""

    id: str
    state: State
    layout: str
    file_name: str
    by: str = Field(description="Who ordered it.")
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    bytes: int = Field(description="The size of the file.")
    bytes_read: int
    rows_read: int
    sessions: ImportedSessions
    messages: ImportedMessages
    channels: ImportedOthers
    contacts: ImportedOthers
    files: ImportedOthers
    people: int | None = Field(description="How many people are in another program's source; null where not counted.")
    rejected: int = Field(description="Rows that were not taken: `GET /imports/{import_id}/rejected` gives them.")
    rows_per_second: float | None
    seconds_left: float | None = Field(description="How long the rest will take at this rate.")
    complete: bool | None = Field(description="Whether the file was whole; null until it was read to its end.")
    problems: list[str] = Field(description="What was odd, a hundred at most.")
    error: str | None = Field(description="Why it failed.")
    in_place: InPlace | None = Field(description="Of `gateway import --in-place` only.")


class Imports(Page):
    """Imports, newest first."""

    items: list[Import]
