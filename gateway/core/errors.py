"""Every error the gateway raises on purpose.

GatewayError
├── ConfigError          a setting, a library or a program is wrong; the start stops with one line
├── RequestRejected      a webhook that changes nothing; carries the reason that is logged and counted
│   ├── Forbidden        403: forged or unverifiable
│   └── Malformed        400: verified, but not something Twilio sends
├── StoreUnavailable     MongoDB did not take the write in time; an event goes to the spool
│   └── StoreRefused     MongoDB will never take this one, however often it is tried
├── SpoolUnavailable     503: the spool did not take it either, or cannot be read
├── ResponderFailed      nobody answered, or not so that it can be sent; says whose fault it is, quotes nobody
├── NotSent              the provider refused a message; `core.sending` says what is done about it
├── OutcomeUnknown       the provider may have taken a message or not; looked up before anything is sent again
├── LookupFailed         the look-up itself failed; asked again later
├── LogUnreadable        the provider's log did not come; says what to do about it
├── AccountError         the provider did not say or do what was asked of an account; says what to do about it
│   ├── WrongCredentials no account or token, or none that the provider takes
│   ├── Unreachable      nobody answered; what was to be changed may be changed or not
│   └── NotOurs          no account of the settings has this number or sender
├── CannotPoint          a number was not pointed here, since it would do no good
├── BadSpan              how far back to look cannot be read, or has no sensible end
├── NotReached           nobody answers at an address, or not so that the provider would accept it; says what to do
├── NotRedacted          the provider keeps a message's text; what is deleted here stays until it does not
├── ArchiveFailed        an archive of old conversations cannot be written or read; nothing is deleted after it
├── Newer                a newer gateway migrated the database; this one touches neither indexes nor documents
├── BadFile              a file that cannot be imported at all; says what would do
├── TunnelFailed         ngrok opened no tunnel; says why, never the token
├── TunnelTaken          another process lends the gateway an address; says which
├── MediaRefused         a file we will never take: its host, its path, its type or its size
├── CrmFailed            the CRM did not do it; says whether it ever will, and what to do about it
│   ├── CrmGone          what was asked for is not there any more
│   └── CrmConflict      something unique is there already; names what has it
└── MediaFailed          a file that did not come this time
    └── MediaNotThere    404: gone, or not there yet
"""


class GatewayError(Exception):
    """The root of the tree; its text is meant for a person."""


class ConfigError(GatewayError):
    """Something outside the code must change before the gateway can start; says what and how."""


class RequestRejected(GatewayError):
    """A request that must not change anything. `reason` is one word for logs and metrics."""

    status = 400

    def __init__(self, reason: str, detail: str = "", **context: object) -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.context = context


class Forbidden(RequestRejected):
    """Nobody proved that Twilio sent this."""

    status = 403


class Malformed(RequestRejected):
    """Twilio's signature may be right, the request is not."""


class StoreUnavailable(GatewayError):
    """MongoDB could not be reached, or did not confirm in time."""


class StoreRefused(StoreUnavailable):
    """MongoDB answers, and cannot hold what it was given."""


class SpoolUnavailable(GatewayError):
    """The spool's file cannot be written or read: the disk is full, or the limit of the settings is reached."""


class ResponderFailed(GatewayError):
    """A responder gave no usable answer. The text goes to logs: no words of people, no keys, under 300 characters."""
