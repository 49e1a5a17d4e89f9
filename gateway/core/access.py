"""Who may do what in the console and over the API: a role, and for some only certain channels."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["admin", "agent", "viewer"]

# Each role may do what those behind it may.
ROLES: tuple[Role, ...] = ("admin", "agent", "viewer")


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody's rights. `channels` are the ids of all they know of; None is every channel."""

    name: str
    role: Role = "viewer"
    channels: frozenset[str] | None = None

    def has(self, role: Role) -> bool:
        """Tell whether this may do what that role may."""
        return ROLES.index(self.role) <= ROLES.index(role)

    def sees(self, channel_id: str | None) -> bool:
        """Tell whether what happens on a channel is shown."""
        return self.channels is None or channel_id in self.channels
