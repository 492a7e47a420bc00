"""Keeps a connection to the broker established.

After a lost connection the link reconnects with back-off, each time with a new client, so that old
messages of the previous client cannot be sent after newer ones. If the broker has several
addresses, the one that has served is tried first, then the others in turn. `ServiceLink.current` is
the established connection or None; one thread, the service's, sends over it.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.connection import SILENT_ASKS, Connection, forget_session
from modelwave_controller.service.trouble import Trouble
from modelwave_shared import topics

# Every ASK_SECONDS the link asks the broker for an answer. If it is silent, its packets vanish, or
# the broker hangs.
ASK_SECONDS = 0.5
LEAVE_SECONDS = 30  # without an answer, for another address
BACK_OFF_SECONDS = (1, 2, 4, 8, 15, 30)
# After SHORT_ONES connections in a row that each ended within SHORT_SECONDS, another client with
# the same id probably takes the connection over; most likely it is the controller's other one.
SHORT_SECONDS = 5
SHORT_ONES = 3
TAKEN_OVER = (
    ", repeatedly: the broker may give both connections of the controller the same client id "
    "(Mosquitto: use_username_as_clientid; docs/operations.md)"
)

MAY_NOT_STAY = "nothing can be stored, so it keeps what comes for the process that can"

# The controller subscribes to these topics of every device. (File blocks have a connection of
# their own: blocks.py.)
HEARD = (topics.reported, topics.presence, topics.metrics)

logger = logging.getLogger(__name__)


class ServiceLink:
    """Keeps a connection to the broker established, in a thread of its own."""

    def __init__(
        self,
        broker: ServiceBroker,
        fleet: str,
        receive: Callable[[str, bytes], None],
        wake: Callable[[], None],
        heard: Sequence[Callable[[str, str], str]] = HEARD,
        purpose: str = "",
        notes_heard: bool = False,
        session: str = "",
        wants: Callable[[str], bool] | None = None,
        may_stay: Callable[[], bool] = lambda: True,
        forgets: bool = False,
    ) -> None:
        """Takes these callables and settings:

        receive: called with each message's topic and payload; must not block.
        wake: called when a connection is established, lost, silent or answered again, or
            acknowledgements have arrived.
        heard: the functions of the device topics to subscribe to.
        purpose: prefix of log lines.
        notes_heard: each connection notes the topics that it has heard (heard.py).
        session: the client id of a session that the broker keeps; "": one for each connection.
        wants: whether a message on this topic is received; else it is dropped.
        forgets: what the session holds at first is forgotten.
        may_stay: whether there may be a connection; looked at before each, and every ASK_SECONDS.
        """
        self.broker = broker
        self.fleet = fleet
        self.heard = [topic(fleet, "+") for topic in heard]
        self.purpose = purpose
        self.notes_heard = notes_heard
        self.session = session
        self.wants = wants
        self.may_stay = may_stay
        self.forgets = forgets
        self.receive = receive
        self.wake = wake
        self.current: Connection | None = None
        self._trouble = Trouble()
        self._failures = 0
        self._turns = 0  # to the next address
        self._short_ones = 0
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, drop: bool = False) -> None:
        """Closes the connection; with `drop` it breaks it off, see Connection.drop."""
        self.begin_to_stop(drop)
        self._thread.join()

    def begin_to_stop(self, drop: bool = False) -> None:
        """As `stop`, but does not wait: a connect that hangs ends after CONNECT_SECONDS."""
        self._stopping.set()
        if self._connection is not None:
            if drop:
                self._connection.drop()
            self._connection.over.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def place(self) -> tuple[str, int]:
        """The host and port of the present connection, or of the next one."""
        places = self.broker.places
        return places[self._turns % len(places)]

    @property
    def reaches(self) -> bool:
        """Whether a connection is established and the broker answers."""
        connection = self.current
        return connection is not None and not connection.silent

    def say(self, problem: str, level: int = logging.WARNING) -> None:
        self._trouble.say(self.purpose + problem, level)

    def stands(self, connection: Connection) -> None:
        self._trouble.over()
        logger.info("%sconnected to the broker at %s:%d", self.purpose, *self.place)
        self._failures = 0
        self.current = connection
        self.wake()

    def answers_again(self) -> None:
        if self._trouble.over():
            logger.info("%sthe broker answers again", self.purpose)
        self.wake()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self.may_stay():
                self._stopping.wait(ASK_SECONDS)
                continue
            self._connection = Connection(self)
            host, port = self.place
            where = f"{host}:{port}"
            try:
                if self.forgets:
                    forget_session(self.broker, self.place, self.session)
                    self.forgets = False
                self._connection.open()
            except (OSError, ValueError) as error:  # ValueError: not a valid host name
                self.say(f"cannot connect to the broker at {where}: {error}")
                served = False
            else:
                served = self._stay(self._connection, where)
            if not served:
                self._turns += 1
            self._pause()

    def _stay(self, connection: Connection, where: str) -> bool:
        """Returns whether the connection has served for a while, when it is over."""
        start = time.monotonic()
        if not self._stopping.is_set():  # a stop() after this line ends the wait
            self._watch(connection, where)
        stood, self.current = self.current, None
        is_short = time.monotonic() - start < SHORT_SECONDS
        self.wake()
        if not connection.over.is_set() and not self.may_stay():
            logger.warning("%sleaves the broker at %s: %s", self.purpose, where, MAY_NOT_STAY)
        elif stood and not self._stopping.is_set():
            self._short_ones = self._short_ones + 1 if is_short else 0
            hint = TAKEN_OVER if self._short_ones >= SHORT_ONES else ""
            if connection.left:
                hint = ": it stands, and brings nothing any more"
            self.say(f"lost the connection to the broker at {where}{hint}")
        elif not connection.refused and not self._stopping.is_set():
            hint = (
                "; if it asks for a certificate, set broker.certificate" if self.broker.tls else ""
            )
            self.say(f"the broker at {where} did not accept the connection{hint}")
        is_deaf = connection.silent or connection.left
        served = stood is not None and not is_short and not is_deaf
        connection.close()
        return served

    def _watch(self, connection: Connection, where: str) -> None:
        """Waits until the connection is over, and asks meanwhile whether the broker answers. One
        that does not is left if there are other addresses."""
        start = time.monotonic()
        while not connection.over.wait(ASK_SECONDS):
            if not self.may_stay():
                return
            if self.broker.others and self._is_to_be_left(connection, start):
                return
            connection.ask_again()
            if self.current is connection:
                before = connection.silent
                connection.ask()
                if connection.silent and not before:
                    self.say(
                        f"the broker at {where} has not answered for {SILENT_ASKS * ASK_SECONDS:g} "
                        "seconds, though the connection stands"
                    )
                    self.wake()

    def _is_to_be_left(self, connection: Connection, start: float) -> bool:
        """Returns whether the broker has not answered for long: a cluster that elects another
        leader, or is slow to make subscriptions, is given its time."""
        if self.current is connection:
            return connection.unanswered * ASK_SECONDS > LEAVE_SECONDS
        return time.monotonic() - start > LEAVE_SECONDS

    def _pause(self) -> None:
        """Waits. The pauses grow when all addresses were tried."""
        tried = self._failures // len(self.broker.places)
        seconds = BACK_OFF_SECONDS[min(tried, len(BACK_OFF_SECONDS) - 1)]
        self._failures += 1
        self._stopping.wait(seconds * random.uniform(0.5, 1.0))
