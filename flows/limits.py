"""The GPU limit of Prefect: the visible queue of the stages that compute on a device.

The limit shows who waits. The guard is the lock that each stage holds itself; see `pipeline.executors.slot`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from pipeline.executors.process import find_holder
from pipeline.executors.slot import GPU_STAGES, find_slot

GPU_LIMIT = "gpu"
LEASE_S = 60.0  # the least that Prefect allows; a killed flow gives its slot back after this time


def ensure_gpu_limit(slots: int = 1) -> None:
    """Create the limit if it is missing; an existing limit keeps its number of slots."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(GPU_LIMIT)
        except ObjectNotFound:
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=GPU_LIMIT, limit=slots))
            except ObjectAlreadyExists:  # another flow was faster
                return


@contextmanager
def reserve_gpu(stage: str, *, log: Callable[[str], object]) -> Iterator[None]:
    """Hold the limit's slot while the block runs, for a stage that computes on a device; other stages need none.

    A missing limit is created. A failed renewal does not stop the stage, because the stage holds the lock of the device.
    """
    if stage not in GPU_STAGES:
        yield
        return
    ensure_gpu_limit()
    slot = find_slot()
    holder = find_holder(slot.path)
    if holder is not None:
        log(f"{stage} waits for the slot of device {slot.device}, held by {holder}")
    with concurrency(GPU_LIMIT, occupy=1, lease_duration=LEASE_S, strict=True, raise_on_lease_renewal_failure=False):
        yield
