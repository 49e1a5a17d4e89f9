"""A self-hosted Twilio conversation gateway."""

__version__ = "0.1.0"
