"""Reads agent.toml, the settings of an agent on a host. agent.toml.example explains them."""

from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any

from modelwave_agent.freshness import FROZEN_SECONDS
from modelwave_agent.host import setting_checks
from modelwave_agent.host.hooks import HOOK_SECONDS
from modelwave_agent.host.launch_limits import CONNECT_SECONDS, SILENT_SECONDS
from modelwave_agent.host.link import BrokerAddress
from modelwave_agent.host.proving import ENGINE_SECONDS, PROOF_SECONDS
from modelwave_agent.host.redirects import RedirectHost
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.host.settings_reader import SettingsReader, parsed
from modelwave_shared import fields, schema
from modelwave_shared.tensors import DELEGATES, PROVIDERS

FROZEN_HOURS = FROZEN_SECONDS // 3600


@dataclass(frozen=True)
class AgentConfig:
    device: str
    target: str
    models: tuple[str, ...]
    state: Path
    root: dict[str, Any]  # the checked root document
    broker: BrokerAddress
    flash_bytes: int  # the limit of one bank; 0: the free space
    ram_bytes: int  # the limit of a model; 0: the free memory
    kernels: tuple[str, ...]  # the operators of a board that this host simulates; (): all
    runtime: RuntimeSettings
    proof_seconds: float
    engine_seconds: float  # more, for the proof that builds an engine of TensorRT
    shadow: bool  # whether releases may run beside the live ones
    download_ca: str
    file_hosts: tuple[str, ...] | None  # None: those of the fleet's root
    private_networks: bool  # whether names of file hosts may lead into them
    redirect_hosts: tuple[RedirectHost, ...]
    swap: tuple[str, ...]
    health: tuple[str, ...]
    may_update: tuple[str, ...]
    hook_seconds: float
    metrics_seconds: float
    frozen_seconds: float  # without a heartbeat, until the view of the orders may be frozen
    zone: tzinfo | None  # the time zone; None: the system's
    # How long the launcher waits for a new agent's first report, and for a sign of life.
    connect_seconds: float
    silent_seconds: float
    # Proves what the device reports; b"": nothing does.
    report_key: bytes = field(default=b"", repr=False)


def read_config(path: Path) -> AgentConfig:
    """Reads and checks an agent.toml. Raises ConfigError."""
    reader = SettingsReader(path, parsed(path))
    found = AgentConfig(
        device=reader.take("device", setting_checks.checked(fields.name)),
        target=reader.take("target", setting_checks.checked(schema.target)),
        models=reader.take("models", setting_checks.models),
        state=reader.state(),
        root=reader.root(reader.take("root", setting_checks.folder_path)),
        broker=reader.broker(),
        flash_bytes=reader.take("limits.flash_bytes", setting_checks.byte_count, 0),
        ram_bytes=reader.take("limits.ram_bytes", setting_checks.byte_count, 0),
        kernels=reader.take("limits.kernels", setting_checks.kernels, ()),
        runtime=_runtime(reader),
        proof_seconds=reader.take("runtime.proof_seconds", setting_checks.seconds, PROOF_SECONDS),
        engine_seconds=reader.take(
            "runtime.engine_seconds", setting_checks.seconds, ENGINE_SECONDS
        ),
        shadow=reader.take("runtime.shadow", setting_checks.yes_or_no, True),
        download_ca=reader.authorities("download.ca"),
        file_hosts=reader.take("download.hosts", setting_checks.file_hosts, None),
        private_networks=reader.take("download.private_networks", setting_checks.yes_or_no, False),
        redirect_hosts=reader.take("download.redirect_hosts", setting_checks.redirect_hosts, ()),
        swap=reader.take("hooks.swap", setting_checks.command, ()),
        health=reader.take("hooks.health", setting_checks.command, ()),
        may_update=reader.take("hooks.may_update", setting_checks.command, ()),
        hook_seconds=reader.take("hooks.seconds", setting_checks.seconds, HOOK_SECONDS),
        metrics_seconds=reader.take("metrics_seconds", setting_checks.seconds, 900.0),
        frozen_seconds=3600 * reader.take("frozen_hours", setting_checks.hours, FROZEN_HOURS),
        zone=reader.take("timezone", setting_checks.zone, None),
        connect_seconds=reader.take(
            "self_update.connect_seconds", setting_checks.seconds, CONNECT_SECONDS
        ),
        silent_seconds=reader.take(
            "self_update.silent_seconds", setting_checks.seconds, SILENT_SECONDS
        ),
        report_key=reader.report_key("report_key_file"),
    )
    reader.refuse_the_rest()
    return found


def _runtime(reader: SettingsReader) -> RuntimeSettings:
    return RuntimeSettings(
        accelerator=reader.take("runtime.accelerator", setting_checks.accelerator, ""),
        threads=reader.take("runtime.threads", setting_checks.threads, 0),
        delegates=reader.take("runtime.delegates", setting_checks.some_of(DELEGATES), DELEGATES),
        providers=reader.take("runtime.providers", setting_checks.some_of(PROVIDERS), PROVIDERS),
    )
