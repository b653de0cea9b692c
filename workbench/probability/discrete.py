"""Discrete diffusion: T noise levels, and the terms of the bound on the likelihood at each of them.

Ho, Jain and Abbeel 2020 (arXiv 2006.11239), equation 5, in nats:

    -ln p(x_0) <= KL(q(x_T | x_0) || N(0, 1)) + sum_t KL(q(x_t-1 | x_t, x_0) || p(x_t-1 | x_t)) - E ln p(x_0 | x_1)

p(x_t-1 | x_t) has the posterior's mean at the network's estimate of x_0, and a variance between the posterior's and
beta: ln of it is (1 - f) ln small + f ln beta (Nichol and Dhariwal 2021, arXiv 2102.09672, equation 15). Levels are
counted from 0, so level 0 is their t = 1; its decoder has the posterior's variance at level 1, and learned ones reach
from there to beta, as in the code of both.

Shapes: images and predictions (B, C, H, W), steps (B,) int64, fractions f that spread over images, nats (B,).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data import keyed
from workbench.probability.diffusion import Prediction, convert, gamma_of, posterior, prior_kl, spread, step_weight
from workbench.probability.observation import gaussian_decoder_nll


class DiscreteDiffusion(nn.Module):
    """A process as tables (T,) by noise level, computed in double precision and used in single.

    Args:
        signal: abar (T,), falling.
        prediction: what the network predicts.
        learned: whether variances are.

    Attributes:
        gamma: -ln SNR; ``exact_gamma`` is the same in double precision.
        output_weight, image_weight: w of KL(q || p) = w |error|^2 under the posterior's variance, of errors of the
            network's output and of x_0 (Kingma et al. 2021, equations 13 and 14); 0 at level 0.
        log_small, log_ratio: ln of the posterior's variance, and ln of beta's over it.
        draw_probability, draw_below: of levels 1 … T - 1 (:meth:`_level`), and their sums up to each.
    """

    signal: Tensor
    numbers: Tensor
    gamma: Tensor
    output_weight: Tensor
    image_weight: Tensor
    log_small: Tensor
    log_ratio: Tensor
    draw_probability: Tensor
    draw_below: Tensor

    def __init__(self, signal: Tensor, prediction: Prediction, learned: bool) -> None:
        super().__init__()
        self.prediction: Prediction = prediction
        self.exact_gamma = gamma = gamma_of(signal.double())
        gamma_u, gamma_t, zero = gamma[:-1], gamma[1:], torch.zeros_like(gamma[:1])
        _, log_small = posterior(torch.zeros_like(gamma_t), torch.zeros_like(gamma_t), gamma_u, gamma_t)
        log_ratio = F.logsigmoid(gamma_t) - F.logsigmoid(gamma_u)
        first_ratio = F.logsigmoid(gamma[:1]) - log_small[:1] if learned else zero
        inverse = 1 / torch.arange(1, len(gamma), dtype=torch.float64)
        probability = 0.5 * inverse / inverse.sum() + 0.5 / len(inverse)
        tables = {
            "gamma": gamma,
            "output_weight": torch.cat([zero, step_weight(gamma_u, gamma_t, prediction)]),
            "image_weight": torch.cat([zero, step_weight(gamma_u, gamma_t, "x0")]),
            "log_small": torch.cat([log_small[:1], log_small]),
            "log_ratio": torch.cat([first_ratio, log_ratio]),
            "draw_probability": probability,
            "draw_below": probability.cumsum(0),
        }
        self.register_buffer("signal", signal, persistent=False)
        self.register_buffer("numbers", torch.arange(len(gamma)), persistent=False)
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def noised(self, x0: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps (B, C, H, W)."""
        signal = spread(self.signal[steps], x0)
        return signal.sqrt() * x0 + (1 - signal).sqrt() * noise

    def kl(self, steps: Tensor, weight: Tensor, fraction: Tensor, squared: Tensor) -> Tensor:
        """KL(q(x_u | x_t, x_0) || p(x_u | x_t)) in nats (B,) of squared errors (B, C, H, W), ``weight`` (T,) being
        theirs under the posterior's variance, of which p's is e^gap times as small."""
        gap = -fraction * spread(self.log_ratio[steps], squared)
        terms = spread(weight[steps], squared) * squared * gap.exp() + 0.5 * (torch.expm1(gap) - gap)
        return terms.flatten(1).sum(dim=1)

    def decoder_nats(self, x0: Tensor, estimate: Tensor, fraction: Tensor, levels: int) -> Tensor:
        """-ln p(x_0 | x_1) in nats (B,) of x0 on the grid of pixels' levels in [-1, 1], given its estimate."""
        log_sigma = 0.5 * (self.log_small[0] + fraction * self.log_ratio[0])
        return gaussian_decoder_nll(x0, estimate, log_sigma, levels)

    def step_nats(
        self, x0: Tensor, x_t: Tensor, steps: Tensor, output: Tensor, fraction: Tensor, squared: Tensor, levels: int
    ) -> Tensor:
        """The bound's term (B,) in nats at each image's level: :meth:`kl`, or :meth:`decoder_nats` at level 0.

        Args:
            output: the network's prediction at x_t, and ``squared`` its errors (B, C, H, W).
        """
        kl = self.kl(steps, self.output_weight, fraction, squared)
        estimate = convert(output, x_t, self.gamma[steps], self.prediction, "x0")
        # Elsewhere a perfect one, so that no gradient of a tail's far end is multiplied by zero.
        estimate = torch.where(spread(steps == 0, x0), estimate, x0)
        return torch.where(steps == 0, self.decoder_nats(x0, estimate, fraction, levels), kl)

    def bound(
        self,
        x0: Tensor,
        keys: Tensor,
        count: int,
        levels: int,
        estimate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> dict[str, Tensor]:
        """The bound's terms (B,) in nats for x0 on the grid of pixels' levels: ``prior``, ``diffusion``,
        ``reconstruction``.

        Args:
            keys: (B,) int64, the source of noise and levels.
            count: levels that are drawn from 1 … T - 1; from T - 1 on, each is taken once.
            estimate: of x_t and steps (B,), the estimate of x_0 (B, C, H, W) and the fraction f.
        """

        def at(steps: Tensor, stream: str) -> tuple[Tensor, Tensor]:
            """The estimate at the steps (B,), under noise of their own."""
            noise = keyed.normal(keyed.fork(keys, stream), *x0.shape[1:])
            return estimate(self.noised(x0, steps, noise), steps)

        last = len(self.signal) - 1
        diffusion = torch.zeros_like(x0[:, 0, 0, 0])
        for part in range(min(count, last)):
            steps, weight = self._level(keys, part, count) if count < last else (torch.full_like(keys, part + 1), 1.0)
            mean, fraction = at(steps, f"bound noise {part}")
            diffusion += weight * self.kl(steps, self.image_weight, fraction, (x0 - mean).square())
        mean, fraction = at(torch.zeros_like(keys), "decoder noise")
        reconstruction = self.decoder_nats(x0, mean, fraction, levels)
        return {"prior": prior_kl(x0, self.gamma[last]), "diffusion": diffusion, "reconstruction": reconstruction}

    def _level(self, keys: Tensor, part: int, count: int) -> tuple[Tensor, Tensor]:
        """One of ``count`` levels (B,) from 1 … T - 1 by which the sum is estimated without bias, and its weight (B,).

        Terms of the sum fall about as 1/t, and low levels are few: half of the probability is in proportion to 1/t,
        half the same for all. One level is drawn in each of ``count`` equal parts of this distribution, and its term
        divided by its probability.
        """
        place = (part + keyed.uniform(keyed.fork(keys, f"bound {part}"))) / count
        steps = 1 + torch.searchsorted(self.draw_below, place).clamp_max(len(self.signal) - 2)
        return steps, 1 / (count * self.draw_probability[steps - 1])
