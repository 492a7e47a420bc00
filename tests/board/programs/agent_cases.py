"""What BoardAgent does, on MicroPython:

    micropython agent_cases.py FOLDER

FOLDER holds what tests/board/test_board_agent.py has written there: the root's envelope,
orders and files. Prints each failure and last "N passed, M failed".
"""

import asyncio
import json
import os
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

from tests.board.programs import cases, stand_in  # noqa: E402
from tests.board.programs.agent_fakes import FolderFetcher, NearLink  # noqa: E402

from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.board.runtime import FunctionRuntime  # noqa: E402
from modelwave_shared import slots, topics  # noqa: E402

DEVICE, TARGET = "pico-1", "rp2040"
SLOT = slots.slot("demo", DEVICE)
SECONDS = 200
GIVEN = sys.argv[1]


def given(name):
    with open(GIVEN + "/" + name, "rb") as file:
        return file.read()


def ordered(name, model="digits"):
    """The message of a slot's topic."""
    return topics.desired_slot("demo", TARGET, model, SLOT), given(name)


class Life:
    """A board's life on `folder`, from boot until `done(life)`."""

    def __init__(self, folder, messages, models=None, **more):
        self.link = NearLink(messages, keep=True)
        self.models = models or {"digits": FunctionRuntime(stand_in.load)}
        self.served = []
        more.setdefault("serve", self.serve)
        self.agent = BoardAgent(
            DEVICE,
            TARGET,
            self.models,
            self.link,
            GIVEN + "/" + folder,
            GIVEN + "/root.json",
            FolderFetcher(GIVEN + "/files"),
            **more,
        )

    def serve(self, live):
        self.served.append((live.release, live.on_trial))

    def reported(self, model="digits"):
        """What the last report says of the model."""
        return self.report().get("models", {model: {"outcome": ""}})[model]

    def report(self):
        """The last one; {"refused": ""} before the first."""
        topic = topics.reported("demo", DEVICE)
        payloads = [payload for at, payload in self.link.published if at == topic]
        return json.loads(payloads[-1]) if payloads else {"refused": ""}

    def run(self, done):
        asyncio.run(asyncio.wait_for(self._run(done), SECONDS))
        return self

    async def _run(self, done):
        life = asyncio.create_task(self.agent.run())
        while not done(self):
            await asyncio.sleep_ms(5)
        life.cancel()
        try:
            await life
        except asyncio.CancelledError:
            pass


def has_outcome(life):
    return life.reported()["outcome"]


def has_outcome_of(seq):
    return lambda life: life.reported()["outcome"] and life.reported()["seq"] == seq


def refused(call, kind=ValueError):
    """The message of the error that `call` raises."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")


def test_model_is_proven_served_on_trial_and_confirmed():
    life = Life("healthy", [ordered("v1")])
    assert life.agent.live("digits") is None
    life.run(has_outcome)
    assert life.reported()["outcome"] == "SUCCEEDED", life.reported()
    live = life.agent.live("digits")
    assert (live.release, live.version, live.on_trial) == (1, "v1", False)
    assert stand_in.load(live.path)(b"x") == stand_in.answer(given("v1.sha256"), b"x")
    assert life.served == [(1, True)], life.served


def test_model_that_is_to_run_beside_the_live_one_is_rejected():
    life = Life("no-shadow", [ordered("shadow")]).run(has_outcome)
    told = life.reported()
    assert told["outcome"] == "REJECTED", told
    assert told["reason"] == "fit: shadow: this device runs no model beside the live one", told


def test_model_that_is_to_run_beside_the_live_one_goes_on_trial_where_its_order_allows_that():
    life = Life("or-trial", [ordered("shadow-or-trial")]).run(has_outcome)
    assert life.reported()["outcome"] == "SUCCEEDED", life.reported()
    assert life.served == [(1, True)], life.served
    assert "modelwave_agent.shadow" not in sys.modules  # its memory is free again


def test_model_is_live_after_a_reset_only_once_it_was_hashed():
    Life("reset", [ordered("v1")]).run(has_outcome)
    life = Life("reset", [])
    assert life.agent.live("digits") is None
    life.run(lambda life: life.served)
    assert life.served == [(1, False)]
    assert life.agent.live("digits").release == 1


def test_new_model_is_made_from_the_live_one_by_a_delta_or_else_downloaded():
    for name in ("v2", "v2-bad-delta"):
        Life("by-" + name, [ordered("v1")]).run(has_outcome)
        life = Life("by-" + name, [ordered(name)]).run(has_outcome_of(2))
        told = life.reported()
        assert told["outcome"] == "SUCCEEDED", life.report()
        assert life.report()["reads"]["delta"] == 1
        assert ("saved" in told) is (name == "v2"), life.report()
        assert life.report()["refused"].startswith("delta: ") is (name != "v2"), life.report()
        assert "modelwave_agent.delta" not in sys.modules  # its memory is free again
        assert "modelwave_agent.patch" not in sys.modules


async def waited(life, done):
    """The model that its program has waited for, in a life until `done(life)`."""
    waiting = asyncio.create_task(life.agent.wait_live("digits", SECONDS))
    await life._run(done)
    return await waiting


def test_model_is_waited_for_on_a_fresh_board_and_after_a_reset():
    for messages, done in (([ordered("v1")], has_outcome), ([], lambda life: life.served)):
        life = Life("waits", messages)
        assert asyncio.run(waited(life, done)).release == 1


def test_waiting_for_a_model_ends_with_its_time():
    life = Life("waits-in-vain", [])

    async def wait():
        try:
            await life.agent.wait_live("digits", 0.01)
        except asyncio.TimeoutError as error:
            return str(error)

    assert asyncio.run(wait()) == "digits: no model is live yet"


def test_wrong_arguments_of_the_program_are_refused_by_name():
    agent = Life("arguments", []).agent
    for call, name in (
        (lambda: agent.observe("letters"), "model: "),
        (lambda: agent.live("letters"), "model: "),
        (lambda: agent.observe("digits", inferences=-1), "inferences: "),
        (lambda: agent.observe("digits", labelled=1, correct=9), "correct: "),
        (lambda: agent.observe("digits", failures=2), "failures: "),
        (lambda: agent.observe("digits", confidence=2), "confidence: "),
        (lambda: agent.observe("digits", latency_ms=-1), "latency_ms: "),
        (lambda: agent.observe("digits", window=9, release=1, labelled=1), "window: "),
    ):
        assert refused(call).startswith(name), refused(call)
    said = refused(lambda: agent.observe("digits", correct="1"), TypeError)
    assert said == "correct: give a whole number, not a str"


def test_model_that_fails_its_golden_set_is_rolled_back():
    Life("bad", [ordered("v1")]).run(has_outcome)
    life = Life("bad", [ordered("v2-bad")])
    life.run(lambda life: has_outcome(life) and life.reported()["seq"] == 2)
    assert life.reported()["outcome"] == "ROLLED_BACK", life.reported()
    assert "golden set" in life.reported()["reason"]
    assert life.agent.live("digits").release == 1
    assert stand_in.load(life.agent.live("digits").path)


def test_program_that_finds_the_model_unwell_has_it_rolled_back():
    async def slowly(live):
        await asyncio.sleep(0)
        return "too many blanks"

    def at_once(live):
        return "too many blanks"

    for number, healthy in enumerate((slowly, at_once)):
        life = Life("unwell%d" % number, [ordered("v1")], healthy=healthy).run(has_outcome)
        assert life.reported()["outcome"] == "ROLLED_BACK"
        assert life.reported()["reason"] == "too many blanks"
        assert life.agent.live("digits") is None


def test_program_that_breaks_when_it_is_given_the_model_has_it_rolled_back():
    def serve(live):
        raise RuntimeError("no camera")

    life = Life("hook", [ordered("v1")], serve=serve).run(has_outcome)
    assert life.reported()["outcome"] == "ROLLED_BACK"
    assert "no camera" in life.reported()["reason"]


def test_program_with_no_complaint_may_say_nothing():
    async def quiet(live):
        return None

    life = Life("quiet", [ordered("v1")], serve=quiet, healthy=quiet).run(has_outcome)
    assert life.reported()["outcome"] == "SUCCEEDED"


def test_program_defers_an_update_until_it_says_that_it_may():
    seen, reasons = [], ["moving"]

    def may_update(upcoming):
        return reasons[0] if reasons else ""

    def done(life):
        if not seen and life.reported()["outcome"] == "DEFERRED":
            seen.append(life.reported())
            reasons.clear()
            life.agent.update_now()
        return life.reported()["outcome"] == "SUCCEEDED"

    life = Life("deferred", [ordered("v1")], may_update=may_update).run(done)
    assert (seen[0]["state"], seen[0]["reason"], seen[0]["release"]) == ("fetching", "moving", 0)
    assert life.agent.live("digits").release == 1


def test_program_that_breaks_when_it_is_asked_defers_the_update():
    async def broken(upcoming):
        raise RuntimeError("no battery gauge")

    def done(life):
        return life.reported()["outcome"] == "DEFERRED"

    life = Life("broken", [ordered("v1")], may_update=broken).run(done)
    assert "no battery gauge" in life.reported()["reason"]


def test_answer_that_is_no_text_defers_the_update_and_the_agent_goes_on():
    # MicroPython awaits lists, and never comes back from that.
    for answer in ([], ["moving"], ("low", "battery"), 0, b""):

        def done(life):
            return life.reported()["outcome"] == "DEFERRED"

        life = Life("no text", [ordered("v1")], may_update=lambda _, a=answer: a).run(done)
        assert "it gave a " + type(answer).__name__ in life.reported()["reason"]


def test_program_is_not_asked_about_no_model():
    asked = []
    Life("none", [], serve=asked.append).run(lambda life: life.link.published)
    assert asked == []


def test_each_model_has_its_own_runtime_and_folder():
    models = {
        "digits": FunctionRuntime(stand_in.load),
        "words": FunctionRuntime(stand_in.load, name="other"),
    }
    life = Life("two", [ordered("v1"), ordered("words-v1", "words")], models)
    life.run(lambda life: has_outcome(life) and life.reported("words")["outcome"])
    assert life.reported("words")["outcome"] == "SUCCEEDED", life.reported("words")
    assert life.agent.live("words").path.startswith(GIVEN + "/two/words/")
    assert life.agent.live("digits").path.startswith(GIVEN + "/two/digits/")


def test_what_the_program_observes_is_counted_for_the_live_release():
    life = Life("observe", [ordered("v1")], metrics_seconds=1)
    metrics = topics.metrics("demo", DEVICE)

    def measured(life):
        if life.agent.live("digits"):
            life.agent.observe("digits", labelled=1, correct=1)
        return [payload for topic, payload in life.link.published if topic == metrics]

    life.run(measured)
    document = json.loads(measured(life)[0])
    assert document["release"] == 1
    assert document["inferences"] == document["correct"] > 0


def test_what_the_program_measures_is_sent_with_its_window():
    life = Life("measure", [ordered("v1")], metrics_seconds=1)
    metrics = topics.metrics("demo", DEVICE)

    def measured(life):
        if life.agent.live("digits"):
            life.agent.observe(
                "digits", confidence=0.9, predicted=3, latency_ms=40, metrics={"power_mw": 310}
            )
            window = life.agent.window()
            life.agent.observe("digits", release=1, window=window, labelled=1, correct=1)
        return [payload for topic, payload in life.link.published if topic == metrics]

    life.run(measured)
    document = json.loads(measured(life)[0])
    count = document["inferences"]
    assert document["labelled"] == document["correct"] == count > 0
    assert document["latency"]["bins"] == [8, count]
    assert document["confidence"] == [14, count]
    assert document["classes"] == {"3": count}
    assert document["numbers"]["power_mw"][:2] == [count, 310000000]
    assert document["window"] > 0


def test_watchdog_is_fed_during_an_update():
    fed = []
    Life("fed", [ordered("v1")], feed=lambda: fed.append(1)).run(has_outcome)
    assert len(fed) >= 16, len(fed)  # once a golden record alone


def test_board_takes_the_heartbeat_that_answers_its_nonce():
    life = Life("answered", [(topics.heartbeat("demo", DEVICE), given("heartbeat"))])
    life.agent.view.nonce = "0123456789abcdef"
    life.run(lambda life: life.report().get("extra", {}).get("view") == "fresh")
    assert "nonce" not in life.report()["extra"]
    assert "modelwave_agent.heartbeat" not in sys.modules


def test_board_tells_a_heartbeat_for_another_nonce():
    life = Life("replayed", [(topics.heartbeat("demo", DEVICE), given("heartbeat"))])
    life.run(lambda life: "answers another nonce" in life.report()["refused"])
    assert life.report()["extra"]["view"] == "asked"


# Of a controller of next year.


def test_report_says_which_formats_are_read():
    life = Life("reads", []).run(lambda life: "reads" in life.report())
    reads = {"root": 2, "manifest": 2, "order": 2, "heartbeat": 1, "delta": 1}
    assert life.report()["reads"] == reads


def test_board_draws_an_install_id_once_for_its_folder():
    told = []
    for folder in ("install", "install", "another install"):
        life = Life(folder, []).run(lambda life: "install" in life.report())
        told.append(life.report()["install"])
    assert len(told[0]) == 16, told
    assert told[0] == told[1] != told[2], told


def test_order_with_extra_is_taken():
    life = Life("extra-here", [ordered("extra")]).run(has_outcome)
    assert life.reported()["outcome"] == "SUCCEEDED", life.reported()


def test_order_whose_bitmap_has_its_slot_is_taken():
    life = Life("bitmap-here", [ordered("bitmap")]).run(has_outcome)
    assert life.reported()["outcome"] == "SUCCEEDED", life.reported()


def test_order_whose_bitmap_has_other_slots_is_refused():
    life = Life("bitmap-elsewhere", [ordered("bitmap-of-others")])
    life.run(lambda life: life.report()["refused"])
    refused = life.report()["refused"]
    assert refused.startswith("addressed: the order is not for slot "), refused
    assert life.agent.live("digits") is None


def test_order_of_a_newer_format_and_one_with_a_condition_are_refused_by_name():
    for name, problem in (
        ("newer", "order.v: 3 is a newer format"),
        ("condition", "order.condition: an unknown field"),
    ):
        life = Life("refuses-" + name, [ordered(name)])
        life.run(lambda life: life.report()["refused"])
        said = "fields: " + problem + "; order v 2 is read here; update the agent"
        assert life.report()["refused"] == said, life.report()
        assert life.agent.live("digits") is None


def test_manifest_of_a_newer_format_is_rejected_by_name():
    life = Life("newer-manifest-here", [ordered("newer-manifest")]).run(has_outcome)
    said = "manifest: manifest.v: 3 is a newer format; manifest v 2 is read here; update the agent"
    assert life.reported()["outcome"] == "REJECTED", life.reported()
    assert life.reported()["reason"] == said, life.reported()


def test_root_of_trust_that_is_none_is_refused_by_name():
    for name, problem in (
        ("nowhere.json", "2"),
        ("garbage.json", "template"),
        ("one-signature.json", "signatures: 1 of the 2"),
        ("long.json", "4097 bytes, at most 4096"),
        ("newer-root.json", "root.v: 3 is a newer format; root v 2 is read here; update the agent"),
    ):
        path = GIVEN + "/" + name
        said = refused(lambda at=path: BoardAgent(DEVICE, TARGET, {}, None, GIVEN + "/x", at))
        assert said.startswith(path), said
        assert problem in said, said
        assert "x" not in os.listdir(GIVEN)


def test_device_name_that_is_none_is_refused():
    said = refused(lambda: BoardAgent("a/+", TARGET, {}, None, GIVEN, GIVEN + "/root.json"))
    assert said.startswith("device"), said


def test_target_or_model_that_no_report_may_have_is_refused():
    root = GIVEN + "/root.json"
    for target in ("Pico W", "device", "", "a/b"):
        said = refused(lambda t=target: BoardAgent(DEVICE, t, {}, None, GIVEN, root))
        assert said.startswith("target: "), said
    for model in ("Digits", "../x", ""):
        said = refused(lambda m=model: BoardAgent(DEVICE, TARGET, {m: None}, None, GIVEN, root))
        assert said.startswith("models: "), said


cases.run(globals())
