"""The configuration of ``ddpm``."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from workbench.config import AUGMENTATION, Probability, Range, TrainConfig
from workbench.errors import WorkbenchError
from workbench.networks.options import DenoisingOptions, denoising_presets
from workbench.probability.names import Prediction, Sampler

Loss = Literal["simple", "variational", "min_snr"]


@dataclass(frozen=True, kw_only=True)
class DDPMConfig(DenoisingOptions, TrainConfig):
    """DDPM's own options."""

    prediction: Prediction = "eps"
    """What the network predicts: the noise, the image, the velocity or the score."""
    loss: Loss = "simple"
    """How squared errors are weighted over noise levels: not at all, as the bound does, or by min(SNR, --min-snr)."""
    min_snr: Annotated[float, Range(above=0)] = 5.0
    """Largest signal-to-noise ratio that min_snr weighs the image's error by."""
    variance: Literal["small", "large", "learned"] = "small"
    """Variance of a sampling step: the posterior's, beta, or one between them that the network predicts."""
    noise_steps: Annotated[int, Range(2)] = 1000
    """Steps T of the noising process; linear schedules take their betas times 1000 / T."""
    noise_schedule: Literal["linear", "cosine", "zero_snr"] = "linear"
    """How the noise grows over the steps; zero_snr is linear, rescaled to end in noise alone (Lin et al. 2024)."""
    conditional: bool = False
    """Give the network the image's label."""
    label_dropout: Probability = 0.1
    """Probability that a label is withheld in training, so that the network can do without; between 0 and 1."""
    guidance: Annotated[float, Range(0)] = 0.0
    """Classifier-free guidance w of a conditional model's samples: (1 + w) times its estimate less w times that without
    a label."""
    likelihood_steps: Annotated[int, Range(1)] = 16
    """Noise levels per image at which the bound on its likelihood is estimated."""
    ema: Probability = 0.9999
    """Decay of the averaged weights; it is smaller in the first steps."""
    feature_steps: Annotated[tuple[int, ...], Range(0)] = (10, 100, 300)
    """Noise levels (of 1000) at which features are read."""
    reconstruct_steps: Annotated[tuple[int, ...], Range(0)] = (100, 250, 500, 750)
    """Noise levels (of 1000) from which images are reconstructed."""
    sampler: Sampler = "dpm-solver++"
    """Default sampler."""
    flip: Annotated[Probability, AUGMENTATION] = 0.5
    """Probability of a horizontal flip."""

    def for_classes(self, classes: int | None, data: str) -> Self:
        if self.conditional and not classes:
            raise WorkbenchError(
                f"The training images of {data} have no labels for --conditional; leave it out, or choose images with "
                "classes, such as a folder with one folder per class."
            )
        return self

    @classmethod
    def presets(cls, size: int) -> dict[str, dict[str, Any]]:
        return denoising_presets(size)
