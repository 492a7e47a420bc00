"""What the newest root trusts of this home: its order key, its releases, and what runs."""

from collections.abc import Mapping
from contextlib import closing, suppress

from modelwave_controller.errors import ModelwaveError, WrongKeyError
from modelwave_controller.home import Home
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.storage import log
from modelwave_controller.storage.store import Store, file_of
from modelwave_controller.trust import chain


def troubles(home: Home) -> list[str]:
    """Returns what is wrong with the roots of the home, and what has to be done under the newest
    one, a line each, with the commands."""
    found = [home.chain.trouble] if home.chain.trouble else []
    newer = chain.found_path(home.path, home.chain.version + 1)
    if newer.exists():
        found.append(
            f"no order is signed: the broker has root {home.chain.version + 1}, and this home is "
            f"at root {home.chain.version}: `modelwave root publish {newer}` catches up"
        )
    return found + left_to_do(home)


def left_to_do(home: Home) -> list[str]:
    """Returns what has to be done under the newest root, a line each, with the commands."""
    found = []
    with suppress(ModelwaveError):  # such as a passphrase, which only the service knows
        try:
            home.order_key()
        except WrongKeyError as error:
            found.append(f"no order is signed: {error}; put one of these there")
    found += _below(home, home.root.minimum)
    return found + [
        f"devices refuse release {', '.join(map(str, numbers))} of {model}: too few keys of the "
        f"newest root have signed: `modelwave release sign {model} --key FILE`"
        for model, numbers in Releases(home).unsound().items()
    ]


def below(home: Home, model: str, least: int) -> list[str]:
    """Returns warnings about releases below a minimum that rollouts have brought to devices."""
    return _below(home, {model: least})


def _below(home: Home, minimum: Mapping[str, int]) -> list[str]:
    file = file_of(home.database_url)
    if not minimum or (file is not None and not file.exists()):
        return []
    with closing(Store(home.database_url)) as store, store.read() as connection:
        found = log.without_answers(connection).current
    return [
        f"release {release.release} of {model}, which runs on {target}, is below {minimum[model]}: "
        "devices that have it go on with it, and no device is brought to it any more"
        for (model, target), release in sorted(found.items())
        if release.release < minimum.get(model, 0)
    ]
