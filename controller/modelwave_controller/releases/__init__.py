"""From a model's files to a signed release, and the releases that a home holds."""
