"""Training of roles and objectives: schema of a preset's `training`, data and loop."""
