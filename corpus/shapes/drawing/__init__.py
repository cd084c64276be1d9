"""Pictures and sound of the drawn corpus, and their files."""
