"""`modelwave key`: makes and shows key files, and shows who signed a document."""

from pathlib import Path
from typing import Annotated, Any

import typer

from modelwave_controller import disk
from modelwave_controller.cli.key_options import KeyArgument, public_of, warn_if_exposed
from modelwave_controller.cli.key_options import key as key_text
from modelwave_controller.cli.options import (
    JsonOption,
    PassphraseFileOption,
    asker,
    duration,
    home_of,
    path,
)
from modelwave_controller.cli.root_changes import (
    epoch,
    expiry,
    hosts,
    minimum,
    revoke,
    rotate,
)
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.terminal import facts, print_json, safe, say, show, table
from modelwave_controller.trust import changes, keys, roots, signers, ssh_agent
from modelwave_controller.trust.field_types import require
from modelwave_shared import documents, dsse, ed25519, fields, roles, words
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

app = typer.Typer(no_args_is_help=True)

for _draft in (rotate, revoke, epoch, minimum, hosts, expiry):
    app.command()(_draft)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, such as release-2027.")],
    out: Annotated[
        Path | None, typer.Option(help="File to make; else NAME.key here.", parser=path)
    ] = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="For an order key: the service cannot ask.")
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a passphrase-protected key in a new file; openssl can read it too."""
    require(fields.name, name, "NAME")
    path = out or Path(f"{name}.key")
    if path.exists():
        raise OperatorError(f"--out: {path} exists and is never overwritten; name another")
    if no_passphrase and passphrase_file:
        raise OperatorError("--no-passphrase: give it or --passphrase-file, not both")
    passphrase = None if no_passphrase else asker(passphrase_file, f"key {name}", twice=True)()
    key = keys.create_key(path, passphrase)
    _print_key(path, key.public, as_json)


@app.command("show")
def show_key(
    ctx: typer.Context,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="[KEY]",
            help="Key file, ssh-agent:KEYID, or pkcs11:URI; else the root.",
            show_default=False,
            parser=key_text,
        ),
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the id and the public key of a key: of a file, an ssh-agent or a token.

    The file may be one with a public key. `ssh-agent:` alone names the keys that the agent holds.
    Without KEY: show the root's keys, and all else that the root says.
    """
    if key is not None:
        _print_key(key, public_of(key, passphrase_file), as_json)
        return
    found = home_of(ctx).chain
    if as_json:
        print_json({**found.newest, "version": found.version, "trouble": found.trouble})
        return
    troubles = [("but", found.trouble)] if found.trouble else []
    show(facts([*changes.facts(found.newest), *troubles]))


def _print_key(place: object, public: bytes, as_json: bool) -> None:
    keyid = dsse.keyid(public)
    if as_json:
        print_json({"file": str(place), "keyid": keyid, "public": public.hex()})
    else:
        show(facts([("file", place), ("keyid", keyid), ("public", public.hex())]))


@app.command()
def export(
    key: KeyArgument,
    pem: Annotated[bool, typer.Option("--pem/--hex", help="PEM, or 64 hex digits.")] = True,
    passphrase_file: PassphraseFileOption = None,
) -> None:
    """Print the public key: as PEM for openssl, or as hex digits for a root document."""
    public = public_of(key, passphrase_file)
    print(keys.public_pem(public).decode() if pem else public.hex(), end="" if pem else "\n")


@app.command("to-agent")
def to_agent(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Key file.", show_default=False, parser=path)
    ],
    lifetime: Annotated[
        int | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            parser=duration,
            help="Such as 8h; else until the agent ends.",
        ),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="The agent asks before each signature.")
    ] = False,
    socket: Annotated[
        Path | None,
        typer.Option(help="Socket of the agent; else that of $SSH_AUTH_SOCK.", parser=path),
    ] = None,
    passphrase_file: PassphraseFileOption = None,
) -> None:
    """Give the key of a file to ssh-agent, which signs with it from then on.

    Its passphrase is asked for once; then --key ssh-agent:KEYID signs. OpenSSH's ssh-add reads no
    key files of this kind before version 9.6.
    """
    warn_if_exposed(str(file))
    key = keys.load_key(file, asker(passphrase_file, str(file)))
    text = f"{ssh_agent.PREFIX}{key.keyid}" + (f"@{socket}" if socket else "")
    agent, _ = ssh_agent.named(text, Path(), signers.WAIT_SECONDS)
    seed = key.private.private_bytes_raw()
    agent.add(seed, key.public, f"modelwave {file.name}", lifetime or 0, confirm)
    say(f"[green]the agent has it[/]: --key {safe(text)}")


@app.command()
def verify(
    ctx: typer.Context,
    envelope: Annotated[
        Path,
        typer.Argument(
            metavar="ENVELOPE", help="Signed document.", show_default=False, parser=path
        ),
    ],
    root: Annotated[
        Path | None, typer.Option(help="Root document; else the home's.", parser=path)
    ] = None,
    dump: Annotated[
        Path | None,
        typer.Option(
            help="New folder for the signed bytes, signatures and keys, for openssl.", parser=path
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show who signed a document, and whether the signatures suffice.

    With --dump DIR anybody can check the signatures without modelwave:

    openssl pkeyutl -verify -pubin -inkey DIR/KEYID.pem -rawin -in DIR/signed -sigfile DIR/KEYID.sig
    """
    data = disk.read_input(envelope, "ENVELOPE", MAX_ENVELOPE_BYTES + 1).removesuffix(b"\n")
    trusted = (
        roots.open_root(disk.read_input(root, "--root", MAX_ENVELOPE_BYTES), str(root))
        if root
        else home_of(ctx).root_document
    )
    try:
        read = dsse.read(data)
    except ValueError as error:
        raise TrustError(f"{envelope}: {error}") from error
    signers = [_signer(trusted, read, keyid, sig) for keyid, sig in read.signatures]
    if dump:
        _dump(dump, trusted, read)
    problem = _problem(trusted, data, read.kind)
    kind = documents.shown_kind(read.kind)
    if as_json:
        print_json(
            {"kind": kind, "sha256": read.digest(), "signatures": signers, "problem": problem}
        )
    else:
        show(facts([("document", kind), ("fleet", trusted["fleet"]), ("sha256", read.digest())]))
        columns = ("keyid", "roles", "signature")
        show(table(columns, [(s["keyid"], ", ".join(s["roles"]), s["found"]) for s in signers]))
    if problem:
        raise TrustError(f"{envelope}: {problem}")
    if not as_json:
        say(f"[green]verified[/]: {safe(kind)} of fleet {safe(trusted['fleet'])}")


def _signer(root: dict[str, Any], read: dsse.Envelope, keyid: str, sig: bytes) -> dict[str, Any]:
    held = [name for name, role in root["roles"].items() if keyid in role["keyids"]]
    if keyid not in root["keys"]:
        return {"keyid": keyid, "roles": [], "found": "unknown key"}
    message = dsse.signed_bytes(read.kind, read.payload)
    good = ed25519.verify(roles.public_key(root, keyid), message, sig)
    return {"keyid": keyid, "roles": held, "found": "good" if good else "bad"}


def _problem(root: dict[str, Any], data: bytes, kind: str) -> str:
    """Returns what is wrong with the document's signatures, or ""."""
    if kind not in words.SIGNER:
        return f"payloadType: {documents.shown_kind(kind)} is not a kind of signed document"
    try:
        roots.open_signed(kind, data, root, "")
    except TrustError as error:
        return str(error).removeprefix(": ")
    return ""


def _dump(folder: Path, root: dict[str, Any], read: dsse.Envelope) -> None:
    if folder.exists():
        raise OperatorError(f"--dump: {folder} exists already; name a new folder")
    folder.mkdir(parents=True)
    disk.create_file(folder / "signed", dsse.signed_bytes(read.kind, read.payload))
    for keyid, signature in dict(read.signatures).items():
        disk.create_file(folder / f"{keyid}.sig", signature)
        if keyid in root["keys"]:
            disk.create_file(
                folder / f"{keyid}.pem", keys.public_pem(roles.public_key(root, keyid))
            )
