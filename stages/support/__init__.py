"""Schema of `params.yaml`, paths, tracking and process care: nothing here changes a result."""
