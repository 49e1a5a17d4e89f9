"""What `core.flows` is made of: definitions, the file format, the state, the texts, and finding answers in messages."""
