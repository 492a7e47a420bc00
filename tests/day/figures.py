"""Memory of the service and size of the database, a figure after each rollout.

Nothing is deleted within a day: what devices measured is kept for 30 days at least, as
docs/operations.md says. So the database grows by what the fleet says, and flat means that a rollout
late in the day adds no more than one early in the day; of the memory it means that it does not grow
but for MEMORY_MIB. The service is ended and started again in the day, so the medians of some
rollouts are compared."""

from statistics import median

from tests.day.controller import SERVICE
from tests.day.parts import resident

MEMORY_MIB = 48
STEEPER = 1.5
FEWEST = 20  # rollouts; of fewer nothing is said
MIB = 2**20


class Figures:
    def __init__(self):
        self.memory = []
        self.database = []

    def add(self, controller):
        process = controller.running.running.get(SERVICE)
        if process:
            self.memory.append(resident(process.pid))
        self.database.append(controller.size() / MIB)

    @property
    def memory_grew(self):
        """From the second tenth of the rollouts to the last one, in MiB."""
        part = max(1, len(self.memory) // 10)
        early, late = self.memory[part : 2 * part], self.memory[-part:]
        return median(late) - median(early) if early else 0.0

    @property
    def database_grew(self):
        return self.database[-1] - self.database[len(self.database) // 5] if self.database else 0.0

    def faults(self):
        if len(self.database) < FEWEST:
            return []
        found = []
        if self.memory_grew > MEMORY_MIB:
            found.append(f"the service grew by {self.memory_grew:.0f} MB")
        fifth, half = len(self.database) // 5, len(self.database) // 2
        early = (self.database[half] - self.database[fifth]) / (half - fifth)
        late = (self.database[-1] - self.database[half]) / (len(self.database) - 1 - half)
        if late > STEEPER * early:
            found.append(f"a rollout adds {late:.2f} MB late in the day, {early:.2f} MB early")
        return found

    def line(self):
        each = self.database_grew / max(1, len(self.database) * 4 // 5)
        return (
            f"memory {self.memory_grew:+.0f} MB, database {self.database_grew:+.0f} MB "
            f"({each:.2f} MB a rollout)"
        )
