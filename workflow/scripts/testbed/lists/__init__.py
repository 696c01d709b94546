"""Released lists: their formats, reading them, and the validation of their rows."""
