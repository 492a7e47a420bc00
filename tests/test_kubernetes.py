"""The Kubernetes manifests are what Kubernetes takes, and let the controller do little."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwave_controller.home import ControllerConfig

FOLDER = Path(__file__).resolve().parent.parent / "docker" / "kubernetes"
OLDEST = "1.28"
IN_SECRET = (
    "order.key",
    "report.key",
    "controller.password",
    "ca.pem",
    "controller.pem",
    "controller.key",
    "database-password",
)


def documents() -> list[dict[str, Any]]:
    return [one for path in sorted(FOLDER.glob("*.yaml")) for one in loaded(path)]


def loaded(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all(path.read_text())


def pods() -> Iterator[dict[str, Any]]:
    for one in documents():
        if one["kind"] == "Pod":
            yield one["spec"]
        elif one["kind"] == "Deployment":
            yield one["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", [OLDEST, "latest"])
def test_each_manifest_has_only_what_its_schema_knows(version: str) -> None:
    import kubernetes_validate  # seconds, for which all that collects these tests would wait

    if version == "latest":
        version = kubernetes_validate.latest_version()
    for one in documents():
        kubernetes_validate.validate(one, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**documents()[0], "spek": {}}, version, strict=True)


def test_containers_have_no_rights_and_a_root_that_cannot_be_written() -> None:
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_settings_are_the_controller_s_and_name_only_secrets_that_the_page_puts_there() -> None:
    [settings] = [one for one in documents() if one["kind"] == "ConfigMap"]
    text = settings["data"]["controller.toml"]
    config = ControllerConfig.model_validate(tomllib.loads(text))
    assert config.devices.proof == "require"
    for line in text.splitlines():
        if "/secret/" in line:
            assert line.rstrip('"').rsplit("/", 1)[1] in IN_SECRET
    page = (FOLDER.parents[1] / "docs" / "deploying.md").read_text()
    for name in IN_SECRET:
        assert f"--from-file={name}=" in page
