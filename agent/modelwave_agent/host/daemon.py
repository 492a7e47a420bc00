"""`modelwave-agent`: the agent as a daemon, for inference programs in processes of their own."""

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

from modelwave_agent.host import config, status
from modelwave_agent.host.agent import HostAgent
from modelwave_agent.host.self_update.itself import SelfUpdate, require_free_name, take_line
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_agent.host.supervised import problem_of, supervised, until_signal
from modelwave_agent.ports import ProofError
from modelwave_shared import checkout, topics
from modelwave_shared.slots import slot
from modelwave_shared.words import PROGRAM

LAUNCHER = ("-P", "-m", "modelwave_agent.host.self_update.launcher")


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code: 0; 1 or 2 from a failed health check; or 2 after
    an error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (ConfigError, ProofError, OSError) as error:
        print(f"modelwave-agent: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelwave-agent",
        description="Installs and proves the models that the controller orders for this device.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {checkout.described()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command, text in (
        (_run, "run until SIGINT or SIGTERM"),
        (_supervise, "the same, and let the agent update itself"),
        (_check, "check the settings and show slot and topics, without connecting"),
        (_status, status.TEXT),
    ):
        one = commands.add_parser(command.__name__[1:], help=text, description=text)
        one.add_argument("--config", type=Path, required=True, metavar="FILE", help="agent.toml")
        one.set_defaults(command=command)
        if command is _run:
            text = "file in which it says every few seconds how it is; for the command health"
            one.add_argument("--health-file", type=Path, metavar="FILE", help=text)
        if command is _status:
            text = "the one of run, if it has one: then an agent that hangs is noticed too"
            one.add_argument("--health-file", type=Path, metavar="FILE", help=text)
            text = "all of it for programs, with the journal's records"
            one.add_argument("--json", action="store_true", help=text)
    _add_relay(commands)
    text = "exit with 0 if the agent with this --health-file runs and is connected, else with 1"
    one = commands.add_parser("health", help=text, description=text)
    one.add_argument("--health-file", type=Path, required=True, metavar="FILE")
    one.set_defaults(command=_health)
    return parser


def _add_relay(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for command, text in (
        (_relay, "run the gateway of boards without a network until SIGINT or SIGTERM"),
        (_relay_check, "check the gateway's settings and show its boards, without connecting"),
        (_relay_status, "show how the gateway is; exit with 0: well, 1: trouble, 2: not running"),
    ):
        name = command.__name__[1:].replace("_", "-")
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument("--config", type=Path, required=True, metavar="FILE", help="relay.toml")
        one.set_defaults(command=command)
        if command is not _relay_check:
            text = "as of run and status: a file in which the gateway says how it is"
            one.add_argument("--health-file", type=Path, metavar="FILE", help=text)
        if command is _relay_status:
            one.add_argument("--json", action="store_true", help="for programs")


def _relay(options: argparse.Namespace) -> int:
    from modelwave_agent.host.relay import commands

    _log()
    return commands.run(options.config, options.health_file)


def _relay_check(options: argparse.Namespace) -> int:
    from modelwave_agent.host.relay import commands

    return commands.check(options.config)


def _relay_status(options: argparse.Namespace) -> int:
    from modelwave_agent.host.relay import commands

    return commands.status(options.config, options.health_file, options.json, time.time())


def _log() -> None:
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S %z",
    )


def _run(options: argparse.Namespace) -> int:
    _log()
    settings, launched = config.read_config(options.config), take_line()
    itself = None
    if launched:
        require_free_name(settings)
        itself = SelfUpdate(launched, options.config)
    agent = HostAgent(settings, runs_models=False, itself=itself)
    asyncio.run(_until_signal(agent, itself, options.health_file))
    return 0


async def _until_signal(agent: HostAgent, itself: SelfUpdate | None, health: Path | None) -> None:
    def begun(task: asyncio.Task[None]) -> None:
        if itself:
            itself.leave = task.cancel
            watching = asyncio.ensure_future(itself.watch())
            task.add_done_callback(lambda _: watching.cancel())

    async with supervised(agent.is_connected, health):
        await until_signal(agent.run_forever(), begun)


def _supervise(options: argparse.Namespace) -> int:
    """Becomes the launcher, which has no more in memory than it needs."""
    os.execv(sys.executable, [sys.executable, *LAUNCHER, "--config", str(options.config)])


def _health(options: argparse.Namespace) -> int:
    problem = problem_of(options.health_file, time.time())
    print(problem or "ok")
    return 1 if problem else 0


def _check(options: argparse.Namespace) -> int:
    settings = config.read_config(options.config)
    fleet, own_slot = settings.root["fleet"], slot(settings.root["fleet"], settings.device)
    print(f"device {settings.device}, target {settings.target}, fleet {fleet}, slot {own_slot}")
    print(f"broker {settings.broker.described}, state in {settings.state}")
    for model in settings.models:
        print("  " + topics.desired_slot(fleet, settings.target, model, own_slot))
        print("  " + topics.desired_all(fleet, settings.target, model))
        print("  " + topics.desired_device(fleet, settings.device, model))
    return 0


def _status(options: argparse.Namespace) -> int:
    settings = config.read_config(options.config)
    found = status.read(settings, options.health_file, time.time())
    print(json.dumps(found.json(), indent=2) if options.json else "\n".join(found.lines()))
    return found.code


if __name__ == "__main__":
    main()
