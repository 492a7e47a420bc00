"""Runs a model's golden set: compares the model's outputs with the expected ones."""

from modelwave_shared.golden import HEADER_BYTES, GoldenError, Header, Judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.types import Breathe, Document


async def judge_golden(
    run: "Callable[[bytes], bytes]",
    runtime: str,
    golden_path: str,
    tolerance: "Document",
    breathe: "Breathe",
) -> str:
    """Returns "" if the model is healthy, else what is wrong with it or with the golden file.
    `run` runs the model on one input; `runtime` is the runtime's name. Raises OSError, and what
    `run` raises."""
    try:
        with open(golden_path, "rb") as file:
            header = Header(file.read(HEADER_BYTES))
            judge = Judge(header, tolerance, runtime)
            for _ in range(header.count):
                given = file.read(header.input_bytes)
                expected = file.read(header.expected_bytes)
                if len(expected) != header.expected_bytes:
                    raise GoldenError("golden: cut off after %d records" % judge.seen)
                judge.add(run(given), expected)
                await breathe()
            return judge.verdict()
    except GoldenError as error:
        return str(error)
