"""Everything that knows MongoDB. Documents stay in here; values from gateway.core go in and out."""
