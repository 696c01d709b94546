"""Released lists: their formats, how they are read, and which of their rows are pairs."""
