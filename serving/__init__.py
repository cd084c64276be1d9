"""The search service: HTTP endpoints, uploads, champion and challenger, and the page. Runs without torch."""
