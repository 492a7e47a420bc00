"""The releases of a home: signed manifests and the files that they name.

    releases/<model>/<release>/<target>.json   the manifest's envelope
    files/<sha256>                             the files; several manifests may name one. The
                                               model's own signature is one of them
    signed/<model>/<release>/<target>.json     the same for bundles: reserves the number

A release never changes: the same one may be added again, also with other signatures, but another
one with its number or version is refused. Files are stored before the manifest that names them.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path

from modelwave_controller import disk
from modelwave_controller.errors import NotFoundError, OperatorError, TrustError
from modelwave_controller.home import Home
from modelwave_controller.releases import bundles, model_signature, version_name
from modelwave_controller.releases.bundle_tar import MANIFEST_FILE, manifest_of
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.trust.field_types import require
from modelwave_shared import documents, fields

StoredRelease = Signed


class Releases:
    """The releases of one home. Raises OperatorError if the home does not exist, TrustError if its
    root is not valid."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.root = home.root_document
        self.earlier = home.chain.earlier

    def file_path(self, sha256: str) -> Path:
        """Returns the path of the file with this hash, which may not exist. Raises OperatorError if
        `sha256` is not a hash."""
        require(fields.sha256, sha256, "file")
        return self.home.files / sha256

    def all(self) -> list[StoredRelease]:
        """Returns all releases, by model, release and target. Raises TrustError if one of them
        cannot be verified."""
        return [
            release for folder in _folders(self.home.releases) for release in self._of_model(folder)
        ]

    def page(self, model: str | None, cursor: str, limit: int) -> tuple[list[StoredRelease], str]:
        """Returns at most `limit` releases, of one model or of all, by model, release and target,
        and the cursor of the page after these, "" at the end. `cursor` "": the first page. Raises
        TrustError if one of them cannot be verified."""
        folders = [self.home.releases / model] if model else _folders(self.home.releases)
        after = _place_of(cursor) if cursor else None
        left = (
            path
            for folder in folders
            for path in _manifests(folder)
            if after is None or _place(path) > after
        )
        paths = [*islice(left, limit + 1)]
        found = [bundles.read_kept(path, self.root, self.earlier) for path in paths[:limit]]
        last = paths[limit - 1] if len(paths) > limit else None
        return found, f"{last.parts[-3]}/{last.parts[-2]}/{last.stem}" if last else ""

    def models(self) -> list[str]:
        return [folder.name for folder in _folders(self.home.releases)]

    def numbers(self, model: str) -> list[int]:
        """Returns the numbers of a model's releases, the newest first. Their manifests are not
        read. Raises NotFoundError if there is none."""
        require(fields.name, model, "MODEL")
        found = [int(one.name) for one in _folders(self.home.releases / model)]
        if not found:
            raise _no_release_of(model)
        return sorted(found, reverse=True)

    def numbered(self, model: str, number: int) -> dict[str, StoredRelease]:
        """Returns {target: release} of this number, and reads no other one; {}: there is none.
        Raises TrustError if one of them cannot be verified."""
        require(fields.name, model, "MODEL")
        paths = sorted((self.home.releases / model / str(number)).glob("*.json"))
        found = [bundles.read_kept(path, self.root, self.earlier) for path in paths]
        return {release.manifest.target: release for release in found}

    def find(self, model: str, wanted: str) -> dict[str, StoredRelease]:
        """Returns {target: release} for the release number `wanted` of `model`; for the version, if
        no release has that number. Raises OperatorError if there is none."""
        numbers = {str(number): number for number in self.numbers(model)}
        if wanted in numbers and (found := self.numbered(model, numbers[wanted])):
            return found
        known = self._of_model(self.home.releases / model)
        versioned = [release for release in known if wanted == release.manifest.version]
        found = {release.manifest.target: release for release in versioned}
        if not found:
            names = sorted({(r.manifest.release, r.manifest.version) for r in known})
            shown = ", ".join(f"{number} ({version})" for number, version in names[-5:])
            raise NotFoundError(f"RELEASE: {model} has no release {wanted[:100]}; it has {shown}")
        return found

    def require_sound(self, found: Mapping[str, StoredRelease]) -> None:
        """Raises TrustError unless devices take these releases under the newest root."""
        for release in found.values():
            manifest = release.manifest
            if release.trouble:
                raise TrustError(
                    f"RELEASE: devices refuse {manifest.model} {manifest.release} for "
                    f"{manifest.target}: {release.trouble.partition('; ')[0]} under root "
                    f"{documents.root_version(self.root)}: `modelwave release sign "
                    f"{manifest.model} {manifest.release} --key FILE`, with a release key that it "
                    "names, signs it anew"
                )
            least = self.home.root.minimum.get(manifest.model, 1)
            if manifest.release < least:
                raise TrustError(
                    f"RELEASE: {manifest.model} {manifest.release} is below {least}, the minimum "
                    "that the fleet's root allows: devices refuse it; name a newer release"
                )

    def unsound(self) -> dict[str, list[int]]:
        """Returns {model: releases} of the manifests that too few keys of the newest root have
        signed."""
        found: dict[str, set[int]] = {}
        for release in self.all():
            if release.trouble:
                found.setdefault(release.manifest.model, set()).add(release.manifest.release)
        return {model: sorted(numbers) for model, numbers in found.items()}

    def places(self, model: str, wanted: Collection[str]) -> list[tuple[Path, StoredRelease]]:
        """Returns (file, release) of each manifest of the model in this home, of these numbers or
        versions only unless `wanted` is empty. Raises OperatorError if there is none."""
        require(fields.name, model, "MODEL")
        found = [
            (path, release)
            for path, release in self._kept(self.home.releases / model, self.home.signed / model)
            if not wanted or {str(release.manifest.release), release.manifest.version} & {*wanted}
        ]
        named = {str(r.manifest.release) for _, r in found} | {r.manifest.version for _, r in found}
        for one in wanted:
            if one not in named:
                raise OperatorError(f"RELEASE: this home has no release {one[:100]} of {model}")
        if not found:
            raise OperatorError(
                f"MODEL: this home has no release of {model}; see `modelwave release list`"
            )
        return found

    def of_digest(self, model: str, digest: str) -> StoredRelease | None:
        """Returns the release whose manifest has this sha256; None if it is not in this home."""
        known = self._of_model(self.home.releases / model)
        return next((release for release in known if release.digest == digest), None)

    def newest(self, model: str, target: str) -> StoredRelease | None:
        """Returns the release for the target with the highest number, also of those that were
        signed here for another home; None if there is none."""
        known = self._of_model(self.home.releases / model, self.home.signed / model)
        of_target = [release for release in known if release.manifest.target == target]
        return max(of_target, key=lambda release: release.manifest.release, default=None)

    def number_for(self, model: str, version: str, target: str, leaving: bool = False) -> int:
        """Returns the number for a new release: that of the same version for other targets, else
        the next one. Raises OperatorError if the version has this target already, or if the
        release is `leaving` for another home and this home has none to count from."""
        require(fields.name, model, "MODEL")
        known = self._of_model(self.home.releases / model, self.home.signed / model)
        if leaving and not known:
            raise OperatorError(
                f"--release: this home knows no release of {model} to count from: give 1 for "
                "its first, else one more than `modelwave release list` shows at the service; "
                "after that, this home continues the numbers of the releases that it signs"
            )
        same = [release.manifest for release in known if release.manifest.version == version]
        if any(manifest.target == target for manifest in same):
            raise OperatorError(
                f"VERSION: {version} of {model} for {target} is release {same[0].release}, "
                "and a release is never changed; give a new version"
            )
        taken = [release.manifest.release for release in known]
        return same[0].release if same else max(taken, default=0) + 1

    def add(self, bundle: Path, named: Path | None = None) -> tuple[StoredRelease, bool]:
        """Adds a bundle's release to the home; returns it, and whether it is new, or newly signed.
        `bundle` may be its manifest alone, if the home has the files; `named`: what errors call it,
        None: as it is. Raises TrustError for a wrong signature, hash or fleet, OperatorError if
        another release has its number or version."""
        manifest = manifest_of(bundle, named)
        said = named or bundle
        if not bundle.is_file() and said.suffix != ".json":
            said /= MANIFEST_FILE
        signed = bundles.read_manifest(manifest, self.root, "BUNDLE", said)
        files = [(file.sha256, file.size) for file in signed.manifest.files]
        if carried := model_signature.of_manifest(signed.document):
            files.append((carried.sha256, carried.size))
        disk.make_folder(self.home.releases)
        disk.make_folder(self.home.files)
        with disk.only_one(self.home.releases):  # of those that add something at once
            self._check_place(signed, self._of_model(self.home.releases / signed.manifest.model))
            with _all_or_none() as new:
                for sha256, size in files:
                    stored = self.file_path(sha256)
                    if not stored.exists():
                        source = manifest.parent / sha256
                        disk.copy_verified(source, stored, sha256, size, said.parent / sha256)
                        new.append(stored)
                disk.sync_folder(self.home.files)  # of some, a killed command has not done it
            return signed, self._keep(self.home.releases, signed)

    def note(self, bundle: Path) -> None:
        """Stores the manifest of a bundle that was signed here for another home. Raises
        OperatorError if another release has its number or version."""
        signed = bundles.read_manifest(bundle / MANIFEST_FILE, self.root, "--out")
        model = signed.manifest.model
        self._check_place(
            signed, self._of_model(self.home.releases / model, self.home.signed / model)
        )
        self._keep(self.home.signed, signed)

    def _check_place(self, new: StoredRelease, present: list[StoredRelease]) -> None:
        manifest = new.manifest
        version_name.require(manifest.version)
        least = self.home.root.minimum.get(manifest.model, 1)
        if manifest.release < least:
            raise TrustError(
                f"release {manifest.release} of {manifest.model} is below {least}, "
                "the minimum that the fleet's root allows"
            )
        for known in present:
            other = known.manifest
            same_number = other.release == manifest.release
            if same_number != (other.version == manifest.version):
                raise OperatorError(
                    f"release {other.release} of {other.model} is version {other.version}; this "
                    f"one is release {manifest.release}, version {manifest.version}: "
                    "create it again with another --release or version"
                )
            if same_number and other.target == manifest.target and known.digest != new.digest:
                raise OperatorError(
                    f"release {other.release} of {other.model} for {other.target} exists with "
                    "other contents, and a release is never changed; create it as a new version"
                )

    def _of_model(self, *folders: Path) -> list[StoredRelease]:
        return [release for _, release in self._kept(*folders)]

    def _kept(self, *folders: Path) -> Iterator[tuple[Path, StoredRelease]]:
        for folder in folders:
            for path in _manifests(folder):
                yield path, bundles.read_kept(path, self.root, self.earlier)

    def _keep(self, place: Path, signed: StoredRelease) -> bool:
        """Stores the envelope unless one with enough signatures exists; returns whether it did."""
        manifest = signed.manifest
        path = place / manifest.model / str(manifest.release) / f"{manifest.target}.json"
        if path.exists() and not bundles.read_kept(path, self.root, self.earlier).trouble:
            disk.sync_folder(path.parent)  # a killed command may not have done it
            return False
        disk.make_folder(path.parent)
        disk.replace(path, signed.envelope)
        return True


def _no_release_of(model: str) -> NotFoundError:
    return NotFoundError(
        f"MODEL: this home has no release of {model}; see `modelwave release list`"
    )


def _manifests(model: Path) -> Iterator[Path]:
    for number in sorted(_folders(model), key=lambda number: int(number.name)):
        yield from sorted(number.glob("*.json"))


def _place(path: Path) -> tuple[str, int, str]:
    """Returns by what a manifest's file is sorted."""
    return path.parts[-3], int(path.parts[-2]), path.name


def _place_of(cursor: str) -> tuple[str, int, str]:
    model, number, target = cursor.split("/")
    return model, int(number), f"{target}.json"


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.glob("*") if entry.is_dir())


@contextlib.contextmanager
def _all_or_none() -> Iterator[list[Path]]:
    """Yields a list of files, which are removed if the block raises."""
    new: list[Path] = []
    try:
        yield new
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise
