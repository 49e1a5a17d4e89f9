"""Contacts and conversations taken to a CRM: who is wanted when, which contact there is theirs, and what it is told."""
