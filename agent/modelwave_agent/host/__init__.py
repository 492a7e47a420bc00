"""CPython only: Pi, gateway, Jetson, Coral. `HostAgent` is what an inference program uses."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwave_agent.host.agent import HostAgent
    from modelwave_agent.ports import ProofError

__all__ = ["HostAgent", "ProofError"]


def __getattr__(name: str) -> Any:
    """Imports on first use: prove.py, a process for each proof, needs none of it."""
    if name == "HostAgent":
        from modelwave_agent.host.agent import HostAgent

        return HostAgent
    if name == "ProofError":
        from modelwave_agent.ports import ProofError

        return ProofError
    raise AttributeError(name)
