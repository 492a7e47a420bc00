"""`modelwave ca`: the fleet's certificate authority, for the broker, the controller and devices."""

import time
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.cli.noting import note
from modelwave_controller.cli.options import JsonOption, PassphraseFileOption, asker, home_of
from modelwave_controller.enrolment import authority
from modelwave_controller.enrolment.authority import Authority, Certificate
from modelwave_controller.enrolment.lists import CONTROLLER
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.interruption import held_back
from modelwave_controller.rollout.events import CertificateMade
from modelwave_controller.terminal import print_json, safe, say

app = typer.Typer(no_args_is_help=True)

HostsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="HOST…", show_default=False, help="Names and addresses that clients use for it."
    ),
]
RenewOption = Annotated[bool, typer.Option("--renew", help="Replace the one that is there.")]


@app.command()
def init(
    ctx: typer.Context, passphrase_file: PassphraseFileOption = None, as_json: JsonOption = False
) -> None:
    """Make the fleet's authority: ca/ca.pem, and its key, encrypted, in offline/."""
    home = home_of(ctx)
    _ = home.config
    ask = asker(passphrase_file, "the authority's key", twice=True)
    authority.create(home, ask(), time.time())
    note(home, CertificateMade(of="authority"))
    where = home.path / "ca"
    if as_json:
        print_json({"certificate": str(where / "ca.pem"), "key": str(home.offline / "ca.key")})
        return
    say(
        f"made {safe(where / 'ca.pem')} (and ca.der, for boards); its key is "
        f"{safe(home.offline / 'ca.key')}: move it away with the others"
    )


@app.command()
def server(
    ctx: typer.Context,
    hosts: HostsArgument,
    renew: RenewOption = False,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the broker's certificate: ca.pem, broker.pem and broker.key in the folder broker/."""
    authority.check_hosts(hosts)
    home, place, held = _begun(ctx, "broker/broker.pem", renew, passphrase_file)
    made = held.server(hosts, time.time())
    place.parent.mkdir(mode=0o700, exist_ok=True)
    with held_back():
        _write(made, place)
        disk.replace(place.parent / "ca.pem", held.pem)
    note(home, CertificateMade(of="broker", hosts=hosts))
    _tell(place, authority.SERVER_DAYS, as_json)


@app.command()
def controller(
    ctx: typer.Context,
    renew: RenewOption = False,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the controller's own client certificate: controller.pem and controller.key in ca/."""
    home, place, held = _begun(ctx, "ca/controller.pem", renew, passphrase_file)
    with held_back():
        _write(held.client(CONTROLLER, time.time()), place)
        note(home, CertificateMade(of="controller"))
    _tell(place, authority.CLIENT_DAYS, as_json)


@app.command()
def api(
    ctx: typer.Context,
    hosts: HostsArgument,
    renew: RenewOption = False,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the certificate with which the service answers operators: api.pem and api.key in ca/."""
    authority.check_hosts(hosts)
    home, place, held = _begun(ctx, "ca/api.pem", renew, passphrase_file)
    with held_back():
        _write(held.server(hosts, time.time()), place)
        note(home, CertificateMade(of="api", hosts=hosts))
    _tell(place, authority.SERVER_DAYS, as_json)
    if not as_json:
        say(
            safe(
                'set in controller.toml under [api]: certificate = "ca/api.pem", key = "ca/api.key"'
            )
        )


def _begun(
    ctx: typer.Context, place: str, renew: bool, passphrase_file: Path | None
) -> tuple[Home, Path, Authority]:
    """Returns the home, where in it the certificate is to be, and the authority that makes it."""
    home = home_of(ctx)
    _ = home.config
    path = home.path / place
    if path.exists() and not renew:
        raise OperatorError(f"{path} exists: replace it with --renew")
    return home, path, authority.load(home, asker(passphrase_file, "the authority's key"))


def _write(made: Certificate, place: Path) -> None:
    """Writes the certificate, and its key beside it."""
    disk.replace(place.with_suffix(".key"), made.key, 0o600)
    disk.replace(place, made.certificate)


def _tell(path: Path, days: int, as_json: bool) -> None:
    if as_json:
        print_json({"certificate": str(path), "days": days})
        return
    say(f"made {safe(path)}, valid for {days} days, and its key beside it")
