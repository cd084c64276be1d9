"""Published and earlier weights for all towers: sources, licences, hashes and loading. No encoder lives here."""
