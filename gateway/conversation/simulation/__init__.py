"""The person at the other end: webhooks as Twilio sends them, signed, to a gateway that runs."""
