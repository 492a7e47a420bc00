"""Golden sets of hosts: .npz archives (archive.py) and the binary form of boards (binary.py), how a
model is judged by them (proof.py), and how they are made and examined (__main__.py)."""
