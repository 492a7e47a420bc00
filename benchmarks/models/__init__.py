"""Public models from PyPI's wheels, and what becomes of each: does it load, fit, get a golden set,
a release, and serve on a real agent (python -m benchmarks.models, docs/models.md)."""
