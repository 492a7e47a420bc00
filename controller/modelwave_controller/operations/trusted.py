"""What the newest root trusts of this home: its order key, its releases, and what runs."""

from contextlib import closing

from modelwave_controller.errors import ModelwaveError
from modelwave_controller.home import Home
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.storage import log
from modelwave_controller.storage.store import Store, file_of


def left_to_do(home: Home) -> list[str]:
    """Returns what has to be done before the service can sign orders, a line each, with the
    commands."""
    found = []
    try:
        home.order_key()
    except ModelwaveError as error:
        found.append(f"no order is signed: {error}; put a key that the root names there")
    return found + [
        f"{model}: its releases {', '.join(map(str, numbers))} are not signed by enough release "
        f"keys of the root: `modelwave release sign {model} --key FILE`"
        for model, numbers in Releases(home).unsound().items()
    ]


def below(home: Home, model: str, least: int) -> list[str]:
    """Returns warnings about releases below a minimum that rollouts have brought to devices."""
    file = file_of(home.database_url)
    if file is not None and not file.exists():
        return []
    with closing(Store(home.database_url)) as store, store.read() as connection:
        found = log.under_way(connection).current
    return [
        f"release {release.release} of {model}, which runs on {target}, is below {least}: devices "
        "that have it go on with it, and no device is brought to it any more"
        for (of_model, target), release in sorted(found.items())
        if of_model == model and release.release < least
    ]
