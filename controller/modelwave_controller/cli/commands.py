"""The commands of `modelwave`, each with the module that has it. A module is imported when its
command is used: most need a database or cryptography, which take half a second to import, and
`modelwave --help`, `--version` and the completion of a shell need neither.
"""

import typer

from modelwave_controller.cli import later
from modelwave_controller.cli.later import Place

COMMANDS: dict[str, Place] = {
    "init": Place(
        "init",
        "init",
        "Make the home folder of a new fleet: its keys, its root of trust, its settings.",
    ),
    "key": Place("key", "", "Make and show keys; show who signed a document."),
    "root": Place("root", "", "Show, sign and publish roots and drafts of them."),
    "target": Place("target", "", "Show and add hardware classes and their limits."),
    "model": Place("model", "", "Show what a model file needs, before its release."),
    "golden": Place("golden", "", "Make golden sets, and find out what they would notice."),
    "release": Place("release", "", "Sign releases, add them to a home, show them."),
    "rollout": Place("rollout", "", "Start, watch, pause and revert rollouts."),
    "simulate": Place("simulate", "", "Play a plan on simulated fleets; connect a simulated one."),
    "fleet": Place("fleet", "", "Show the state of the fleet, and its log."),
    "device": Place("device", "", "Enrol, show, tag and forget devices."),
    "token": Place("token", "", "Make, list and revoke the access tokens of people and programs."),
    "alert": Place("alert", "", "Show how far the alerts have come; send one to try it."),
    "context": Place(
        "context", "", "Add services by name, with your access token, and choose among them."
    ),
    "ca": Place("ca", "", "Make the fleet's authority, and certificates by it."),
    "clock": Place("clock", "", "Show and accept the controller's clock."),
    "log": Place("pruning", "", "Verify the log of all rollouts; make room in it."),
    "recover": Place(
        "recover",
        "recover",
        "Go on above the devices' order numbers: after the database was restored or lost.",
    ),
    "backup": Place(
        "backup",
        "backup",
        "Write database, settings, releases and model files to one file: no keys, no passwords.",
    ),
    "restore": Place(
        "backup",
        "restore",
        "Put a backup into a new home, or one whose database was lost: stop the service first.",
    ),
    "board": Place("board", "", "Make the agent for MicroPython boards."),
    "serve": Place(
        "service",
        "serve",
        "Run the controller: decide rollouts, publish orders, receive reports, serve files.",
    ),
    "ingest": Place(
        "service",
        "ingest",
        "Receive one share of the devices, and store what they report: beside `modelwave serve`.",
    ),
    "broker": Place(
        "broker",
        "",
        "Run the embedded MQTT broker, for first steps and up to 2,000 devices.\n\n"
        "A user's name is the device's id, or `controller`. The file is read again when it "
        "changes. Retained messages are kept in memory only; the controller publishes them again "
        "when it connects.",
    ),
    "demo": Place(
        "demo",
        "demo",
        "Run a whole fleet here: a good model goes out in waves, a bad one is taken back.",
    ),
}


def add_later(app: typer.Typer) -> None:
    """Adds all commands, and imports none."""
    later.add(app, COMMANDS)


def add_all(app: typer.Typer) -> None:
    """Adds all commands, and imports them, for what looks at all of the command line."""
    later.add_now(app, COMMANDS)
