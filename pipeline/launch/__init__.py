"""Start of servers on this machine: the search service of a bento and the MLflow page."""
