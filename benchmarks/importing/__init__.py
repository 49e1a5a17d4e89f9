"""How fast a million messages come in, and how much memory that takes."""
