"""`modelwave release create-agent`: makes, shows and signs a release of the agent itself."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli.key_options import ReleaseKeyOption
from modelwave_controller.cli.options import JsonOption, PassphraseFileOption, home_of, path
from modelwave_controller.cli.release_view import json_entry
from modelwave_controller.cli.signed_release import ToSign, deltas_of, place, require_answer
from modelwave_controller.errors import OperatorError
from modelwave_controller.models.targets import Targets
from modelwave_controller.releases import agent_releases, wheelhouses
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.terminal import print_json, safe, say
from modelwave_shared.agent_releases import AGENT


def create_agent(
    ctx: typer.Context,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            show_default=False,
            help="That of the agent in the wheels, such as 0.2.0, or 0.2.0-2 for another build.",
        ),
    ],
    target: Annotated[str, typer.Option(show_default=False, help="See `modelwave target list`.")],
    wheels: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="Wheels of the agent and of all that it needs.",
            parser=path,
        ),
    ],
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="PLATFORM",
            help="What the wheels are for, as devices report it, such as "
            "cp311-aarch64-glibc>=2.31; else this host's.",
        ),
    ] = None,
    release: Annotated[
        int | None, typer.Option(help="Its number; else that of the same version, or the next.")
    ] = None,
    key: ReleaseKeyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Make a bundle in this new folder; else add it to this home.", parser=path
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pack the wheels of a new agent for hosts, install them here if this host is of their
    platform, show the manifest to be signed, and sign it.

    It is a release of the model `agent`: roll it out like any other. Devices whose agent runs
    under `modelwave-agent supervise` install it beside their own, and go back by themselves if it
    does not start, does not connect or hangs.
    """
    home = home_of(ctx)
    releases = Releases(home)
    hardware = Targets(home.targets).get(target)
    if hardware.kind != "host":
        raise OperatorError(f"--target: {target} is no host: wheels are for hosts")
    number = release
    if number is None:
        number = releases.number_for(AGENT, version, target, leaving=out is not None)
    require_answer(yes)
    house = wheelhouses.read(wheels, platform)
    agent_releases.require_version(version, house.version)
    with place(home, out) as folder:
        fleet = home.root.fleet
        manifest = agent_releases.draft(fleet, number, version, hardware, house, folder)
        proof = agent_releases.prove(manifest, house, folder)
        to_sign = ToSign.of(home, manifest, key, passphrase_file)
        to_sign.show(proof, stderr=as_json)
        added = to_sign.sign(folder, releases, yes, leaves=out is not None)
        for line in deltas_of(releases, added) if added else ():
            say(safe(line), stderr=as_json)
    if as_json:
        print_json({**json_entry(manifest, to_sign.digest), "bundle": out and str(out)})
    else:
        to_sign.tell(home, out)
