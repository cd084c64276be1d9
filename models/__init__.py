"""Networks and formulas: encoders, retrievers, localizers, losses, metrics. They get values and paths, never files of choices."""
