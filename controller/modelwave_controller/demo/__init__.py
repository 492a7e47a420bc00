"""`modelwave demo`: the whole path on this machine, with real parts."""
