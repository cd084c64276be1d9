"""When things run: Prefect flows over the DVC stages."""
