"""Address of the tracking server or database, as it may be shown."""

import re

_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")


def hide_password(address: str) -> str:
    """Return an address with stars in place of its password, for messages and logs."""
    return _PASSWORD.sub(r"\1:***@", address)
