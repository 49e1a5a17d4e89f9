"""How fast the API answers with a million sessions."""
