"""Prefect flows over the DVC stages: schedules, retries and the GPU slot. Stages and their code live elsewhere."""
