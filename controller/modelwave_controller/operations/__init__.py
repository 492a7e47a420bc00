"""The operations of an operator; the command line calls them."""
