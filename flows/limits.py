"""Global concurrency limit for the machine's GPU: Prefect's queue, visible in its UI, in addition to each stage's lock."""

from prefect.client.orchestration import get_client

GPU_LIMIT = "gpu"


def ensure_gpu_limit(slots: int = 1) -> None:
    """Create the limit, or set its number of slots; Prefect only warns about a missing limit."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(GPU_LIMIT, slots)
