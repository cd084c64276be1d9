"""Notification of failed runs: an automation of the Prefect server that writes a log line, or sends a message through a block.

`CUEPOINT_NOTIFY` names a notification block, `slack-webhook/team` for instance. Without it, the message becomes a line in the
log of the run, because the server calls its own API.
"""

import json
import os
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import AutomationCore, CallWebhook, EventTrigger, SendNotification
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.types import SecretDict
from pydantic import SecretStr

AUTOMATION = "cuepoint: failed runs"
LOG_BLOCK = "cuepoint-log"
LOGGER = "cuepoint.notification"
VARIABLE = "CUEPOINT_NOTIFY"
_STATES = ("Failed", "Crashed", "TimedOut")
_ERROR = 40  # level of the log line
_SUBJECT = "{{ flow.name }}: {{ flow_run.state.name }}"
_BODY = "run {{ flow_run.name }} of {{ flow.name }} ended as {{ flow_run.state.name }}: {{ flow_run.state.message }}"


def ensure_notification() -> UUID:
    """Create or update the automation on the server of `PREFECT_API_URL`, and return its id.

    Raises:
        ValueError: when `CUEPOINT_NOTIFY` names no block of the server.
    """
    with get_client(sync_client=True) as client:
        automation = AutomationCore(
            name=AUTOMATION,
            description=f"Reports runs that fail or crash. {VARIABLE} chooses the block; `cuepoint deploy` applies it.",
            trigger=_build_trigger(),
            actions=[_build_action(client)],
        )
        for known in client.read_automations_by_name(AUTOMATION):
            client.update_automation(known.id, automation)
            return known.id
        return client.create_automation(automation)


def _build_trigger() -> EventTrigger:
    return EventTrigger(
        expect={f"prefect.flow-run.{state}" for state in _STATES},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        posture="Reactive",
        threshold=1,
    )


def _build_action(client: SyncPrefectClient) -> CallWebhook | SendNotification:
    named = os.environ.get(VARIABLE)
    if named:
        return SendNotification(block_document_id=_find_block(client, named), subject=_SUBJECT, body=_BODY)
    return CallWebhook(block_document_id=_save_log_block(client), payload=build_log_line())


def _find_block(client: SyncPrefectClient, named: str) -> UUID:
    """Return the id of a block from its name `type/name`."""
    kind, _, name = named.partition("/")
    try:
        return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound as error:
        raise ValueError(
            f"{VARIABLE}={named} names no block of this Prefect server; write type/name of one that this lists: prefect block ls"
        ) from error


def _save_log_block(client: SyncPrefectClient) -> UUID:
    """Create or update the block that posts to the server's own logs, and return its id."""
    headers = {"Content-Type": "application/json"}
    auth = get_current_settings().api.auth_string
    url = f"{str(client.api_url).rstrip('/')}/logs/"
    block = Webhook(method="POST", url=SecretStr(url), headers=SecretDict(headers | _authorize(auth)))
    saved = block.save(LOG_BLOCK, overwrite=True, _sync=True)
    return UUID(str(saved))


def _authorize(auth: SecretStr | None) -> dict[str, str]:
    """Return the header of basic authentication for `PREFECT_API_AUTH_STRING`."""
    if auth is None:
        return {}
    from base64 import b64encode

    return {"Authorization": f"Basic {b64encode(auth.get_secret_value().encode()).decode()}"}


def build_log_line() -> str:
    """Return the template of one log line, which the server fills and posts to its API."""
    filled = {"timestamp": "{{ event.occurred }}", "flow_run_id": "{{ flow_run.id }}"}
    values = {"name": LOGGER, "level": _ERROR, "message": None, **filled}
    message = f"{{% set message %}}{_BODY}{{% endset %}}{{{{ message | tojson }}}}"  # quoted as JSON, whatever a state says
    return json.dumps([values]).replace("null", message)
