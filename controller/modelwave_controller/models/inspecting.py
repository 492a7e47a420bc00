"""The program that inspects a stranger's model, in a process of its own, which model_fits.py of
releases/ starts without rights:

    python -m modelwave_controller.models.inspecting ASKED

ASKED is a file of JSON: {"model": a path, "name": what errors call it, "targets": all about each}.
The program prints a line of JSON, {"entries": what `model inspect --json` says} or {"problem": why
it cannot be inspected}, and ends itself where that takes too long or too much memory.
"""

import json
import resource
import signal
import sys
from pathlib import Path

from modelwave_controller.errors import OperatorError
from modelwave_controller.models.needs import MAX_ANALYSED_BYTES
from modelwave_controller.models.opening import read_model_file
from modelwave_controller.models.rows import inspected, on_targets
from modelwave_controller.models.targets import Target

SECONDS = 60
MEMORY_BYTES = 3 << 30


def main(asked: Path) -> None:
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    said = json.loads(asked.read_bytes())
    model, name = Path(said["model"]), said["name"]
    targets = [Target.model_validate_json(json.dumps(one)) for one in said["targets"]]
    try:
        data = read_model_file(model, "FILE", MAX_ANALYSED_BYTES, also_onnx=True)
        found = {"entries": list(on_targets(inspected(name, data), targets))}
    except OperatorError as error:
        print(json.dumps({"problem": str(error).replace(str(model), name)}))
    except MemoryError:
        print(json.dumps({"problem": f"{name}: it takes more than {MEMORY_BYTES} bytes of memory"}))
    else:
        print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
