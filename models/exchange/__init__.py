"""What models exchange with each other and with files: batches, roles, inputs, checkpoints."""
