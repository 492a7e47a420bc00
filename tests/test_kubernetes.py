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
    "api.pem",
    "api.key",
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


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in documents() if one["kind"] == kind]


def settings() -> ControllerConfig:
    [found] = of_kind("ConfigMap")
    return ControllerConfig.model_validate(tomllib.loads(found["data"]["controller.toml"]))


def test_probes_ask_listeners_of_the_settings_for_what_they_answer() -> None:
    [deployment] = of_kind("Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    config = settings()
    assert ports == {"files": config.files.address[1], "operators": config.api.address[1]}
    asked = {
        name: (probe["path"], probe["port"], probe.get("scheme", "HTTP"))
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
        for probe in [container[name]["httpGet"]]
    }
    assert asked == {
        "startupProbe": ("/livez", "files", "HTTP"),
        "livenessProbe": ("/livez", "files", "HTTP"),
        "readinessProbe": ("/readyz", "operators", "HTTPS"),
    }


def test_files_and_the_page_are_served_also_by_pods_that_are_not_ready() -> None:
    """As while the broker is away."""
    services = {one["spec"]["ports"][0]["targetPort"]: one["spec"] for one in of_kind("Service")}
    assert services.keys() == {"files", "operators"}
    assert all(one["publishNotReadyAddresses"] for one in services.values())


def test_operators_are_answered_to_named_pods_alone() -> None:
    [policy] = of_kind("NetworkPolicy")
    by_port = {one["ports"][0]["port"]: one.get("from", []) for one in policy["spec"]["ingress"]}
    assert by_port.keys() == {"files", "operators"}
    assert by_port["files"] == []  # everybody
    [pod] = of_kind("Pod")
    assert {"podSelector": {"matchLabels": pod["metadata"]["labels"]}} in by_port["operators"]


def test_prometheus_finds_each_pod_and_knows_its_certificate() -> None:
    monitor = yaml.safe_load((FOLDER.parent / "prometheus" / "podmonitor.yaml").read_text())
    [deployment] = of_kind("Deployment")
    assert monitor["spec"]["selector"] == deployment["spec"]["selector"]
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["scheme"]) == ("operators", "https")
    authority = endpoint["tlsConfig"]["ca"]["configMap"]
    page = (FOLDER.parents[1] / "docs" / "deploying.md").read_text()
    assert f"create configmap {authority['name']} --from-file={authority['key']}=" in page
    names = [one["metadata"]["name"] for one in of_kind("Service")]
    assert endpoint["tlsConfig"]["serverName"] in names


def test_settings_are_the_controller_s_and_name_only_secrets_that_the_page_puts_there() -> None:
    [found] = of_kind("ConfigMap")
    text = found["data"]["controller.toml"]
    assert settings().devices.proof == "require"
    for line in text.splitlines():
        if "/secret/" in line:
            assert line.rstrip('"').rsplit("/", 1)[1] in IN_SECRET
    page = (FOLDER.parents[1] / "docs" / "deploying.md").read_text()
    for name in IN_SECRET:
        assert f"--from-file={name}=" in page
