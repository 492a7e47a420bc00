"""Keys, signatures, and the root document that says whose signatures count."""
