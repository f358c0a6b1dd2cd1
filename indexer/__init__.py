"""How a snapshot is made from documents: load, split, embed, write, publish. Offline, batch."""
