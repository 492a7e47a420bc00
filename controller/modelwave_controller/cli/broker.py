"""`modelwave broker`: the embedded broker, and the check of any broker."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import descriptors
from modelwave_controller.broker import (
    BrokerError,
    EmbeddedBrokerSettings,
    FleetAcl,
    run_broker,
)
from modelwave_controller.broker.credentials import Credentials
from modelwave_controller.broker.limits import MAX_CONNECTIONS
from modelwave_controller.broker.users_file import UsersFile
from modelwave_controller.cli.keeps_running import ReadyFileOption, until_signal, write_ready
from modelwave_controller.cli.logs import log_to_stderr
from modelwave_controller.cli.options import JsonOption, home_of, path
from modelwave_controller.errors import OperatorError
from modelwave_controller.terminal import safe, say

MOST_DEVICES = 1_000_000
logger = logging.getLogger(__name__)

app = typer.Typer()


@app.callback(invoke_without_command=True)
def broker(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 1883,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    users: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The users, such as broker/credentials in the home; needed beyond loopback.",
            parser=path,
        ),
    ] = None,
    ready_file: ReadyFileOption = None,
) -> None:
    """Run the embedded MQTT broker, for first steps and up to 2,000 devices.

    A user's name is the device's id, or `controller`. The file is read again when it changes.
    Retained messages are kept in memory only; the controller publishes them again when it connects.
    """
    if ctx.invoked_subcommand is not None:
        return
    log_to_stderr()

    def ready(bound: int) -> None:
        say(f"the broker listens on {safe(host)}:{bound}")
        write_ready(ready_file, {"host": host, "port": bound})

    connections = descriptors.allow(MAX_CONNECTIONS)
    if connections < MAX_CONNECTIONS:
        logger.warning("the system allows this process %d connections (ulimit -n)", connections)

    def settings_of(known: Credentials) -> EmbeddedBrokerSettings:
        acl = FleetAcl(home_of(ctx).config.fleet, targets=known.targets)
        return EmbeddedBrokerSettings(host, port, known.hashes, acl, connections)

    try:
        file = UsersFile(users, settings_of) if users is not None else None
        if file is not None:
            settings = file.read()
        else:
            settings = EmbeddedBrokerSettings(host, port, max_connections=connections)
        asyncio.run(until_signal(run_broker(settings, ready, file)))
    except BrokerError as error:
        raise OperatorError(str(error)) from error


@app.command()
def check(
    ctx: typer.Context,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_DEVICES,
            help="That it has to hold; else those that are known.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of an enrolled device that does not run: tries what devices may.",
            parser=path,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Try whether the broker of controller.toml does what modelwave needs.

    It connects as the controller, uses topics of its own and clears them. It says what is missing
    and which setting mends it, named as in mosquitto.conf. The exit code is 1 if something is
    missing.
    """
    # The broker itself needs neither a database nor a client.
    from modelwave_controller.cli.broker_check import check_broker

    if not check_broker(ctx, devices, device, as_json):
        raise typer.Exit(1)
