"""How fast a full outbox is emptied, by how many workers, alone and told by a broker."""
