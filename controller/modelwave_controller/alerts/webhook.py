"""Posts a webhook once. It follows no redirect, uses no proxy, and reads little of the answer."""

from urllib.parse import urlsplit

import aiohttp

from modelwave_controller.alerts.outcome import NotSent, printable

MAX_SHOWN_BYTES = 200  # of an answer
MAX_LATER_SECONDS = 3600.0


async def post(url: str, headers: dict[str, str], body: bytes, seconds: float) -> None:
    """Raises NotSent unless the receiver takes it within `seconds`; its message has no path of the
    URL."""
    host = urlsplit(url).netloc
    limit = aiohttp.ClientTimeout(total=seconds)
    jar = aiohttp.DummyCookieJar()
    try:
        async with (
            aiohttp.ClientSession(
                timeout=limit, cookie_jar=jar, trust_env=False, auto_decompress=False
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            if 200 <= answer.status < 300:
                return
            said = printable((await answer.content.read(MAX_SHOWN_BYTES)).decode(errors="replace"))
            later = _later(answer.headers.get("Retry-After", ""))
            answer.close()
    except TimeoutError:
        raise NotSent(f"{host} did not answer within {seconds:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NotSent(f"{host} was not reached: {_words(error)}") from None
    where = "; it is not followed to another address" if 300 <= answer.status < 400 else ""
    raise NotSent(f"{host} answered {answer.status}{where}{f': {said}' if said else ''}", later)


def _later(text: str) -> float:
    """Returns in how many seconds the receiver wants to be asked again, within bounds."""
    digits = text.isascii() and text.isdigit()
    return min(float(text[:9]), MAX_LATER_SECONDS) if digits else 0.0


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return printable(str(error.certificate_error))
    cause = getattr(error, "os_error", error)
    return printable(getattr(cause, "strerror", None) or type(error).__name__)
