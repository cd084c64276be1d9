"""Published models: the presets that name them, their files from packages and hubs, and the bundles made of them.

Encoders that read such files in the pipeline live in `models.encoders`; nothing here trains.
"""
