"""Where the broker is, and as whom to connect to it."""

from dataclasses import dataclass, field
from pathlib import Path

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import BrokerSettings, Home
from modelwave_shared.authorities import Authorities, UnusableFile

# What brokers say of a user that they do not let in, as paho tells it.
_NO_ENTRY = ("Not authorized", "Bad user name or password")


def mend_of(refusal: str) -> str:
    """Returns what lets the controller in after a refusal that ends with the broker's reason; "" if
    its user is not the reason."""
    return "set user and password_file under [broker]" if refusal.endswith(_NO_ENTRY) else ""


@dataclass(frozen=True)
class ServiceBroker:
    """The broker's address and the user to connect as; `tls` None means plain TCP. `others` are
    further addresses of the same cluster, (host, port)."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Authorities | None = None
    others: tuple[tuple[str, int], ...] = ()

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        return (self.host, self.port), *self.others

    @property
    def described(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self.places)


def broker_of(home: Home) -> ServiceBroker:
    """Returns the broker of controller.toml. Raises OperatorError, which names the setting."""
    return address_of(home.config.broker, home.path)


def address_of(settings: BrokerSettings, folder: Path) -> ServiceBroker:
    """Returns the broker of settings whose files are in `folder`. Raises OperatorError."""
    password = ""
    if settings.password_file:
        path = folder / settings.password_file
        password = disk.read_secret_text(path, "broker.password_file")
    names = (settings.ca, settings.certificate, settings.key)
    try:
        files = [str(folder / name) if name else "" for name in names]
        tls = Authorities(*files) if settings.tls else None
    except UnusableFile as error:
        raise OperatorError(f"broker.{error.setting}: {error}") from error
    first, *others = settings.places
    return ServiceBroker(*first, settings.user, password, tls, tuple(others))
