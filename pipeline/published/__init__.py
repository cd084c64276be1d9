"""Published models: their presets, the fetching of their files from packages and hubs, and their bundles.

Encoders that read such files in the pipeline live in `models.encoders`. Nothing here trains.
"""
