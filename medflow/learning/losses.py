"""What training makes small: for every kind of label a sum over examples and the sum of their weights.

Two sums, and not their quotient: a batch that is dealt to several ranks, or comes in several pieces, then has just the
loss that it has in one piece.

Classes that exclude each other are learned through one softmax. Of two of them binary cross-entropy of the second
logit's lead over the first is the very same as cross-entropy; `bce` is another name for it there. Findings
(multi-label) and steps ("at least class k", ordinal) are learned output by output, through sigmoids.
"""

from dataclasses import dataclass

import torch
from torch import nn

from medflow.domain.task import LabelKind, LabelRule, Schedule
from medflow.learning.heads import width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loss:
    """The loss of a task."""

    rule: LabelRule
    schedule: Schedule
    weights: torch.Tensor
    """Of exclusive classes (class,); else (2, logit): what one that is absent counts, and one that is present."""

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the weighted sum over (n, logit) logits and the sum of the weights; labels as `feed` gives them."""
        if self.rule.kind is LabelKind.CLASSES:
            counts = self.weights[labels]
            return (self._exclusive(logits, labels) * counts).sum(), counts.sum()
        targets = targets_of(self.rule, labels)
        counts = torch.where(targets > 0.5, self.weights[1], self.weights[0])  # noqa: PLR2004
        return (self._each(logits, targets) * counts).sum(), counts.sum()

    def to(self, device: torch.device) -> "Loss":
        """Put its weights on a device."""
        return Loss(rule=self.rule, schedule=self.schedule, weights=self.weights.to(device))

    def _exclusive(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy or focal loss (Lin et al., ICCV 2017) of each example, of smoothed truths."""
        smoothing, chances = self.schedule.smoothing, torch.log_softmax(logits, dim=1)
        truth = nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
        if smoothing:
            truth = truth * (1 - smoothing) + smoothing / logits.shape[1]
        if self.schedule.loss == "focal":
            missed = (-torch.expm1(chances)).clamp_min(torch.finfo(chances.dtype).tiny)  # a power's slope at 0 is none
            chances = chances * missed**self.schedule.focal_gamma
        return -(truth * chances).sum(dim=1)

    def _each(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy or focal loss of each logit, of smoothed targets."""
        soft = targets * (1 - self.schedule.smoothing) + self.schedule.smoothing / 2
        if self.schedule.loss != "focal":
            return nn.functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
        gamma = self.schedule.focal_gamma
        present, absent = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
        return -(soft * (gamma * absent).exp() * present + (1 - soft) * (gamma * present).exp() * absent)


def targets_of(rule: LabelRule, labels: torch.Tensor) -> torch.Tensor:
    """Give 0 or 1 for each logit that is learned by itself: findings as they are, classes as the steps they reach."""
    if rule.kind is LabelKind.MULTI_LABEL:
        return labels
    return (labels[:, None] >= torch.arange(1, width(rule) + 1, device=labels.device)).float()


def loss_of(rule: LabelRule, schedule: Schedule, labels: torch.Tensor, *, weighted: bool) -> Loss:
    """Make a task's loss; a weighted one counts each class (or a finding and its absence) the same over `labels`."""
    if rule.kind is LabelKind.CLASSES:
        counts = torch.bincount(labels, minlength=len(rule.outputs)).float()
    else:
        targets = targets_of(rule, labels)
        counts = torch.stack([(1 - targets).sum(dim=0), targets.sum(dim=0)])
    return Loss(rule=rule, schedule=schedule, weights=_even(counts) if weighted else torch.ones_like(counts))


def _even(counts: torch.Tensor) -> torch.Tensor:
    """Weigh by inverse frequency along the first axis, so that the mean weight of an example is one.

    What the training part lacks has no frequency, and counts one.
    """
    there = (counts > 0).sum(dim=0)
    return torch.where(counts > 0, counts.sum(dim=0) / (there * counts.clamp(min=1)), torch.ones_like(counts))
