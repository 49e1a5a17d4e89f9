"""Whether anything gets slower while a database grows from ten thousand sessions to five million."""
