"""The operator's side of modelwave; CPython only."""
