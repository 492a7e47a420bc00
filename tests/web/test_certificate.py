"""The service answers operators with the certificate that `modelwave ca api` makes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwave_controller import cli
from modelwave_controller.trust import pkcs8
from tests.controller.rollout_world import PASSPHRASE, World
from tests.web.served import as_set

SETTINGS = 'certificate = "ca/api.pem"\nkey = "ca/api.key"\n'


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", PASSPHRASE.decode())
    made = World(tmp_path)
    yield made
    made.store.close()


def test_who_trusts_the_fleet_s_authority_asks_over_tls_and_nobody_else_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = world.home.path
    assert cli.run(["--home", str(home), "ca", "init"]) == 0
    assert cli.run(["--home", str(home), "ca", "api", "localhost", "127.0.0.1"]) == 0
    assert 'certificate = "ca/api.pem"' in capsys.readouterr().out
    assert (home / "ca" / "api.key").stat().st_mode & 0o777 == 0o600
    assert cli.run(["--home", str(home), "ca", "api", "localhost"]) == 2
    assert "replace it with --renew" in capsys.readouterr().err
    settings = home / "controller.toml"
    text = settings.read_text().replace('certificate = ""', "").replace('key = ""', "")
    settings.write_text(text.replace("[api]\n", f"[api]\n{SETTINGS}"))
    with as_set(world) as url:
        assert url.startswith("https://127.0.0.1:")
        server = url.replace("127.0.0.1", "localhost")
        ask = ["--server", server, "--token-file", str(home / "api-token"), "fleet", "status"]
        assert cli.run(ask) == 1
        refused = capsys.readouterr().err
        assert "CERTIFICATE_VERIFY_FAILED" in refused
        assert "--ca" in refused
        assert "does `modelwave serve` run there" not in refused
        assert cli.run(["--ca", str(home / "ca" / "ca.pem"), *ask]) == 0
    log = ["--home", str(home), "fleet", "log"]
    assert cli.run(log) == 0
    assert "certificate of the api made for localhost, 127.0.0.1" in capsys.readouterr().out
