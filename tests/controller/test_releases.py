"""Tests the releases on disk: which are accepted, refused and found."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from operator_home import SECRET, golden_labels, make_home, tflite
from test_disk import files_of_at_most

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.home import Home
from modelwave_controller.releases import bundles, catalog
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.trust import keys
from modelwave_shared import digests, documents, dsse


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


class Maker:
    """Makes bundles without the command line, right ones and wrong ones."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self.key = keys.load_key(home.offline / "release.key", SECRET.encode)
        self.made = 0

    def bundle(self, key: keys.SigningKey | None = None, **changes: Any) -> Path:
        self.made += 1
        folder = self.folder / f"bundle-{self.made}"
        folder.mkdir(parents=True)
        sources = {
            "model": tflite(folder / "m", str(changes.get("version", "v1")).encode()),
            "golden": golden_labels(folder / "g"),
        }
        files = []
        for role, source in sources.items():
            sha256, size = disk.copy_hashed(source, folder, role, 10**6)
            source.unlink()
            files.append({"role": role, "sha256": sha256, "size": size})
        document = {
            "fleet": "demo",
            "model": "digits",
            "release": 1,
            "version": "v1",
            "target": "linux-cpu",
            "format": "tflite",
            "files": files,
            "needs": {
                "flash": sum(file["size"] for file in files),
                "ram": 1,
                "kernels": [],
                "runtime": "tflite",
                "accelerator": "",
            },
            "tolerance": {"kind": "labels", "least_ppm": 1},
            "lineage": {"dataset": "", "metrics": {}, "quantisation": ""},
            "forced": "",
            "deltas": [],
        } | changes
        envelope = keys.sign("manifest", keys.canonical(document), [key or self.key])
        (folder / "manifest.json").write_bytes(envelope)
        return folder


@pytest.fixture
def maker(home: Home, tmp_path: Path) -> Maker:
    return Maker(home, tmp_path / "bundles")


def contents(home: Home) -> set[str]:
    places = (home.files, home.releases)
    return {str(path) for place in places for path in place.rglob("*") if path.is_file()}


def refuses(home: Home, bundle: Path, error: type[Exception], words: str) -> None:
    """Adding fails with these words, and leaves nothing that was not there."""
    before = contents(home)
    with pytest.raises(error, match=words):
        Releases(home).add(bundle)
    assert contents(home) == before


def test_added_release_is_found_by_number_and_by_version(home: Home, maker: Maker) -> None:
    kept = Releases(home)
    added, _ = kept.add(maker.bundle())
    kept.add(maker.bundle(target="rp2040"))
    kept.add(maker.bundle(release=2, version="v2"))
    for wanted in ("1", "v1"):
        found = Releases(home).find("digits", wanted)
        assert set(found) == {"linux-cpu", "rp2040"}
        assert found["linux-cpu"] == added
    assert set(kept.find("digits", "v2")) == {"linux-cpu"}
    assert len(kept.all()) == 3
    assert added.digest == dsse.read(added.envelope).digest()
    for file in added.manifest.files:
        assert digests.hexdigest(kept.file_path(file.sha256).read_bytes()) == file.sha256


def test_releases_are_listed_by_number_not_by_text(home: Home, maker: Maker) -> None:
    for number in (10, 9, 1):
        Releases(home).add(maker.bundle(release=number, version=f"v{number}"))
    assert [stored.manifest.release for stored in Releases(home).all()] == [1, 9, 10]


def test_pages_have_each_release_once_in_the_order_of_the_list(home: Home, maker: Maker) -> None:
    kept = Releases(home)
    for number in (1, 10, 9):
        for target in ("linux-cpu", "linux-cpu-2"):
            kept.add(maker.bundle(release=number, version=f"v{number}", target=target))
    kept.add(maker.bundle(model="zebras"))
    every = [one.digest for one in kept.all()]
    assert len(every) == 7
    for limit in (1, 2, 3, 7, 500):
        found, cursor, pages = [], "", 0
        while not pages or cursor:
            page, cursor = kept.page(None, cursor, limit)
            found += [one.digest for one in page]
            pages += 1
        assert (found, pages) == (every, -(-7 // limit))
    zebras, _ = kept.page("zebras", "", 7)
    assert [one.manifest.model for one in zebras] == ["zebras"]
    assert kept.page("lions", "", 7) == ([], "")


def test_adding_the_same_bundle_again_changes_nothing(home: Home, maker: Maker) -> None:
    bundle = maker.bundle()
    Releases(home).add(bundle)
    before = contents(home)
    Releases(home).add(bundle)
    assert contents(home) == before


@pytest.mark.parametrize("change", ["longer", "shorter", "flipped", "gone"])
def test_bundle_with_other_bytes_is_refused(home: Home, maker: Maker, change: str) -> None:
    bundle = maker.bundle()
    manifest = json.loads(dsse.read((bundle / "manifest.json").read_bytes()).payload)
    file = bundle / manifest["files"][0]["sha256"]
    data = file.read_bytes()
    if change == "gone":
        file.unlink()
        return refuses(home, bundle, OperatorError, "cannot read")
    flipped = bytes([data[0] ^ 1]) + data[1:]
    file.write_bytes({"longer": data + b"x", "shorter": data[:-1], "flipped": flipped}[change])
    return refuses(home, bundle, TrustError, "is not what was signed")


def test_endless_file_in_a_bundle_is_not_read_to_its_end(home: Home, maker: Maker) -> None:
    bundle = maker.bundle()
    manifest = json.loads(dsse.read((bundle / "manifest.json").read_bytes()).payload)
    file = bundle / manifest["files"][0]["sha256"]
    file.unlink()
    file.symlink_to("/dev/zero")
    with files_of_at_most(10**6):  # or a failure of this test would fill the disk
        refuses(home, bundle, TrustError, "is not what was signed")


def test_manifest_with_one_bit_flipped_is_refused(home: Home, maker: Maker) -> None:
    bundle = maker.bundle()
    path = bundle / "manifest.json"
    data = path.read_bytes()
    kept = Releases(home)
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(TrustError):
            kept.add(bundle)
    assert contents(home) == set()


@pytest.mark.parametrize("signer", ["order", "root-1", "stranger"])
def test_manifest_signed_by_another_key_is_refused(home: Home, maker: Maker, signer: str) -> None:
    key = {
        "order": lambda: home.order_key(),
        "root-1": lambda: keys.load_key(home.offline / "root-1.key", SECRET.encode),
        "stranger": keys.generate,
    }[signer]()
    refuses(home, maker.bundle(key=key), TrustError, "0 of the 1 needed")


def test_stranger_under_the_release_keys_id_is_refused(home: Home, maker: Maker) -> None:
    bundle = maker.bundle(key=keys.generate())
    path = bundle / "manifest.json"
    read = dsse.read(path.read_bytes())
    forged = dsse.write("manifest", read.payload, [(maker.key.keyid, read.signatures[0][1])])
    path.write_bytes(forged)
    refuses(home, bundle, TrustError, "0 of the 1 needed")


def test_root_document_in_place_of_a_manifest_is_refused(home: Home, maker: Maker) -> None:
    bundle = maker.bundle()
    (bundle / "manifest.json").write_bytes(home.root_envelope)
    refuses(home, bundle, TrustError, "a root instead of a manifest")


def test_release_of_another_fleet_is_refused(home: Home, maker: Maker) -> None:
    refuses(
        home, maker.bundle(fleet="other"), TrustError, "for fleet other, and this fleet is demo"
    )


def test_release_below_the_minimum_of_the_root_is_refused(home: Home, maker: Maker) -> None:
    document = home.root_document | {"minimum": {"digits": 3}}
    signers = [keys.load_key(home.offline / f"root-{n}.key", SECRET.encode) for n in (1, 2)]
    (home.path / "root.json").write_bytes(keys.sign("root", keys.canonical(document), signers))
    here = Home(home.path)
    refuses(here, maker.bundle(release=2), TrustError, "below 3")
    assert Releases(here).add(maker.bundle(release=3))[0].manifest.release == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "v1b"}, "release 1 of digits is version v1"),
        ({"release": 2}, "release 1 of digits is version v1"),
        ({"needs": {**{"flash": 10**6, "ram": 2, "kernels": []}, "runtime": "tflite"}}, "other"),
        ({"release": 2, "version": "3"}, "VERSION"),
        ({"release": 2, "version": ""}, "VERSION"),
        ({"release": 2, "version": " "}, "VERSION"),
    ],
)
def test_release_that_would_change_or_hide_another_is_refused(
    home: Home, maker: Maker, changes: dict[str, Any], words: str
) -> None:
    Releases(home).add(maker.bundle())
    if "needs" in changes:
        changes["needs"]["accelerator"] = ""
    refuses(home, maker.bundle(**changes), OperatorError, words)


def test_folder_that_is_no_bundle_is_refused(home: Home, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no"):
        refuses(home, path, OperatorError, "not a bundle")
    refuses(home, home.path / "root.json", TrustError, "a root instead of a manifest")


@pytest.mark.parametrize("model", ["", "../releases", "a/b", "A", "x" * 70, "/etc", "a\0"])
def test_model_name_that_could_be_a_path_is_refused(home: Home, model: str) -> None:
    with pytest.raises(OperatorError, match=r"MODEL: .* is no name"):
        Releases(home).find(model, "1")


@pytest.mark.parametrize("wanted", ["", "0", "01", "2", "v", "../1", "9" * 5000, "x" * 5000])
def test_unknown_release_says_what_there_is(home: Home, maker: Maker, wanted: str) -> None:
    Releases(home).add(maker.bundle())
    with pytest.raises(OperatorError, match=r"it has 1 \(v1\)") as error:
        Releases(home).find("digits", wanted)
    assert len(str(error.value)) < 300


def test_unknown_model_is_refused(home: Home) -> None:
    with pytest.raises(OperatorError, match="this home has no release of digits"):
        Releases(home).find("digits", "1")


@pytest.mark.parametrize("sha256", ["", "../root.json", "A" * 64, "0" * 63, "0" * 64 + "/.."])
def test_file_path_takes_a_hash_only(home: Home, sha256: str) -> None:
    with pytest.raises(OperatorError, match="sha256"):
        Releases(home).file_path(sha256)


def test_stored_manifest_that_was_changed_is_noticed(home: Home, maker: Maker) -> None:
    Releases(home).add(maker.bundle())
    path = home.releases / "digits" / "1" / "linux-cpu.json"
    path.write_bytes(path.read_bytes().replace(b'"sig":"', b'"sig":"A', 1))
    with pytest.raises(TrustError, match=r"linux-cpu\.json"):
        Releases(home).find("digits", "1")


def test_number_follows_the_highest_and_is_shared_by_targets_of_a_version(
    home: Home, maker: Maker
) -> None:
    kept = Releases(home)
    assert kept.number_for("digits", "v1", "linux-cpu") == 1
    kept.add(maker.bundle(release=4))
    assert kept.number_for("digits", "v1", "rp2040") == 4
    assert kept.number_for("digits", "v2", "linux-cpu") == 5
    assert kept.number_for("other", "v1", "linux-cpu") == 1
    with pytest.raises(OperatorError, match="v1 of digits for linux-cpu is release 4"):
        kept.number_for("digits", "v1", "linux-cpu")


def test_add_that_is_cut_short_leaves_no_manifest_without_its_files(
    home: Home, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut at every rename and every fsync: what is there is whole, and adding again ends well."""
    bundle = maker.bundle()
    done, cut_at = False, 0
    while not done:
        cut_at += 1
        left = cut_at

        def cutting(call: Any) -> Any:
            def cut(*arguments: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt
                return call(*arguments)

            return cut

        with monkeypatch.context() as patch:
            patch.setattr(disk.os, "rename", cutting(os.rename))
            patch.setattr(disk.os, "fsync", cutting(os.fsync))
            try:
                Releases(home).add(bundle)
                done = True
            except KeyboardInterrupt:
                pass
        for stored in Releases(home).all():
            for file in stored.manifest.files:
                data = Releases(home).file_path(file.sha256).read_bytes()
                assert digests.hexdigest(data) == file.sha256
        for path in home.files.iterdir():
            assert digests.hexdigest(path.read_bytes()) == path.name
        for stored in Releases(home).all():
            (home.releases / "digits" / "1" / f"{stored.manifest.target}.json").unlink()
        for path in home.files.iterdir():
            path.unlink()
    assert cut_at > 9


def test_bundle_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with contextlib.suppress(KeyboardInterrupt), bundles.staged(out) as folder:
        (folder / "manifest.json").write_bytes(b"x")
        assert not out.exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with bundles.staged(out) as folder:
        (folder / "manifest.json").write_bytes(b"x")
    assert (out / "manifest.json").read_bytes() == b"x"
    with pytest.raises(OperatorError, match="exists already"), bundles.staged(out):
        pass


def test_stored_release_is_what_orders_name(home: Home, maker: Maker) -> None:
    assert catalog.StoredRelease is bundles.Signed
    stored, _ = Releases(home).add(maker.bundle())
    opened = documents.open_signed("manifest", dsse.read(stored.envelope), home.root_document)
    assert opened == stored.document
