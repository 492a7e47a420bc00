"""The alert rules, the scrape configuration and the dashboard in docker/: Prometheus' own promtool
reads them, and each series that they ask for is one that a scrape has."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from rollout_world import FLEET, World
from scraped import Scrape, scrape
from tests.controller import test_report_gates as reported
from tests.controller.test_metrics import lead
from tests.tools import needed

from modelwave_controller.metrics.exposition import Exposition
from modelwave_controller.metrics.handlers import Watched
from modelwave_controller.metrics.listener import listening
from modelwave_controller.rollout.repair import Repair
from modelwave_controller.service.vitals import Vitals
from modelwave_controller.storage import repairs, shares
from modelwave_shared import topics

DOCKER = Path(__file__).parents[2] / "docker"
PROMETHEUS = DOCKER / "prometheus"
RULES, DASHBOARD = PROMETHEUS / "rules.yml", DOCKER / "grafana" / "modelwave.json"
LONG = os.environ.get("MODELWAVE_LONG") == "1"
SERIES = re.compile(r"\b((?:modelwave|process)_[a-z_]+)")
LABELS = re.compile(r"by \(([a-z, ]+)\)")


class Alert:
    """What is counted of an alert whose message was tried twice in vain."""

    sent, failed, given_up, waiting, tries = 5, 3, 1, 4, 2


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[Scrape]:
    """A scrape of a service that leads, with ingest processes, a rollout and a gate."""
    with closing(World(tmp_path, devices=3)) as world:
        world.start(1, reported.judging(reported.ACCURACY))
        reported.with_looks(world, reported.look(0, 0, reported.finding("FAIL", target="")))
        world.inbox.put(topics.presence(FLEET, "d1"), b"online")
        world.hear([])
        with world.store.write() as connection:
            shares.divide(connection, 2, world.now)
            repairs.replace(connection, [], {("d1", "digits"): Repair(1, 0.0, 3, 9.0)})
        lead(world)
        seen = Vitals()
        seen.came_round(database=True, broker=True, leads=True)
        seen.figures.alerts = {"on-call": Alert()}
        yield scrape(world, Exposition(seen))


def promtool(*arguments: str) -> str:
    program = needed("promtool", "prometheus")
    done = subprocess.run(
        [program, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text())


def queries() -> list[str]:
    targets = [one["expr"] for panel in dashboard()["panels"] for one in panel.get("targets", [])]
    variables = [one["definition"] for one in dashboard()["templating"]["list"][1:]]
    return targets + variables


def test_promtool_accepts_rules_and_scrapes() -> None:
    promtool("check", "rules", "rules.yml")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_alerts_fire_when_they_should_and_not_before() -> None:
    promtool("test", "rules", "rules_test.yml")
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    fired = {
        one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]
    }
    assert fired == set(rules())


def test_every_series_of_rules_and_dashboard_is_in_a_scrape(scraped: Scrape) -> None:
    for query in [*queries(), *(rule["expr"] for rule in rules().values())]:
        asked = set(SERIES.findall(query))
        assert asked - scraped.names == set(), query
        assert asked or "up{" in query, query


def test_every_alert_is_in_the_documentation() -> None:
    page = (DOCKER.parent / "docs" / "operations.md").read_text()
    assert set(re.findall(r"`(Modelwave\w+)`", page)) == set(rules())


def test_repairs_are_counted_by_model(scraped: Scrape) -> None:
    assert scraped.of("repaired_devices", "model") == {"digits": 1}
    assert scraped.of("repairs", "model") == {"digits": 3}


def test_alerts_that_wait_are_told_by_the_process_that_leads(scraped: Scrape) -> None:
    assert scraped.of("alerts_tries", "alert") == {"on-call": 2}
    assert scraped.of("alerts_given_up_total", "alert") == {"on-call": 1}
    stands_by = Vitals()
    stands_by.figures.alerts = {"on-call": Alert()}
    names = Scrape(Exposition(stands_by).render(None, 0.0)).names
    assert "modelwave_alerts_given_up_total" in names
    assert "modelwave_alerts_waiting" not in names


def test_every_label_that_is_asked_for_is_one_of_its_series(scraped: Scrape) -> None:
    known = {label for sample in scraped.samples for label in sample.labels} | {"job", "instance"}
    for query in [*queries(), *(rule["expr"] for rule in rules().values())]:
        used = {label.strip() for by in LABELS.findall(query) for label in by.split(",")}
        used |= set(re.findall(r"(\w+)=~?\"", query))
        assert used <= known, query


def test_promtool_reads_a_scrape_and_finds_no_fault(tmp_path: Path) -> None:
    program = needed("promtool", "prometheus")
    with closing(World(tmp_path, devices=3)) as world, world.store.read() as connection:
        text = Exposition(Vitals()).render(connection, world.now)
    done = subprocess.run(
        [program, "check", "metrics"], input=text, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboard_has_panels_that_do_not_overlap_and_a_choice_of_the_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    sources = {
        one["datasource"]["uid"]
        for panel in dashboard()["panels"]
        for one in panel.get("targets", [])
    }
    assert sources == {"${datasource}"}


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="a real Prometheus: MODELWAVE_LONG=1")
def test_a_real_prometheus_scrapes_it_and_takes_its_rules(tmp_path: Path) -> None:
    needed("prometheus")
    (tmp_path / "home").mkdir()
    with closing(World(tmp_path / "home", devices=3)) as world:
        world.start(1, reported.judging(reported.ACCURACY))
        lead(world)
        seen = Vitals()
        seen.came_round(database=True, broker=True, leads=True)
        found = asyncio.run(scraped_by_prometheus(tmp_path, Watched(seen, world.store)))
    assert found["up"] == [({"job": "modelwave"}, "1")]
    assert ({"job": "modelwave", "status": "NEW"}, "1") in found["modelwave_rollouts"]
    assert found["rules"] == sorted(rules())


async def scraped_by_prometheus(folder: Path, watched: Watched) -> dict[str, list[Any]]:
    async with listening(watched, "127.0.0.1", 0) as url:
        text = (PROMETHEUS / "prometheus.yml").read_text()
        text = text.replace("127.0.0.1:8181", url.removeprefix("http://")).replace("15s", "200ms")
        (folder / "prometheus.yml").write_text(text)
        shutil.copy(RULES, folder)
        process = await asyncio.create_subprocess_exec(
            needed("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            "--web.listen-address=127.0.0.1:0",
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            said = (await process.stderr.readuntil(b"ready to receive web requests")).decode()
            where = re.search(r"Listening on\W+address=(127\.0\.0\.1:\d+)", said)
            assert where is not None, said
            return await _asked(f"http://{where[1]}/api/v1")
        finally:
            process.kill()
            await process.wait()


async def _asked(api: str) -> dict[str, list[Any]]:
    """Returns the newest values of some series, as soon as there are any, and the rules with what
    is wrong with each."""
    found: dict[str, list[Any]] = {}
    async with aiohttp.ClientSession() as session:
        for name in ("up", "modelwave_rollouts"):
            while not found.get(name):
                async with session.get(f"{api}/query", params={"query": name}) as answer:
                    result = (await answer.json())["data"]["result"]
                found[name] = [(_labels(one["metric"]), one["value"][1]) for one in result]
        async with session.get(f"{api}/rules") as answer:
            groups = (await answer.json())["data"]["groups"]
    its = [rule for group in groups for rule in group["rules"]]
    wrong = ((one["name"], one["lastError"]) for one in its if one.get("lastError"))
    found["rules"] = [*wrong, *sorted(one["name"] for one in its)]
    return found


def _labels(metric: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in metric.items() if k not in ("__name__", "instance")}
