"""`modelwave device enrol`, `revoke` and `approve`: which devices belong to the fleet."""

import time
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.api import enrolment as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.options import (
    JsonOption,
    PassphraseFileOption,
    actor,
    asker,
    home_of,
    path,
)
from modelwave_controller.cli.progress import progress
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.enrolment import authority, lists
from modelwave_controller.enrolment.access import PASSWORD_FILE
from modelwave_controller.enrolment.lists import CONTROLLER, BadList, ToEnrol
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home, broker_urls
from modelwave_controller.models.targets import Targets
from modelwave_controller.operations import enrolling
from modelwave_controller.operations.enrolling import Wanted
from modelwave_controller.phrases import plural
from modelwave_controller.terminal import print_json, safe, say
from modelwave_controller.trust.field_types import require
from modelwave_shared import fields

NamesArgument = Annotated[
    list[str], typer.Argument(metavar="DEVICES", show_default=False, help="Their ids.")
]


def enrol(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DEVICES]", show_default=False, help="Their ids: a-z 0-9 _ -"),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="For the devices' files.", parser=path, show_default=False
        ),
    ] = ...,  # type: ignore[assignment]
    target: Annotated[str, typer.Option(help="As in `modelwave target list`.")] = "",
    model: Annotated[
        list[str] | None, typer.Option(help="That the devices may run. Several times too.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Several times too.")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="CSV with the columns device,target,models,tags, in place of the above.",
            parser=path,
        ),
    ] = None,
    certificates: Annotated[
        bool, typer.Option("--certificates", help="In place of passwords; of `modelwave ca init`.")
    ] = False,
    board: Annotated[
        bool, typer.Option("--board", help="Write a file for a MicroPython board.")
    ] = False,
    behind_gateway: Annotated[
        bool,
        typer.Option(
            "--behind-gateway",
            help="With --board: what the broker asks for is not in the board's file, but in "
            "another one, for its gateway.",
        ),
    ] = False,
    gateway: Annotated[
        bool,
        typer.Option("--gateway", help="They are gateways, and may tell their presence alone."),
    ] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make new secrets for devices that have some.")
    ] = False,
    broker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="The broker's, if not the settings'. Several of a cluster too."
        ),
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol devices: make their secrets, settings and the broker's list of users.

    FOLDER gets a folder for each host, with which `modelwave-agent run --config` works as it is,
    and for each gateway, or a file for each board. Secrets are made once: copy the files to the
    devices and delete them. The folder broker/ in the home has what the broker needs.
    """
    home = home_of(ctx)
    _ = home.config
    if behind_gateway and (not board or gateway):
        raise OperatorError("--behind-gateway: only for boards, with --board and no --gateway")
    if gateway:
        if not names or target or model or from_file or board:
            raise OperatorError("--gateway: give DEVICES and --out; a gateway has none of the rest")
        chosen = lists.of_names(names, "", (), tag or [])
    else:
        chosen = _devices(home, names or [], target, model or [], tag or [], from_file)
    wanted = Wanted(
        devices=chosen,
        out=out,
        authority=_authority(home, passphrase_file) if certificates else None,
        board=board,
        behind=behind_gateway,
        renew=renew,
        brokers=_urls(broker or []),
    )
    with opened_store(ctx) as store, progress() as tell:
        done = enrolling.enrol(
            home, store, wanted, time.time(), lambda n, of: tell("devices", n, of), actor()
        )
    if as_json:
        found = {"enrolled": done.enrolled, "renewed": done.renewed, "unchanged": done.unchanged}
        print_json(found | {"out": str(out), "broker": str(done.broker_folder)})
        return
    say(enrolling.summary(done))
    if done.enrolled or done.renewed:
        what = "file" if board else "folder"
        say(f"{safe(out)} has a {what} for each, with its secrets: move them to the devices")
    _tell_broker(str(done.broker_folder), bool(home.config.broker.user))


def revoke(ctx: typer.Context, devices: NamesArgument, as_json: JsonOption = False) -> None:
    """Revoke devices: nothing from them counts any more, and the broker's list has them no longer.

    They are forgotten. `modelwave device enrol --renew` enrols them again.
    """
    with door(ctx) as there:
        done = ask(there, calls.REVOKE, devices=_checked(devices))
    if as_json:
        print_json({"revoked": done.revoked, "broker": done.broker})
        return
    say(f"revoked {plural(len(done.revoked), 'device')}")
    _tell_broker(done.broker, done.has_user)


def approve(ctx: typer.Context, devices: NamesArgument, as_json: JsonOption = False) -> None:
    """Let devices count that nobody enrolled, from their next report on.

    Only where controller.toml has unknown = "approve" do they wait for it.
    """
    with door(ctx) as there:
        done = ask(there, calls.APPROVE, devices=_checked(devices))
    if as_json:
        print_json({"approved": done.approved})
        return
    approved = f"approved {plural(len(done.approved), 'device')}"
    if done.proof == "require":
        say(
            f'{approved}, but nothing counts without a report key (proof = "require"): '
            f"`modelwave device enrol {' '.join(done.approved)}` makes it"
        )
        return
    say(f"{approved}; each counts with its next report")


def _checked(devices: list[str]) -> list[str]:
    for device in devices:
        require(fields.name, device, "DEVICES")
    return devices


def _devices(
    home: Home, names: list[str], target: str, models: list[str], tags: list[str], file: Path | None
) -> list[ToEnrol]:
    if file is None:
        if not names or not target or not models:
            raise OperatorError("give DEVICES with --target and --model, or --from FILE")
        Targets(home.targets).get(target)
        return lists.of_names(names, target, models, tags)
    if names or target or models or tags:
        raise OperatorError("--from: FILE has all of it; leave out DEVICES, target, model and tag")
    try:
        return lists.read_list(file, Targets(home.targets).all())
    except BadList as error:
        for line in error.told:
            say(safe(line), stderr=True)
        raise


def _authority(home: Home, passphrase_file: Path | None) -> authority.Authority:
    return authority.load(home, asker(passphrase_file, "the authority's key"))


def _urls(texts: list[str]) -> tuple[str, ...]:
    try:
        return broker_urls([text for text in texts if text])
    except ValueError as error:
        raise OperatorError(f"--broker: {error}") from error


def _tell_broker(folder: str, has_user: bool) -> None:
    say(f"{safe(folder)} has the broker's users and rules: let it read them (docs/operations.md)")
    if not has_user:
        say(
            f"the controller's own user is {CONTROLLER}: in controller.toml, under \\[broker], set "
            f'user = "{CONTROLLER}" and password_file = "{PASSWORD_FILE}"'
        )
