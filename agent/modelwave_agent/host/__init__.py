"""The agent on Linux hosts (Pi, gateway, Jetson, Coral); CPython only. Inference programs use
`HostAgent`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwave_agent.host.agent import HostAgent
    from modelwave_agent.ports import ProofError

__all__ = ["HostAgent", "ProofError"]


def __getattr__(name: str) -> Any:
    """Imports a name on first use, because prove.py, which runs in a process of its own, needs
    none."""
    if name == "HostAgent":
        from modelwave_agent.host.agent import HostAgent

        return HostAgent
    if name == "ProofError":
        from modelwave_agent.ports import ProofError

        return ProofError
    raise AttributeError(name)
