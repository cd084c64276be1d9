"""Networks and formulas: encoders, retrievers, localizers, losses, metrics. They receive values and paths, not configuration."""
