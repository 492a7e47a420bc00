"""Where people reach the listener: [api] url, if a reverse proxy has put it somewhere. Pure."""

from urllib.parse import urlsplit

_USUAL = {"http": ":80", "https": ":443"}


class PublicUrl:
    def __init__(self, url: str = "") -> None:
        """`url` without a slash at its end; "": it is where it listens."""
        parts = urlsplit(url)
        self.prefix = parts.path
        # As a browser writes it in the header Origin.
        host = parts.netloc.lower().removesuffix(_USUAL.get(parts.scheme, ":"))
        self.origin = f"{parts.scheme}://{host}" if url else ""

    def own(self, path: str) -> str:
        """Returns the path of a request as if there were no proxy, which may have taken its prefix
        away, or not."""
        is_below = self.prefix and path.startswith(self.prefix + "/")
        return path.removeprefix(self.prefix) if is_below else path


HERE = PublicUrl()
