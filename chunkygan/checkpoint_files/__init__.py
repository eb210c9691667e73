"""Weight files of any origin, read as data: what they are, what is in them, and their tensors."""
