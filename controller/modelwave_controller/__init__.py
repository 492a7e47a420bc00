"""The operator's side; CPython only."""
