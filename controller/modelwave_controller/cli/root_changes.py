"""`modelwave key rotate`, `revoke`, `epoch`, `minimum`, `hosts`, `expiry`: drafts of the next root.

None of them changes the home: a draft is a file, which becomes the root when enough root keys have
signed it and `modelwave root publish` was run.
"""

import inspect
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from modelwave_controller.cli import draft_view, key_options
from modelwave_controller.cli.draft_view import RootOption, Shown
from modelwave_controller.cli.options import (
    JsonOption,
    PassphraseFileOption,
    YesOption,
    duration,
    home_of,
    path,
)
from modelwave_controller.cli.signing_keys import KeysOption
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
        key: KeysOption = None,
        draft: DraftOption = None,
        out: OutOption = None,
        root: RootOption = None,
        passphrase_file: PassphraseFileOption = None,
        yes: YesOption = False,
        as_json: JsonOption = False,
    ) -> None:
        self.ctx = ctx
        self.draft, self.out = draft, out
        self.key, self.passphrase_file = key, passphrase_file
        self.yes, self.as_json = yes, as_json
        self.root_file = root

    @cached_property
    def root(self) -> dict[str, Any]:
        """The root that the draft follows: of --root, or the home's newest."""
        return draft_view.root_of(self.ctx, self.root_file)


def _draft_command(command: Callable[..., None]) -> Callable[..., None]:
    """Makes a command of a function: what it takes itself, and then what Options takes."""
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = list(inspect.signature(Options).parameters.values())

    def run(**given: Any) -> None:
        options = Options(**{one.name: given.pop(one.name) for one in shared})
        command(options, **given)

    every = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared)]
    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]  # Typer reads it
    run.__annotations__ = {one.name: one.annotation for one in every}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


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


@_draft_command
def rotate(
    options: Options,
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
) -> None:
    """Draft a root with other keys in a role, and sign it with the root keys at hand."""
    added = [key_options.public_of(one, options.passphrase_file) for one in add or ()]
    _drafted(options, lambda base: drafts.rotated(base, role, remove or [], added, threshold))


@_draft_command
def revoke(
    options: Options,
    keyid: Annotated[
        str, typer.Argument(metavar="KEYID", help="8 hex digits.", show_default=False)
    ],
) -> None:
    """Draft a root without a key, in any role. What it has signed counts for nothing then."""
    _drafted(options, lambda base: drafts.revoked(base, keyid))


@_draft_command
def epoch(options: Options) -> None:
    """Draft a root with the next epoch: order numbers, signed times and bans begin anew on every
    device, and no order of before is taken. For a stolen order key, or a poisoned clock."""
    _drafted(options, lambda base: drafts.in_next_epoch(base, options.root))


@_draft_command
def minimum(
    options: Options,
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False)],
    release: Annotated[
        int,
        typer.Argument(metavar="RELEASE", show_default=False, help="The least that may run."),
    ],
) -> None:
    """Draft a root with a minimum release of a model: devices take no older one any more."""
    warnings = [] if options.root_file else _below(options.ctx, model, release)
    _drafted(options, lambda base: drafts.with_minimum(base, model, release), warnings)


@_draft_command
def hosts(
    options: Options,
    host: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HOST]…", show_default=False, help="HOST or HOST:PORT."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Name no host any more.")] = False,
) -> None:
    """Draft a root with the hosts that devices may fetch files from; these replace those of
    before."""
    if bool(host) == none:
        raise OperatorError("HOST: give one or more, or --none")
    _drafted(options, lambda base: drafts.with_hosts(base, host or []))


@_draft_command
def expiry(
    options: Options,
    span: Annotated[
        int | None,
        typer.Argument(
            metavar="DURATION", parser=duration, show_default=False, help="From now on: 730d."
        ),
    ] = None,
    never: Annotated[bool, typer.Option("--never", help="It does not expire.")] = False,
) -> None:
    """Draft a root that expires: devices take no order under it then, only the next root."""
    if (span is None) != never:
        raise OperatorError("DURATION: give one, such as 730d, or --never")
    at = None if span is None else int(time.time()) + span
    _drafted(options, lambda base: drafts.with_expiry(base, at))


def _below(ctx: typer.Context, model: str, least: int) -> list[str]:
    """Returns warnings about releases of the home's rollouts that are below the minimum."""
    from modelwave_controller.operations import trusted  # the database is slow to import

    return trusted.below(home_of(ctx), model, least)
