"""The broker's errors, by whose fault they are."""


class BrokerError(Exception):
    """The settings, the credentials or the port are wrong; the message tells the operator what
    to do."""


class ClientRefused(Exception):
    """A client broke a rule: its connection is ended, and the reason is logged."""
