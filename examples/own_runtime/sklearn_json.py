"""A runtime of one's own: it serves a scaler and a linear classifier of scikit-learn, exported as
JSON, because a pickle runs code when it is loaded (docs/runtimes.md).

    json.dump({"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist(),
               "coef": model.coef_.tolist(), "intercept": model.intercept_.tolist()}, file)
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy

from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.host.runtimes.specs import TensorSpec
from modelwave_agent.ports import ProofError


class SklearnJson(HostRuntime):
    format = "sklearn-json"  # the entry point's name, and the format in a manifest
    name = "sklearn-json"  # as in a tolerance; here the version is that of the arithmetic below
    version = "1.0"

    def load(self, path: str, loading: Mapping[str, Any] = {}) -> None:
        with open(path, encoding="utf-8") as file:  # OSError: no fault of the model
            text = file.read()
        try:
            found = {key: numpy.array(value, "<f8") for key, value in json.loads(text).items()}
            self._mean, self._scale = found["mean"], found["scale"]
            self._weights, self._bias = found["coef"].T, found["intercept"]
            features, classes = self._weights.shape
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProofError(f"the model cannot be loaded: {error}") from error
        self.inputs = (TensorSpec("features", "<f8", (1, features)),)
        self.outputs = (TensorSpec("scores", "<f8", (1, classes)),)

    def _run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        scaled = (inputs["features"] - self._mean) / self._scale
        return {"scores": scaled @ self._weights + self._bias}

    def unload(self) -> None:
        self.inputs = self.outputs = ()
