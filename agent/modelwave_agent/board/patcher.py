"""Applies deltas of kind 1 on a board, if its firmware has MicroPython's module `deflate`."""

from modelwave_agent.ports import Patcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.intake import Intake
    from modelwave_agent.types import Breathe

WINDOW_BITS = 9  # 512 bytes


class BoardPatcher(Patcher):
    def __init__(self) -> None:
        try:
            import deflate  # noqa: F401  the firmware may have none
        except ImportError:
            return
        self.reads = 1

    async def patch(
        self, kind: int, delta: str, base: str, intake: "Intake", breathe: "Breathe"
    ) -> None:
        """As in ports.Patcher."""
        from deflate import RAW, DeflateIO

        from modelwave_agent.patch import Patch

        with open(delta, "rb") as source, open(base, "rb") as old:
            await Patch(DeflateIO(source, RAW, WINDOW_BITS), old, intake, breathe).run()
