"""Watching of the traffic without Prefect: builds the samples, decides by rules, and writes the report."""
