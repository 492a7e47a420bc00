"""An agent whose model was confirmed in an earlier life, and which no broker answers."""

import contextlib

from modelwave_agent.host import HostAgent
from modelwave_agent.journal import Journal
from modelwave_agent.record import new_record
from tests import signing
from tests.agent.host_places import refused_port

MODEL = "model"


@contextlib.contextmanager
def serving(folder, data, loading=None, lines=(), format_="tflite", release=1):
    """A running agent with the model `data`, which is live. `lines`: more of its agent.toml."""
    with refused_port() as port:
        config = prepared(folder, data, port, loading, lines, format_, release)
        with HostAgent.from_config(config) as agent:
            agent.wait_live(MODEL)
            yield agent


def prepared(folder, data, port, loading=None, lines=(), format_="tflite", release=1):
    """Writes the state of the agent, and returns the path of its agent.toml."""
    bank = folder / "state" / MODEL
    bank.mkdir(parents=True)
    (bank / "a.model").write_bytes(data)
    digest = signing.sha(data)
    entry = {
        "manifest": digest,
        "release": release,
        "version": "v1",
        "files": [{"role": "model", "sha256": digest, "size": len(data)}],
        "limit_us": 0,
        "format": format_,
        "loading": loading or {},
        "confirmed": True,
    }
    journal = Journal(str(bank), "journal")
    journal.read()
    journal.write(new_record() | {"banks": [entry, None]})
    (folder / "root.json").write_bytes(signing.root_envelope())
    config = folder / "agent.toml"
    settings = [
        'device = "pi-1"',
        'target = "linux-cpu"',
        f'models = ["{MODEL}"]',
        'state = "state"',
        'root = "root.json"',
        "[broker]",
        f'url = "mqtt://127.0.0.1:{port}"',
        *lines,
    ]
    config.write_text("\n".join(settings))
    return config
