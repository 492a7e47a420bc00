"""What is signed, by whom, and under which keys."""
