"""What an operator may do and see; the command line stands on it."""
