"""What the forms of the pages do: each asks a call with what its fields say, and leads to a page,
or shows its own once more.

`does` gets the fields of the path and of the form as texts; the call checks them and the role.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from modelwave_controller.api import devices as device_calls
from modelwave_controller.api import starts as start_calls
from modelwave_controller.errors import NotFoundError, OperatorError
from modelwave_controller.web.page import acts, start_fields, start_preview
from modelwave_controller.web.page.asking import Asking

REMOVE = "remove."  # begins the names of boxes, each with a tag to take away

Fields = Mapping[str, str]


class Form(NamedTuple):
    """path: where it is sent to
    view: the path of the page that is shown with the reason if the call refuses it
    does: returns where to go then, as a path below the page's own; or what that view shows more
    """

    path: str
    view: str
    does: Callable[[Asking, Fields, Fields], str | dict[str, Any]]


def steer(asking: Asking, path: Fields, form: Fields) -> str:
    name, rollout = path["act"], path["rollout"]
    call = acts.CALLS.get(name)
    if call is None:
        raise NotFoundError(f"there is no act {name[:40]!r} for a rollout")
    asking.ask_text(call, {**form, "rollout": rollout})
    return f"rollouts/{rollout}?done={name}"


def tag(asking: Asking, path: Fields, form: Fields) -> str:
    add = form.get("add", "").replace(",", " ").split()
    remove = [name.removeprefix(REMOVE) for name in form if name.startswith(REMOVE)]
    asking.ask(device_calls.TAG, devices=[path["device"]], add=add, remove=remove)
    return f"devices/{path['device']}?done=tag"


def forget(asking: Asking, path: Fields, _form: Fields) -> str:
    asking.ask(device_calls.FORGET, device=path["device"])
    return "devices?done=forget"


def start(asking: Asking, _path: Fields, form: Fields) -> str | dict[str, Any]:
    said = start_fields.asked(form, asking.now)
    try:
        if form.get("act") == "start":
            begun = asking.ask_read(start_calls.START, said)
            return f"rollouts/{begun.status.rollout}?done=start"
        return {"preview": start_preview.preview(asking.ask_read(start_calls.DRY_RUN, said))}
    except NotFoundError as error:  # what a field names, and not this page
        raise OperatorError(str(error)) from error


FORMS = (
    Form("/start", "/start", start),
    Form("/rollouts/{rollout}/{act}", "/rollouts/{rollout}", steer),
    Form("/devices/{device}/tag", "/devices/{device}", tag),
    Form("/devices/{device}/forget", "/devices/{device}", forget),
)
