"""Telling other programs what happens: found out, queued, and delivered as signed webhooks."""
