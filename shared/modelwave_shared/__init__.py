"""The language of the wire: what controller and agent agree on."""
