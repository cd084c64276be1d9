"""The global limit that queues stages for the machine's GPU: the soft queue, visible in the UI, beside each stage's own lock."""

from prefect.client.orchestration import get_client

GPU_LIMIT = "gpu"


def ensure_gpu_limit(slots: int = 1) -> None:
    """Create the limit, or set its number of slots; Prefect would skip a missing one with no more than a warning."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(GPU_LIMIT, slots)
