"""The runtimes of a host: port.py describes them, registry.py finds them by the model's format."""
