"""How fast the console's list is with a million sessions."""
