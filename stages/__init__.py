"""One module per DVC stage, with the same name. Shared code lives in the package of its subject."""
