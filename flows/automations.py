"""The automation that marks dead runs as crashed; Prefect has none of its own, so a killed worker's run would stay Running."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from prefect.automations import AutomationCore
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

NAME = "cuepoint: mark dead runs as crashed"
_SILENCE = timedelta(seconds=540)  # three heartbeats, one each 180 s
_SIGNS_OF_LIFE = {f"prefect.flow-run.{name}" for name in ("Pending", "Running", "Retrying", "heartbeat")}


def ensure_crash_automation(deployments: Sequence[UUID], *, silence: timedelta = _SILENCE) -> None:
    """Create or update the automation for the runs of some deployments.

    A run that has been submitted must send an event within `silence`: its start, a heartbeat or its end. So the automation
    also ends runs that die before their first heartbeat.
    """
    automation = _build(deployments, silence)
    with get_client(sync_client=True) as client:
        known = client.read_automations_by_name(NAME)
        if not known:
            client.create_automation(automation)
            return
        client.update_automation(known[0].id, automation)
        for double in known[1:]:  # two deploys at once
            client.delete_automation(double.id)


def _build(deployments: Sequence[UUID], silence: timedelta) -> AutomationCore:
    related = {"prefect.resource.role": "deployment", "prefect.resource.id": [f"prefect.deployment.{one}" for one in deployments]}
    trigger = EventTrigger(
        match=ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification.model_validate(related),
        for_each={"prefect.resource.id"},
        after=_SIGNS_OF_LIFE,
        expect={"prefect.flow-run.*"},
        posture=Posture.Proactive,
        threshold=1,
        within=silence,
    )
    minutes = round(silence.total_seconds() / 60)
    action = ChangeFlowRunState(state=StateType.CRASHED, message=f"No sign of life for {minutes} minutes")
    return AutomationCore(name=NAME, description="Created by cuepoint deploy", trigger=trigger, actions=[action])
