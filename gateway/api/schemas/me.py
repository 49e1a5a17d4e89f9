"""What a key may see and do."""

from pydantic import BaseModel, Field

from gateway.api.schemas import Moment


class Me(BaseModel):
    """An API key, without its secret."""

    name: str
    prefix: str = Field(description="The beginning of the key, after `gw_`: its name in lists and logs.")
    scopes: list[str] = Field(description="What it may do: `read`, `write`, `admin`; each includes those before it.")
    channels: list[str] | None = Field(description="The ids of the channels it knows of; null is all of them.")
    expires_at: Moment | None = Field(description="When it ends; null is never.")
    requests_per_minute: int
