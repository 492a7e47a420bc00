"""Reads and writes the files of root drafts, and shows them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from modelwave_controller import disk
from modelwave_controller.cli import signing_keys
from modelwave_controller.cli.options import home_of, path
from modelwave_controller.errors import OperatorError
from modelwave_controller.phrases import plural
from modelwave_controller.terminal import print_json, safe, say
from modelwave_controller.trust import changes, drafts, roots
from modelwave_controller.trust.drafts import Draft, Half
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root", metavar="FILE", help="Newest root in use; else the home's.", parser=path
    ),
]


class Shown(NamedTuple):
    """A draft, the root that it follows, and what is told of it."""

    file: Path
    draft: Draft
    root: dict[str, Any]
    now: float
    more_warnings: Sequence[str] = ()

    @property
    def changes(self) -> list[str]:
        return changes.changes(self.root, self.draft.document)

    @property
    def warnings(self) -> list[str]:
        return [*changes.warnings(self.root, self.draft.document, self.now), *self.more_warnings]

    @property
    def halves(self) -> tuple[Half, Half]:
        return drafts.halves(self.draft, self.root)

    @property
    def lacking(self) -> list[str]:
        return changes.lacking(self.halves)

    def json(self) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "version": self.draft.version,
            "changes": self.changes,
            "warnings": self.warnings,
            "signed": sorted({k for half in self.halves for k in half.signed}),
            "lacking": self.lacking,
            "complete": not self.lacking,
        }


def root_of(ctx: typer.Context, file: Path | None) -> dict[str, Any]:
    """Returns the root in `file`, else the home's newest. Raises OperatorError, TrustError."""
    if file is None:
        return home_of(ctx).root_document
    data = disk.read_input(file, "--root", MAX_ENVELOPE_BYTES + 1).removesuffix(b"\n")
    return roots.open_root(data, str(file))


def read(file: Path, what: str) -> Draft:
    data = disk.read_input(file, what, MAX_ENVELOPE_BYTES + 1)
    return drafts.read(data, str(file))


def tell(shown: Shown, as_json: bool) -> None:
    """Prints what the draft changes, in words; on stderr if stdout is for JSON."""
    fleet, after = safe(shown.root["fleet"]), drafts.version_of(shown.root)
    say(f"Root {shown.draft.version} of fleet [bold]{fleet}[/], after root {after}:", as_json)
    for line in shown.changes or ["nothing but its number and its date"]:
        say(f"  • {safe(line)}", as_json)
    for line in shown.warnings:
        say(f"  [yellow]warning:[/] {safe(line)}", as_json)


def tell_all(shown: Shown, as_json: bool) -> None:
    """Prints all that the draft says. What changes is told by comparison with a root that somebody
    may have made up, so that the changes look harmless."""
    say("What it says in all:", as_json)
    rows = [f"{field}: {words}" for field, words in changes.facts(shown.draft.document)]
    for line in [*rows, *changes.held_keys(shown.draft.document)]:
        say(f"  {safe(line)}", as_json)


def tell_signatures(shown: Shown) -> None:
    """Prints who has signed, who must sign still, and the next command."""
    signed = sorted({k for half in shown.halves for k in half.signed})
    say(f"Signed by {safe(', '.join(signed)) if signed else 'nobody yet'}.")
    for line in shown.lacking:
        say(f"  {safe(line)}")
    file = safe(shown.file)
    if shown.lacking:
        say(
            f"Next: copy {file} to who holds another root key, who runs "
            f"`modelwave root sign --add {file} --root root.json --key FILE` there."
        )
    else:
        say(f"Next, at the service's home: `modelwave root publish {file}`")


def sign(
    shown: Shown, names: Sequence[str] | None, passphrase_file: Path | None, yes: bool
) -> Shown:
    """Signs the draft with the keys of these names, after a question unless `yes`. Raises Abort if
    the answer is no."""
    if not names:
        return shown
    signing_keys.confirm(f"Sign this root with {plural(len(names), 'key')}?", yes)
    signers = signing_keys.opened(names, passphrase_file)
    return shown._replace(draft=drafts.signed(shown.draft, signers, shown.root))


def write(shown: Shown, replace: bool) -> None:
    """Writes the draft's file; `replace`: over the one that is there."""
    if replace:
        disk.replace(shown.file, shown.draft.envelope())
    else:
        disk.create_file(shown.file, shown.draft.envelope())


def require_free(file: Path) -> None:
    if file.exists():
        raise OperatorError(
            f"{file} exists: go on from it with --draft {file}, name another file with --out, or "
            "remove it"
        )


def report(shown: Shown, as_json: bool) -> None:
    if as_json:
        print_json(shown.json())
    else:
        tell_signatures(shown)
