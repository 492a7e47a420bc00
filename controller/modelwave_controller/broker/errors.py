"""What goes wrong, by whose fault."""


class BrokerError(Exception):
    """The operator's to mend: the settings, the credentials or the port. Says how."""


class ClientRefused(Exception):
    """A client's fault: its connection ends, and the reason is logged."""
