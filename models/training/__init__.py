"""How roles are trained: the schema of a preset's `training`, the data side and the loop."""
