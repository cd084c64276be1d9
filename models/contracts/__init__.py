"""Contracts between components: batches, roles, inputs and windows. They import no registry and no file access."""
