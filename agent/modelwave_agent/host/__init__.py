"""The agent on Linux hosts (Pi, gateway, Jetson, Coral); CPython only. Inference programs use
`HostAgent`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwave_agent.host.agent import AgentStopped, HostAgent
    from modelwave_agent.host.runtimes.specs import InputError
    from modelwave_agent.ports import ProofError

__all__ = ["AgentStopped", "HostAgent", "InputError", "ProofError"]


def __getattr__(name: str) -> Any:
    """Imports a name on first use, because prove.py, which runs in a process of its own, needs
    none."""
    if name in ("AgentStopped", "HostAgent"):
        from modelwave_agent.host import agent

        return getattr(agent, name)
    if name == "InputError":
        from modelwave_agent.host.runtimes.specs import InputError

        return InputError
    if name == "ProofError":
        from modelwave_agent.ports import ProofError

        return ProofError
    raise AttributeError(name)
