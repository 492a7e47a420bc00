"""docs/operations.md's Mosquitto with TLS, as printed: settings and commands are those of the page.
Real agents start with the folders that were written for them, by password and by certificate."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelwave_controller.cli import run
from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.processes import AGENT
from tests.e2e.conftest import MOSQUITTO, REPO, House, wait_for_port
from tests.mosquitto_tls import configured, free_ports
from tests.tools import MOSQUITTO_MISSING

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

LIST = "device,target,models,tags\npi-1,linux-cpu,digits,canary\npi-2,linux-cpu,digits,\n"


def printed(what: str, language: str) -> str:
    page = (REPO / "docs/operations.md").read_text("utf-8")
    found = re.search(rf"<!-- tls: {what} .*?-->\n```{language}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def here(text: str, folder: Path, ports: list[int]) -> str:
    """The printed text, with this machine's names and ports, and without its rights."""
    for name, its in (
        ("broker.example", "localhost"),
        ("192.0.2.10", "127.0.0.1"),
        ("/etc/mosquitto", str(folder / "etc")),
        ("docker/", f"{REPO}/docker/"),
        ("sudo systemctl restart mosquitto", ""),
        ("sudo ", ""),
        ("-g mosquitto ", ""),
        *(
            (str(shipped), str(port))
            for shipped, port in zip((8883, 8884, 8885), ports, strict=True)
        ),
    ):
        text = text.replace(name, its)
    return text


def test_printed_mosquitto_with_tls_serves_an_enrolled_fleet(house: House, tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip(MOSQUITTO_MISSING)
    *ports, files = free_ports(4)
    house.operator = CommandLine(tmp_path / "modelwave-home", run)
    environment = house.operator.environment | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def shell(script: str) -> None:
        subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, env=environment, check=True)

    shell("modelwave init demo")
    (tmp_path / "devices.csv").write_text(LIST)
    settings = f'fleet = "demo"\n{here(printed("settings", "toml"), tmp_path, ports)}'
    settings += f'\n[files]\nlisten = "127.0.0.1:{files}"\n'
    settings += '\n[api]\nlisten = "127.0.0.1:0"\n'
    (tmp_path / "modelwave-home" / "controller.toml").write_text(settings)
    shell(here(printed("commands", "sh"), tmp_path, ports))

    installed = tmp_path / "etc" / "mosquitto.conf"
    text = configured(installed.read_text(), tmp_path, tmp_path / "etc" / "modelwave", ports)
    installed.write_text(text)
    house.running.start("broker", [MOSQUITTO, "-c", str(installed)])
    wait_for_port(ports[2])
    house.start_service()
    assert {one["trouble"] for one in house.operator.asks("device", "list")} == {
        "enrolled, and never heard"
    }
    for name in ("pi-1", "pi-2", "pi-9"):
        config = tmp_path / "devices" / name / "agent.toml"
        house.running.start(name, [*AGENT, "run", "--config", str(config)])
    house.operator.waits(
        ["device", "list"], lambda found: len(found) == 3 and all("target" in one for one in found)
    )
    house.release("v2")
    plan = ("--stages", "100", "--soak", "0", "--trial-seconds", "0", "--deadline", "60")
    assert house.operator.shows("rollout", "start", "digits", "v2", *plan) == 0
    assert house.operator.shows("rollout", "watch") == 0
    assert house.running.dead() == []
