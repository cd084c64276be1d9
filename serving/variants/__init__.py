"""Champion and challenger: chooses which models answer a search, compares both, and removes a worse challenger."""
