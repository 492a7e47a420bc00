"""Runs a model's golden set: what comes out against what must."""

from modelwave_agent.ports import ProofError
from modelwave_shared.golden import HEADER_BYTES, GoldenError, Header, Judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.ports import Breathe, Runtime
    from modelwave_shared.fields import Document


async def proven(
    runtime: "Runtime",
    model_path: str,
    golden_path: str,
    tolerance: "Document",
    breathe: "Breathe",
) -> str:
    """Loads the model into `runtime` for it; "" for healthy, else what is wrong with it.
    OSError, MemoryError."""
    try:
        runtime.load(model_path)
        try:
            return await judge_golden(runtime, golden_path, tolerance, breathe)
        finally:
            runtime.unload()
    except (GoldenError, ProofError) as error:
        return str(error)


async def judge_golden(
    runtime: "Runtime", golden_path: str, tolerance: "Document", breathe: "Breathe"
) -> str:
    """Runs each record of the golden file through the loaded `runtime`; the verdict, ""
    for healthy. GoldenError, ProofError, OSError."""
    with open(golden_path, "rb") as file:
        header = Header(file.read(HEADER_BYTES))
        judge = Judge(header, tolerance, runtime.name)
        for _ in range(header.count):
            given = file.read(header.input_bytes)
            expected = file.read(header.expected_bytes)
            if len(expected) != header.expected_bytes:
                raise GoldenError("golden: cut off after %d records" % judge.seen)
            judge.add(runtime.run(given), expected)
            await breathe()
        return judge.verdict()
