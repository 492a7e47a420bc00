"""A browser without a screen: it keeps cookies for the folder that they are from, and sends forms
as a browser does."""

import http.client
import re
from typing import NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str


class PageReader:
    """Paths are below the URL. `url`: its origin."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url, self.below = f"{parts.scheme}://{parts.netloc}", parts.path
        self.cookies: dict[str, str] = {}
        self._folders: dict[str, str] = {}  # of the cookies

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Sends a form, as from the page itself unless `headers` say another Origin."""
        said = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.url} | headers
        return self.send("POST", path, urlencode(fields), said)

    def send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        path = self.below + path
        said = {name.replace("_", "-"): text for name, text in headers.items() if text}
        if its := [name for name in self.cookies if path.startswith(self._folders[name])]:
            said["Cookie"] = "; ".join(f"{name}={self.cookies[name]}" for name in its)
        connection.request(method, path, body, said)
        response = connection.getresponse()
        found = Answer(response.status, response.headers, response.read().decode())
        connection.close()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, rest = cookie.partition("=")
            self.cookies[name] = rest.partition(";")[0]
            self._folders[name] = path.rpartition("/")[0] + "/"
        return found

    def log_in(self, token: str) -> None:
        answer = self.post("/login", {"token": token})
        assert answer.status == 303, answer.text

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/").text)
        assert found
        return found[1]

    def act(self, path: str, **fields: str) -> Answer:
        """Sends a form of the page; returns the page to which that leads."""
        answer = self.post(path, {"csrf": self.csrf()} | fields)
        if answer.status == 303:
            return self.get(urljoin(path, answer.headers["Location"]))
        return answer
