"""A stand-in for the module onnxruntime with GPU providers, which need hardware that tests have
not: it implements the calls that modelwave makes, keeps the options, and computes nothing."""

from pathlib import Path
from types import SimpleNamespace

GPU_PROVIDERS = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


class SessionOptions:
    def __init__(self):
        self.entries = {}

    def add_session_config_entry(self, key, value):
        self.entries[key] = value


class FakeOnnxRuntime:
    """`broken`: providers that the package has, and that cannot be started here. A session with
    TensorRT builds an engine, unless its cache has one; `built` counts them."""

    SessionOptions = SessionOptions
    __version__ = "1.99.0"

    def __init__(self, broken=()):
        self.broken = broken
        self.sessions = []
        self.built = 0

    def get_available_providers(self):
        return GPU_PROVIDERS

    def InferenceSession(self, path, options, providers, enable_fallback):
        assert not enable_fallback, "it would go on with other providers by itself"
        started = {name: its for name, its in providers if name not in self.broken}
        if not started and "session.disable_cpu_ep_fallback" in options.entries:
            raise RuntimeError(
                "nodes are assigned to the default CPU EP, but fallback to CPU EP has been "
                "explicitly disabled by the user."
            )
        tensorrt = started.get("TensorrtExecutionProvider", {})
        if "trt_engine_cache_path" in tensorrt:
            engine = Path(tensorrt["trt_engine_cache_path"], "graph_sm87.engine")
            self.built += not engine.exists()
            engine.write_bytes(bytes(1000))
        self.sessions.append(SimpleNamespace(options=options, providers=dict(providers)))
        names = [*started] + ["CPUExecutionProvider"] * ("CPUExecutionProvider" not in started)
        tensor = SimpleNamespace(name="x", type="tensor(float)", shape=[1])
        return SimpleNamespace(
            get_providers=lambda: names,
            disable_fallback=lambda: None,
            get_inputs=lambda: [tensor],
            get_outputs=lambda: [tensor],
        )
