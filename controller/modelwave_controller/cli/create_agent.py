"""`modelwave release create-agent`: makes, shows and signs a release of the agent itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwave_controller.cli.key_options import ReleaseKeyOption
from modelwave_controller.cli.options import JsonOption, PassphraseFileOption, home_of, path
from modelwave_controller.cli.release_view import json_entry
from modelwave_controller.cli.signed_release import ToSign, deltas_of, place, require_answer
from modelwave_controller.errors import OperatorError
from modelwave_controller.models.targets import Target, Targets
from modelwave_controller.releases import agent_releases, board_agents, wheelhouses
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.releases.golden_sets import Proof
from modelwave_controller.terminal import print_json, safe, say
from modelwave_shared.agent_releases import AGENT

Made = tuple[dict[str, Any], Proof]  # the manifest, and what its proof has shown
Maker = Callable[[str, int, Path], Made]  # of fleet, number and folder


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
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For hosts: wheels of the agent and of all that it needs.",
            parser=path,
        ),
    ] = None,
    package: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="For boards: what `modelwave board build` has made.", parser=path
        ),
    ] = None,
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
    """Make a release of the agent itself, of wheels for hosts or of a package for boards: pack it,
    show the manifest to be signed, and sign it. Wheels are installed here first, if this host is of
    their platform.

    It is a release of the model `agent`: roll it out like any other. Hosts whose agent runs under
    `modelwave-agent supervise`, and boards that start theirs by `modelwave_boot`, keep the old one
    beside it, and go back by themselves if the new one does not start, does not connect or hangs.
    """
    home = home_of(ctx)
    releases = Releases(home)
    hardware = Targets(home.targets).get(target)
    require_answer(yes)
    make = _maker(hardware, version, wheels, platform, package)
    number = release
    if number is None:
        number = releases.number_for(AGENT, version, target, leaving=out is not None)
    with place(home, out) as folder:
        manifest, proof = make(home.root.fleet, number, folder)
        to_sign = ToSign.of(home, manifest, key, passphrase_file)
        to_sign.show(proof, stderr=as_json)
        added = to_sign.sign(folder, releases, yes, leaves=out is not None)
        for line in deltas_of(releases, added) if added else ():
            say(safe(line), stderr=as_json)
    if as_json:
        print_json({**json_entry(manifest, to_sign.digest), "bundle": out and str(out)})
    else:
        to_sign.tell(home, out)


def _maker(
    target: Target, version: str, wheels: Path | None, platform: str | None, package: Path | None
) -> Maker:
    """Returns what makes the release and proves it. Raises OperatorError for options that are not
    for this kind of target."""
    if target.kind == "host":
        if package or not wheels:
            raise OperatorError(f"--wheels: {target.name} is a host: it takes wheels")
        house = wheelhouses.read(wheels, platform)
        agent_releases.require_version(version, house.version)

        def of_wheels(fleet: str, number: int, folder: Path) -> Made:
            manifest = agent_releases.draft(fleet, number, version, target, house, folder)
            return manifest, agent_releases.prove(manifest, house, folder)

        return of_wheels
    if wheels or platform or not package:
        raise OperatorError(
            f"--package: {target.name} is no host: it takes what `modelwave board build` makes"
        )
    agent = board_agents.read(package)
    agent_releases.require_version(version, agent.version)

    def of_package(fleet: str, number: int, folder: Path) -> Made:
        manifest = board_agents.draft(fleet, number, version, target, agent, folder)
        return manifest, board_agents.PROOF

    return of_package
