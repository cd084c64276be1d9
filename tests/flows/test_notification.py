"""The message about a failed run, and the blocks that the documentation names."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.blocks import notifications
from prefect.server.utilities.user_templates import render_user_template_sync, validate_user_template

from flows.notification import LOGGER, build_log_line

PAGE = Path(__file__).resolve().parents[2] / "docs" / "notification.md"


@pytest.mark.parametrize("reason", ["disk full", 'it says "no" \\ and\nends {{ here }}'])
def test_the_log_line_is_json_whatever_the_reason_of_the_failure(reason: str) -> None:
    state = SimpleNamespace(name="Failed", message=reason)
    context = {
        "flow": SimpleNamespace(name="retrain"),
        "flow_run": SimpleNamespace(name="brave-owl", id="1", state=state),
        "event": SimpleNamespace(occurred="2026-01-01T00:00:00Z"),
    }
    template = build_log_line()
    validate_user_template(template)
    (line,) = json.loads(render_user_template_sync(template, context))
    assert line["message"] == f"run brave-owl of retrain ended as Failed: {reason}"
    assert (line["name"], line["level"], line["flow_run_id"]) == (LOGGER, 40, "1")


def test_the_documented_blocks_have_the_documented_names() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for block in (
        notifications.SlackWebhook,
        notifications.SendgridEmail,
        notifications.MicrosoftTeamsWebhook,
        notifications.DiscordWebhook,
        notifications.CustomWebhookNotificationBlock,
    ):
        assert block.get_block_type_slug() in text
