"""The small synthetic world that makes the whole road learnable on a laptop."""
