"""BentoML's timer is still where the service removes it."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import bentoml, json
from serving.gate.bento_timer import drop_timer

@bentoml.service(traffic={"timeout": 30})
class Small:
    @bentoml.api
    def ping(self) -> str:
        return "pong"

def list_layers(app):
    layer, names = app.middleware_stack, []
    while layer is not None:
        names.append(type(layer).__name__)
        layer = getattr(layer, "app", None)
    return names

app = Small.to_asgi()
app.middleware_stack = app.build_middleware_stack()
before = list_layers(app)
drop_timer(app)
print(json.dumps([before, list_layers(app)]))
"""


@pytest.mark.slow
def test_only_the_timer_of_bentoml_is_removed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert "TimeoutMiddleware" in before
    assert after == [name for name in before if name != "TimeoutMiddleware"]
