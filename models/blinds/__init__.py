"""The registry of text-only floors; with a second one it becomes a union discriminated by `name`."""

from models.blinds.text_only import TextOnlyParams

BlindParams = TextOnlyParams
