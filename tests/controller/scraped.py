"""What a scrape says, read by the parser of Prometheus' own client library."""

from prometheus_client.parser import text_string_to_metric_families
from rollout_world import World

from modelwave_controller.metrics.exposition import Exposition
from modelwave_controller.service.vitals import Vitals


class Scrape:
    """The series of a text."""

    def __init__(self, text: bytes) -> None:
        self.families = list(text_string_to_metric_families(text.decode()))
        self.samples = [sample for one in self.families for sample in one.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def of(self, name: str, *labels: str) -> dict[str | tuple[str, ...], float]:
        """Returns {values of `labels`: value} of the series `name`, without those of 0; one label's
        value stands alone."""
        its = [sample for sample in self.samples if sample.name == "modelwave_" + name]
        keys = [tuple(sample.labels[label] for label in labels) for sample in its]
        found = {
            key[0] if len(key) == 1 else key: sample.value
            for key, sample in zip(keys, its, strict=True)
            if sample.value
        }
        assert len(set(keys)) == len(keys), "two series of one name"
        return found

    def value(self, name: str) -> float:
        [found] = [s.value for s in self.samples if s.name == "modelwave_" + name]
        return float(found)


def scrape(world: World, exposition: Exposition | None = None) -> Scrape:
    exposition = exposition or Exposition(Vitals(), lambda: world.steady)
    with world.store.read() as connection:
        return Scrape(exposition.render(connection, world.now))
