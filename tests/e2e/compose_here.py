"""Does what `docker compose` does with docker/compose.yaml, without containers: each service is
processes of this machine, each volume a folder, and each address a port of 127.0.0.1."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from modelwave_controller.demo.processes import Processes
from tests.e2e.conftest import MOSQUITTO, REPO, wait_for_port
from tests.mosquitto_tls import configured, free_ports

DOCKER = REPO / "docker"
SECONDS = 120
UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root


class ComposeHere:
    def __init__(self, folder: Path, running: Processes) -> None:
        self.folder = folder
        self.running = running
        self.services: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())[
            "services"
        ]
        *self.broker_ports, self.files, self.operators, self.database = free_ports(6)
        self.up_already: set[str] = set()
        for service in self.services:
            for place in self.mounts(service).values():
                if place.parent == folder:
                    place.mkdir(exist_ok=True)
        (folder / "home" / "broker").symlink_to(folder / "users")  # mounted within `home`
        for name in ("agent-1", "agent-2"):
            (folder / "devices").mkdir(exist_ok=True)
            (folder / "devices" / name).symlink_to(folder / name)

    def mounts(self, service: str) -> dict[str, Path]:
        """{path in the container: folder or file here}"""
        found = {}
        for volume in self.services[service].get("volumes", ()):
            source, target, *_ = volume.split(":")
            is_file = source.startswith(".")
            found[target] = DOCKER / source if is_file else self.folder / source
        return found

    def here(self, service: str, text: str) -> str:
        """A text with paths of the container of `service`, for this machine."""
        own = self.folder / f"tmp-{service}"
        own.mkdir(exist_ok=True)
        known = {"/var/lib/modelwave": self.folder, "/tmp": own, str(REPO): REPO}
        places = known | self.mounts(service)
        paths = "|".join(sorted(map(re.escape, places), key=len, reverse=True))
        return re.sub(rf"(?<![\w/])({paths})\b", lambda found: str(places[found[1]]), text)

    def environment(self, service: str) -> dict[str, str]:
        given = self.services[service].get("environment", {})
        own = {
            name: self.here(service, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value))
            for name, value in given.items()
        }
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        passphrase = {"MODELWAVE_PASSPHRASE": "correct horse"} if service == "operator" else {}
        return {**os.environ, **own, "PATH": path, **passphrase}

    def run(self, line: str) -> str:
        """Runs a line such as `compose run --rm operator release list`; returns what it prints."""
        words = shlex.split(line)
        assert words.pop(0) == "compose"
        if (verb := words.pop(0)) == "up":
            for service in self.services:
                if "profiles" not in self.services[service]:
                    self.up(service)
            return ""
        assert verb in ("run", "exec")
        entrypoint, depends = [] if verb == "exec" else ["modelwave"], verb == "run"
        while words[0].startswith("-"):
            option = words.pop(0)
            depends = depends and option != "--no-deps"
            if option == "--entrypoint":
                entrypoint = ["sh", str(DOCKER / f"{words.pop(0)}.sh")]
        service = words.pop(0)
        for needed in self.services[service].get("depends_on", ()) if depends else ():
            self.up(needed)
        no_terminal = ["--yes"] if "release create" in line else []
        return self.process(service, [*entrypoint, *words, *no_terminal])

    def process(self, service: str, command: list[str]) -> str:
        done = subprocess.run(
            [self.here(service, word) for word in command],
            cwd=self.folder,
            env=self.environment(service),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        if command[-1].endswith("first-run.sh"):
            self.settle()
        return done.stdout

    def settle(self) -> None:
        """Puts addresses of this machine into the settings of the service, as there are no names
        of containers."""
        settings = self.folder / "home" / "controller.toml"
        text = settings.read_text()
        for name, its in (
            ("mqtts://broker:8885", f"mqtts://localhost:{self.broker_ports[2]}"),
            ("mqtts://broker:8883", f"mqtts://localhost:{self.broker_ports[0]}"),
            ("@database/", f"@127.0.0.1:{self.database}/"),
            ("0.0.0.0:8180", f"127.0.0.1:{self.files}"),
            ("http://controller:8180", f"http://127.0.0.1:{self.files}"),
            ("0.0.0.0:8181", f"127.0.0.1:{self.operators}"),
        ):
            assert name in text
            text = text.replace(name, its)
        settings.write_text(text)

    def up(self, service: str) -> None:
        if service in self.up_already:
            return
        self.up_already.add(service)
        for needed in self.services[service].get("depends_on", ()):
            self.up(needed)
        if service == "database":
            self._up_database()
        elif service == "broker":
            text = configured(
                (DOCKER / "mosquitto-tls.conf").read_text(),
                self.folder / "broker",
                self.folder / "users",
                self.broker_ports,
            )
            (self.folder / "mosquitto.conf").write_text(text)
            self.running.start(
                "broker", [str(MOSQUITTO), "-c", str(self.folder / "mosquitto.conf")]
            )
            wait_for_port(self.broker_ports[2])
        else:
            target = self.services[service]["build"]["target"]
            command = [self.here(service, word) for word in of_image(target, "ENTRYPOINT", "CMD")]
            given = self.environment(service).items() - os.environ.items()
            self.running.start(service, ["env", *(f"{k}={v}" for k, v in given), *command])
            if service == "controller":
                wait_for_port(self.files)

    def is_healthy(self, service: str) -> bool:
        """What the image's HEALTHCHECK says."""
        target = self.services[service]["build"]["target"]
        command = [
            self.here(service, word).replace("127.0.0.1:8180", f"127.0.0.1:{self.files}")
            for word in of_image(target, "HEALTHCHECK")
        ]
        done = subprocess.run(
            command, env=self.environment(service), capture_output=True, check=False
        )
        return done.returncode == 0

    def _up_database(self) -> None:
        given = self.services["database"]["environment"]
        data = self.folder / "database" / "data"
        password = self.folder / "database" / "password"
        shutil.copy(self.here("database", given["POSTGRES_PASSWORD_FILE"]), password)
        who: dict[str, Any] = {}
        if os.getuid() == 0:
            who = {"user": UNPRIVILEGED, "group": "nogroup", "extra_groups": []}
            for place in (password.parent, password):
                shutil.chown(place, UNPRIVILEGED)
            for place in (self.folder, *self.folder.parents[:3]):
                place.chmod(place.stat().st_mode | 0o011)
        initdb, pg_ctl, psql = (postgres_program(name) for name in ("initdb", "pg_ctl", "psql"))
        user = given["POSTGRES_USER"]
        options = f"-c port={self.database} -c listen_addresses=127.0.0.1 "
        options += f"-c unix_socket_directories={password.parent}"
        for command in (
            [initdb, "-D", data, "-U", user, "--auth=scram-sha-256", "--pwfile", password, "-N"],
            [pg_ctl, "-D", data, "-o", options, "-l", data.parent / "log", "-w", "start"],
        ):
            subprocess.run(
                list(map(str, command)), check=True, stdout=subprocess.DEVNULL, cwd="/", **who
            )
        login = {**os.environ, "PGPASSWORD": password.read_text().strip()}
        address = ["-h", "127.0.0.1", "-p", str(self.database), "-U", user]
        create = [psql, *address, "-d", "postgres", "-qc", f"CREATE DATABASE {user}"]
        subprocess.run(create, env=login, check=True)

    def down_database(self) -> None:
        """Ends it at once, if it runs."""
        pid = self.folder / "database" / "data" / "postmaster.pid"
        if pid.exists():
            os.kill(int(pid.read_text().split()[0]), signal.SIGQUIT)


def postgres_program(name: str) -> str:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    return shutil.which(name, path=path) or ""


def of_image(target: str, *instructions: str) -> list[str]:
    """The words of these instructions of an image, such as ENTRYPOINT and CMD."""
    text = (DOCKER / "Dockerfile").read_text()
    stage = re.split(r"^FROM ", text.partition(f" AS {target}\n")[2], maxsplit=1, flags=re.M)[0]
    words: list[str] = []
    for name in instructions:
        found = re.search(rf"^{name} .*?(\[.*\])$", stage, re.M)
        assert found
        words += yaml.safe_load(found[1])
    return words
