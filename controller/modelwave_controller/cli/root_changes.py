"""`modelwave key rotate`, `revoke`, `epoch`, `minimum`, `hosts`, `expiry`: drafts of the next root.

None of them changes the home: a draft is a file, which becomes the root when enough root keys have
signed it and `modelwave root publish` was run.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from modelwave_controller.cli import draft_view, key_options
from modelwave_controller.cli.draft_view import RootOption, Shown
from modelwave_controller.cli.options import (
    JsonOption,
    PassphraseFileOption,
    duration,
    home_of,
    path,
)
from modelwave_controller.cli.signing_keys import KeysOption, YesOption
from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import drafts

DraftOption = Annotated[
    Path | None,
    typer.Option("--draft", metavar="FILE", help="Draft to go on from.", parser=path),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Draft to write; else root-N.draft.json here.", parser=path
    ),
]
Role = Literal["root", "release", "order"]
_Change = Callable[[dict[str, Any]], dict[str, Any]]


class Options:
    """What all these commands take."""

    def __init__(
        self,
        ctx: typer.Context,
        draft: Path | None,
        out: Path | None,
        root: Path | None,
        key: list[str] | None,
        passphrase_file: Path | None,
        yes: bool,
        as_json: bool,
    ) -> None:
        self.draft, self.out = draft, out
        self.key, self.passphrase_file = key, passphrase_file
        self.yes, self.as_json = yes, as_json
        self.root = draft_view.root_of(ctx, root)


def _drafted(options: Options, change: _Change, warnings: Sequence[str] = ()) -> None:
    """Makes the draft with one change more, signs it with the keys at hand, and shows it."""
    root, now = options.root, time.time()
    base = drafts.next_of(root, int(now))
    if options.draft is not None:
        going_on = draft_view.read(options.draft, "--draft")
        drafts.require_next(going_on, root, str(options.draft))
        extra = going_on.document.get("extra", {}) | {"issued": int(now)}
        base = going_on.document | {"extra": extra}
    draft = drafts.drafted(change(base))
    file = options.out or options.draft or Path(f"root-{draft.version}.draft.json")
    if file != options.draft:
        draft_view.require_free(file)
    shown = Shown(file, draft, root, now, warnings)
    draft_view.tell(shown, options.as_json)
    if options.draft is not None:
        draft_view.tell_all(shown, options.as_json)
    shown = draft_view.sign(shown, options.key, options.passphrase_file, options.yes)
    draft_view.write(shown, replace=file == options.draft)
    draft_view.report(shown, options.as_json)


def rotate(
    ctx: typer.Context,
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="root, release or order.")],
    remove: Annotated[
        list[str] | None, typer.Option(metavar="KEYID", help="Key to remove; repeatable.")
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Key to add: a file with the public key (PEM), or as --key; repeatable.",
            parser=key_options.key,
        ),
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many of its keys must sign.")
    ] = None,
    key: KeysOption = None,
    draft: DraftOption = None,
    out: OutOption = None,
    root: RootOption = None,
    passphrase_file: PassphraseFileOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a root with other keys in a role, and sign it with the root keys at hand."""
    options = Options(ctx, draft, out, root, key, passphrase_file, yes, as_json)
    added = [key_options.public_of(one, passphrase_file) for one in add or ()]
    _drafted(options, lambda base: drafts.rotated(base, role, remove or [], added, threshold))


def revoke(
    ctx: typer.Context,
    keyid: Annotated[
        str, typer.Argument(metavar="KEYID", help="8 hex digits.", show_default=False)
    ],
    key: KeysOption = None,
    draft: DraftOption = None,
    out: OutOption = None,
    root: RootOption = None,
    passphrase_file: PassphraseFileOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a root without a key, in any role. What it has signed counts for nothing then."""
    options = Options(ctx, draft, out, root, key, passphrase_file, yes, as_json)
    _drafted(options, lambda base: drafts.revoked(base, keyid))


def epoch(
    ctx: typer.Context,
    key: KeysOption = None,
    draft: DraftOption = None,
    out: OutOption = None,
    root: RootOption = None,
    passphrase_file: PassphraseFileOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a root with the next epoch: order numbers, signed times and bans begin anew on every
    device, and no order of before is taken. For a stolen order key, or a poisoned clock."""
    options = Options(ctx, draft, out, root, key, passphrase_file, yes, as_json)
    _drafted(options, lambda base: drafts.in_next_epoch(base, options.root))


def minimum(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False)],
    release: Annotated[
        int,
        typer.Argument(metavar="RELEASE", show_default=False, help="The least that may run."),
    ],
    key: KeysOption = None,
    draft: DraftOption = None,
    out: OutOption = None,
    root: RootOption = None,
    passphrase_file: PassphraseFileOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a root with a minimum release of a model: devices take no older one any more."""
    options = Options(ctx, draft, out, root, key, passphrase_file, yes, as_json)
    warnings = [] if root else _below(ctx, model, release)
    _drafted(options, lambda base: drafts.with_minimum(base, model, release), warnings)


def hosts(
    ctx: typer.Context,
    host: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HOST]…", show_default=False, help="HOST or HOST:PORT."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Name no host any more.")] = False,
    key: KeysOption = None,
    draft: DraftOption = None,
    out: OutOption = None,
    root: RootOption = None,
    passphrase_file: PassphraseFileOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a root with the hosts that devices may fetch files from; these replace those of
    before."""
    if bool(host) == none:
        raise OperatorError("HOST: give one or more, or --none")
    options = Options(ctx, draft, out, root, key, passphrase_file, yes, as_json)
    _drafted(options, lambda base: drafts.with_hosts(base, host or []))


def expiry(
    ctx: typer.Context,
    span: Annotated[
        int | None,
        typer.Argument(
            metavar="DURATION", parser=duration, show_default=False, help="From now on: 730d."
        ),
    ] = None,
    never: Annotated[bool, typer.Option("--never", help="It does not expire.")] = False,
    key: KeysOption = None,
    draft: DraftOption = None,
    out: OutOption = None,
    root: RootOption = None,
    passphrase_file: PassphraseFileOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a root that expires: devices take no order under it then, only the next root."""
    if (span is None) != never:
        raise OperatorError("DURATION: give one, such as 730d, or --never")
    options = Options(ctx, draft, out, root, key, passphrase_file, yes, as_json)
    at = None if span is None else int(time.time()) + span
    _drafted(options, lambda base: drafts.with_expiry(base, at))


def _below(ctx: typer.Context, model: str, least: int) -> list[str]:
    """Returns warnings about releases of the home's rollouts that are below the minimum."""
    from modelwave_controller.operations import trusted  # the database is slow to import

    return trusted.below(home_of(ctx), model, least)
