"""Seeded faults: one-line changes of the product; a test of `make test` has to catch each."""
