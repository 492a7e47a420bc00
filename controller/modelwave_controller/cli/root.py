"""`modelwave root`: shows, signs and publishes roots; `modelwave key` drafts them."""

import time
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.cli import draft_view, signing_keys
from modelwave_controller.cli.draft_view import RootOption, Shown
from modelwave_controller.cli.noting import note
from modelwave_controller.cli.options import (
    JsonOption,
    PassphraseFileOption,
    YesOption,
    home_of,
    path,
)
from modelwave_controller.cli.signing_keys import KeysOption
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.rollout.events import RootPublished
from modelwave_controller.terminal import facts, print_json, safe, say, show
from modelwave_controller.trust import chain, changes, drafts
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

app = typer.Typer(no_args_is_help=True)

FileArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", show_default=False, help="Draft, or root.", parser=path),
]


@app.command("show")
def show_root(
    ctx: typer.Context, file: FileArgument, root: RootOption = None, as_json: JsonOption = False
) -> None:
    """Show what a draft or a root says, what it changes, and who still has to sign it.

    It is compared with --root, or with the newest root of the home where there is one.
    """
    draft = draft_view.read(file, "FILE")
    old = draft_view.root_of(ctx, root) if root or _has_home(ctx) else None
    rows = changes.facts(draft.document)
    if old is None or drafts.version_of(old) + 1 != draft.version:
        _show_alone(file, draft, as_json)
        return
    drafts.require_next(draft, old, str(file))
    shown = Shown(file, draft, old, time.time())
    if as_json:
        print_json(shown.json() | {"says": dict(rows)})
        return
    show(facts(rows))
    say("")
    draft_view.tell(shown, False)
    draft_view.tell_signatures(shown)


def _show_alone(file: Path, draft: drafts.Draft, as_json: bool) -> None:
    """Shows a root without the one before it."""
    half = drafts.halves(draft, draft.document)[1]
    rows = [*changes.facts(draft.document), ("signed by", ", ".join(half.signed) or "nobody")]
    if as_json:
        says = dict(rows)
        print_json(
            {"file": str(file), "version": draft.version, "says": says, "signed": half.signed}
        )
        return
    show(facts(rows))
    say("Give the root before it with --root, to see what it changes and who still has to sign.")


@app.command()
def sign(
    ctx: typer.Context,
    file: FileArgument,
    key: KeysOption = None,
    add: Annotated[
        bool,
        typer.Option("--add/--anew", help="Add to the signatures that are there, or drop them."),
    ] = True,
    root: RootOption = None,
    passphrase_file: PassphraseFileOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a draft changes, and sign it. No home is needed: give --root."""
    if not key:
        raise OperatorError("--key: give a root key to sign with")
    draft, old = draft_view.read(file, "FILE"), draft_view.root_of(ctx, root)
    drafts.require_next(draft, old, str(file))
    shown = Shown(file, draft if add else draft._replace(signatures=()), old, time.time())
    draft_view.tell(shown, as_json)
    draft_view.tell_all(shown, as_json)
    if root:
        say(
            f"The changes are by comparison with {safe(root)}: give the root.json that you have "
            "kept yourself, not one that came with the draft.",
            as_json,
        )
    shown = draft_view.sign(shown, key, passphrase_file, yes)
    draft_view.write(shown, replace=True)
    draft_view.report(shown, as_json)


@app.command()
def publish(
    ctx: typer.Context, file: FileArgument, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Verify a signed draft, and make it the home's root. A service that runs publishes it at
    once, and signs its orders anew where that is needed."""
    home = home_of(ctx)
    held = home.chain
    data = disk.read_input(file, "FILE", MAX_ENVELOPE_BYTES + 1).removesuffix(b"\n")
    draft = drafts.read(data, str(file))
    if data == held.envelopes.get(draft.version):
        chain.write(home.path, held)
        _print_published(as_json, draft.version, [], new=False)
        return
    drafts.require_next(draft, held.newest, str(file))
    shown = Shown(file, draft, held.newest, time.time())
    if shown.lacking:
        raise TrustError(f"{file}: not signed by enough root keys: {'; '.join(shown.lacking)}")
    following = held.followed_by(data, str(file))
    draft_view.tell(shown, as_json)
    signing_keys.confirm("Make this the root of the fleet?", yes)
    chain.write(home.path, following)
    chain.found_path(home.path, draft.version).unlink(missing_ok=True)
    note(home, RootPublished(version=draft.version))
    _print_published(as_json, draft.version, _left_to_do(ctx), new=True)


def _print_published(as_json: bool, version: int, left: list[str], new: bool) -> None:
    if as_json:
        print_json({"version": version, "new": new, "left_to_do": left})
        return
    if not new:
        say(f"root {version} was published already; nothing was changed")
        return
    say(f"Root {version} is the root of this home; the service publishes it to the devices.")
    for line in left:
        say(f"  [yellow]now:[/] {safe(line)}")


def _left_to_do(ctx: typer.Context) -> list[str]:
    """Returns what the operator has to do under the root that was published."""
    from modelwave_controller.home import Home
    from modelwave_controller.operations import trusted

    return trusted.left_to_do(Home(home_of(ctx).path))


def _has_home(ctx: typer.Context) -> bool:
    return (home_of(ctx).path / chain.NEWEST).exists()
