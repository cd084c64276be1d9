"""Registry of text-only floors. A second floor turns it into a union discriminated by `name`."""

from models.blinds.text_only import TextOnlyParams

BlindParams = TextOnlyParams
