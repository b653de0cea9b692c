"""Running means between two rows of metrics."""

from collections.abc import Mapping

from torch import Tensor

from workbench.parallel.collectives import average


class Window:
    """Running means of the loss and its terms since the last row, kept on the device, and the training time."""

    def __init__(self) -> None:
        self.steps, self.seconds, self.sums = 0, 0.0, dict[str, Tensor]()

    def add(self, loss: Tensor, logs: Mapping[str, Tensor]) -> None:
        self.steps += 1
        for name, value in {"loss": loss.detach(), **logs}.items():
            value = value.float()  # sums in bf16 would lose small addends
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()

    def pop(self) -> dict[str, float]:
        """The means over steps and processes; begins a new window."""
        sums = list(self.sums.values())
        average(sums)
        means = {name: float(value) / self.steps for name, value in zip(self.sums, sums, strict=True)}
        self.__init__()
        return means
