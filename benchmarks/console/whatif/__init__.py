"""How fast stored gaps are counted again: several ways over the same million messages."""
