"""Settings of the service from the environment: secrets and limits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

TextRule = Literal["kept", "hashed", "left_out"]
_TEXT_RULES = ("kept", "hashed", "left_out")


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """Limits of the traffic log."""

    max_mb: int = 64  # 0: nothing is logged
    max_days: int = 30
    text: TextRule = "kept"


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of one service; a rate of 0 is no limit, an empty token lets everyone in."""

    token: str
    has_open_health: bool
    rate_per_minute: int
    max_upload_mb: int
    max_video_s: int
    max_uploads: int
    traffic: TrafficSettings = field(default_factory=TrafficSettings)

    @property
    def max_upload_bytes(self) -> int:
        """The size limit of an upload."""
        return self.max_upload_mb * 1_000_000


def find_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read `CUEPOINT_TOKEN`, `CUEPOINT_OPEN_HEALTH`, `CUEPOINT_RATE_PER_MINUTE`, and the limits on uploads and the traffic log.

    Raises:
        ValueError: naming a variable and its value. An empty token is refused, because a lost secret would let everyone in.
    """
    token = environment.get("CUEPOINT_TOKEN")
    if token is not None and (not token.strip() or not token.isascii() or not token.isprintable()):
        raise ValueError("CUEPOINT_TOKEN is set but empty or not printable ASCII: give it a secret, or unset it to serve without")
    health = environment.get("CUEPOINT_OPEN_HEALTH") or "0"
    if health not in ("0", "1"):
        raise ValueError(f"CUEPOINT_OPEN_HEALTH = {health!r}: it must be 0 or 1")
    return Settings(
        token=token or "",
        has_open_health=health == "1",
        rate_per_minute=_read_number(environment, "CUEPOINT_RATE_PER_MINUTE", 600, least=0),
        max_upload_mb=_read_number(environment, "CUEPOINT_MAX_UPLOAD_MB", 512, least=1),
        max_video_s=_read_number(environment, "CUEPOINT_MAX_VIDEO_S", 4 * 3600, least=1),
        max_uploads=_read_number(environment, "CUEPOINT_MAX_UPLOADS", 100, least=0),
        traffic=find_traffic_settings(environment),
    )


def find_traffic_settings(environment: Mapping[str, str] = os.environ) -> TrafficSettings:
    """Read `CUEPOINT_TRAFFIC_MB`, `CUEPOINT_TRAFFIC_DAYS` and `CUEPOINT_TRAFFIC_TEXT`.

    Raises:
        ValueError: naming a variable and its value.
    """
    text = environment.get("CUEPOINT_TRAFFIC_TEXT") or "kept"
    if text not in _TEXT_RULES:
        raise ValueError(f"CUEPOINT_TRAFFIC_TEXT = {text!r}: it must be one of {', '.join(_TEXT_RULES)}")
    return TrafficSettings(
        max_mb=_read_number(environment, "CUEPOINT_TRAFFIC_MB", 64, least=0),
        max_days=_read_number(environment, "CUEPOINT_TRAFFIC_DAYS", 30, least=1),
        text=cast("TextRule", text),
    )


def _read_number(environment: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdecimal() or int(text) < least:
        raise ValueError(f"{name} = {text!r}: it must be a whole number, at least {least}")
    return int(text)
