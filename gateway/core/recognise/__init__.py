"""Recognisers: what people write, say and key, read as names, numbers, dates, choices and the like."""
