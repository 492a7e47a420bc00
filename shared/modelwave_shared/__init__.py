"""The code that controller and agent share: documents, topics and checks."""
