"""`modelwave serve` and `modelwave ingest`."""

import asyncio
import contextlib
import logging
from typing import Annotated

import typer

from modelwave_controller.cli.keeps_running import ReadyFileOption, until_signal, write_ready
from modelwave_controller.cli.logs import LogFormat, log_to_stderr
from modelwave_controller.cli.options import home_of
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.home import listen_address
from modelwave_controller.people.local_token import NAME
from modelwave_controller.service.ingest import Ingest
from modelwave_controller.service.serve import DEFAULT_TICK_SECONDS, Ready, Service
from modelwave_controller.terminal import safe, say
from modelwave_controller.web.running import listening

LogFormatOption = Annotated[
    LogFormat, typer.Option(help="Of the log, on stderr; JSON is an object a line.")
]
logger = logging.getLogger(__name__)

MIN_TICK_SECONDS, MAX_TICK_SECONDS = 0.05, 60


def _address(text: str) -> str:
    try:
        listen_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return text


def serve(
    ctx: typer.Context,
    tick_seconds: Annotated[
        float,
        typer.Option(min=MIN_TICK_SECONDS, max=MAX_TICK_SECONDS, help="Time between two ticks."),
    ] = DEFAULT_TICK_SECONDS,
    ready_file: ReadyFileOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Run the controller: decide rollouts, publish orders, receive reports, serve files.

    After a stop or a crash it continues where it was. SIGINT, SIGTERM and SIGHUP end it in
    order. A second
    service of the same database stands by, and takes over when the first one ends.
    """
    log_to_stderr(log_format)
    home = home_of(ctx)
    for left in home.remove_left():
        logger.warning("%s is left from a command that was killed: remove it", left)
    with opened_store(ctx) as store:
        service = Service(home, store, tick_seconds)

        async def work() -> None:
            async with listening(home, store, service.vitals) as url:

                def ready(found: Ready) -> None:
                    say(_serves(found, home.config.fleet))
                    if url:
                        say(f"operators are answered at {safe(url)}")
                        say(f"the home's own access token is in {safe(home.path / NAME)}")
                    told = {"files_url": found.files_url, "leads": found.leads}
                    write_ready(ready_file, told | ({"url": url} if url else {}))

                await service.run(ready)

        asyncio.run(until_signal(work(), service.stop))


def _serves(found: Ready, name: str) -> str:
    fleet, files = f"fleet [bold]{safe(name)}[/]", safe(found.files_url)
    if found.leads:
        return f"modelwave serves {fleet}: files at {files}, broker {safe(found.broker)}"
    return f"modelwave stands by for {fleet}: another service leads; files at {files}"


def ingest(
    ctx: typer.Context,
    share: Annotated[int, typer.Argument(metavar="SHARE", help="Which one, from 1 on.")],
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Answer /healthz, /readyz and /metrics there; port 0 takes a free one.",
            show_default="nowhere",
            parser=_address,
        ),
    ] = None,
    ready_file: ReadyFileOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Receive one share of the devices, and store what they report: beside `modelwave serve`.

    For fleets that are too much for one process: it needs PostgreSQL, and [ingest] processes in
    controller.toml. A second process of the same share stands by.
    """
    log_to_stderr(log_format)
    home = home_of(ctx)
    with opened_store(ctx) as store:
        process = Ingest(home, store, share)

        async def work() -> None:
            async with contextlib.AsyncExitStack() as stack:
                url = await _listen(stack, listen, process)

                def ready(receives: bool) -> None:
                    does = "receives" if receives else "stands by for"
                    fleet = f"fleet [bold]{safe(home.config.fleet)}[/]"
                    say(f"modelwave {does} {process.share} of {fleet}")
                    write_ready(ready_file, {"receives": receives} | ({"url": url} if url else {}))

                await process.run(ready)

        asyncio.run(until_signal(work(), process.stop))


async def _listen(stack: contextlib.AsyncExitStack, listen: str | None, process: Ingest) -> str:
    """Lets those who watch the process ask it until the end of `stack`. Returns the URL; "" if
    nobody shall."""
    if listen is None:
        return ""
    from modelwave_controller.metrics.handlers import Watched  # only the service needs it
    from modelwave_controller.metrics.listener import listening

    watched = Watched(process.vitals, process.store)
    url = await stack.enter_async_context(listening(watched, *listen_address(listen)))
    say(f"it answers those who watch it at {safe(url)}")
    return url
