"""Makes folders that are still there after a power cut: the name of each is synced."""

from pathlib import Path

from modelwave_agent.journal import sync_name


def make_folder(folder: Path) -> None:
    """Makes the folder, and those above it, where they are missing. Raises OSError."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_name(str(folder))
