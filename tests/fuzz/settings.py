"""Files of settings and plans: what people write, and what programs write for them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from modelwave_agent.host import config as agent_config
from modelwave_agent.host.relay import config as relay_config
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_controller import home
from modelwave_controller.errors import OperatorError
from modelwave_controller.models import targets
from modelwave_controller.rollout import plan as plans
from modelwave_controller.rollout.planned_gates import parse_gate
from modelwave_shared import documents, fields
from tests import signing
from tests.fuzz import scratch
from tests.fuzz.judging import require_line

ROOT = Path(__file__).resolve().parents[2]


def agent(data: bytes) -> bool:
    found = _read(agent_config.read_config, ConfigError, "agent.toml", data)
    if found is None:
        return False
    fields.name(found.device, "device")
    assert found.models
    assert 0.1 <= found.metrics_seconds <= 86400
    return True


def relay(data: bytes) -> bool:
    found = _read(relay_config.read_config, ConfigError, "relay.toml", data)
    if found is None:
        return False
    names = [found.gateway, *(board.device for board in found.boards)]
    assert len(set(names)) == len(names)
    return True


def controller(data: bytes) -> bool:
    found = _read(
        lambda path: home.read_config(path, "demo"), OperatorError, "controller.toml", data
    )
    return found is not None and found.fleet == "demo"


def target(data: bytes) -> bool:
    """Targets of an operator's own; they are sent on as JSON."""
    try:
        found = targets.read_targets(data.decode("utf-8", "replace"), "FILE")
    except OperatorError as error:
        require_line(error)
        return False
    for one in found.values():
        assert targets.Target.model_validate_json(one.model_dump_json(by_alias=True)) == one
    return bool(found)


def plan(data: bytes) -> bool:
    """A plan is kept in the log as JSON, and read from there as the same."""
    try:
        found = plans.parse_plan(data, "FILE")
    except OperatorError as error:
        require_line(error)
        return False
    assert plans.Plan.model_validate_json(found.model_dump_json()) == found
    shares = [stage.percent for stage in found.stages if stage.percent is not None]
    assert all(0 < share <= 100 for share in shares)
    if found.maintenance is not None:
        assert found.maintenance.longest_wait_seconds > 0
        found.maintenance.closed(signing.ISSUED)
    return True


def gate(data: bytes) -> bool:
    """The text of a gate, with spaces where they may be or not."""
    text = data.decode("utf-8", "replace")
    try:
        found = parse_gate(text)
    except ValueError as error:
        require_line(error)
        return False
    assert found.text == text
    assert found.value == found.value
    assert 0 <= found.quantile < 1
    return True


def _read(read: Callable[[Path], Any], refused: type[Exception], name: str, data: bytes) -> Any:
    """Returns what is read of the file `name`, None if it is refused."""
    path = _folder() / name
    path.write_bytes(data)
    try:
        with mock.patch.object(documents, "open_first_root", _first_root):
            return read(path)
    except refused as error:
        require_line(error)
        return None


# Signatures take most of the time, and are always of the same root.
_first_root = cache(documents.open_first_root)


@cache
def _folder() -> Path:
    folder = scratch.folder("settings")
    (folder / "root.json").write_bytes(signing.root_envelope())
    (folder / "password").write_text("secret\n")
    (folder / "report.key").write_text("ab" * 32 + "\n")
    return folder


_AGENT = b"""device = "pi-1"
target = "linux-cpu"
models = ["digits"]
state = "state"
root = "root.json"
"""
_BROKER = b"""[broker]
url = "mqtts://broker.test:8883"
user = "pi-1"
password_file = "password"
"""
_FURTHER = b"""[limits]
kernels = ["CONV_2D"]
[runtime]
accelerator = "edgetpu"
threads = 2
providers = ["cpu"]
[download]
hosts = ["127.0.0.1:8180"]
redirect_hosts = ["*.example.org:8443"]
[hooks]
swap = ["/bin/true", "x"]
seconds = 5.5
"""


def agent_seeds() -> list[bytes]:
    own = b'metrics_seconds = 5\ntimezone = "Europe/Berlin"\nreport_key_file = "report.key"\n'
    several = b'[broker]\nurls = ["mqtt://a.test", "mqtt://b.test:1884"]\n'
    return [_AGENT + several, _AGENT + own + _BROKER + _FURTHER]


def relay_seeds() -> list[bytes]:
    example = (ROOT / "agent" / "relay.toml.example").read_bytes()
    short = example.partition(b"[[board]]")[0] + b'[[board]]\ndevice = "p"\nport = "/dev/x"\n'
    return [_without_comments(one) for one in (short, example)]


def _without_comments(text: bytes) -> bytes:
    lines = (line.partition(b"#")[0].rstrip() for line in text.splitlines())
    return b"\n".join(filter(None, lines)) + b"\n"


_ALERTS = b"""[[alerts]]
name = "on-call"
on = ["held"]
url = "https://alerts.test/x"
secret_file = "x"
"""


def controller_seeds() -> list[bytes]:
    template = home._TEMPLATE.format(fleet="demo").encode()
    return [b'fleet = "demo"\n', _without_comments(template) + _ALERTS]


def target_seeds() -> list[bytes]:
    ours = targets.__file__.replace("targets.py", "targets.toml")
    tables = _without_comments(Path(ours).read_bytes()).split(b"\n[")
    return [tables[0] + b"\n", b"[" + tables[3] + b"\n"]


def plan_seeds() -> list[bytes]:
    shown = (plans.__doc__ or "").partition("`tags` or `devices`:")[2]
    lines = [line[4:] for line in shown.splitlines() if line.startswith("    ")]
    whole = _without_comments("\n".join(lines).encode()) + b"[[stages]]\npercent = 100\n"
    short = b'on_fail = "hold"\n[[stages]]\npercent = 5\nsoak = "2h"\n[[stages]]\npercent = 100\n'
    return [b"", short, whole]


def gate_seeds() -> list[bytes]:
    return [
        *(b"accuracy >= baseline - 0.02", b"p95(latency_ms) <= 1.2 * baseline"),
        *(
            b"failures <= 0.001",
            b"mean(power_mw) <= baseline + 20",
            b"agreement >= expected - 0.02",
        ),
        *(b"estimated_accuracy>=baseline-0.02", b"over(latency_ms) <= 0.01"),
    ]
