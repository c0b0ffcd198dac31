"""The training loop: attempts, epochs, validations, checkpoints, and the reasons to stop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from squeezenet.engines.torch_module import SqueezeNet

from squeeze_trainer import checkpoint, network, optimise, watch
from squeeze_trainer.dataset import Batch, Pictures, loader
from squeeze_trainer.errors import CheckpointError, DataError, DivergedError, InterruptedRun, StuckError
from squeeze_trainer.evaluate import allowed_damage
from squeeze_trainer.job import Job
from squeeze_trainer.metrics import Measures
from squeeze_trainer.progress import View
from squeeze_trainer.sampler import TrainingKeys, seed_of
from squeeze_trainer.state import Point, State, Validation
from squeeze_trainer.step import Outcome, Stepper
from squeeze_trainer.stopping import Stop

Weights = dict[str, torch.Tensor]
_DEAD_FACTOR = 0.1


class Trainer:
    """Trains one network. After :meth:`run`, ``state`` tells how it went and ``best`` holds the best
    weights.
    """

    def __init__(self, job: Job, stop: Stop, view: View) -> None:
        self.state = State()
        self.best: Weights = {}
        self._job, self._stop, self._view = job, stop, view
        self._saved_at = time.monotonic()
        self._validator = job.evaluator("validation")

    def run(self) -> None:
        """Trains to the end, from the newest checkpoint if there is one.

        Raises InterruptedRun (a checkpoint is written), DivergedError (the last one is kept), StuckError
        (every attempt only guessed), DataError and CheckpointError.
        """
        content = self._restore()
        while not self.state.finished:
            self._begin(content)
            content = None
            try:
                self._attempt()
                self._refuse_guessing()
            except StuckError as error:
                self._next_attempt(error)
                continue
            self.state.finished = True
            self._save()

    # An attempt, from its first iteration or from a checkpoint's.

    def _begin(self, content: dict[str, Any] | None) -> None:
        job, recipe = self._job, self._job.recipe
        self.network = self._new_network().to(job.group.device)
        self._optimizer = optimise.optimiser(recipe, self.network.parameters())
        if content is not None:
            self.network.load_state_dict(content["network"])
            self._optimizer.load_state_dict(content["optimizer"])
        normaliser = network.Normaliser(recipe.input, job.group.device)
        self._stepper = Stepper(self.network, self._optimizer, recipe, normaliser, job.group)
        self._stepper.freeze(self.state.iteration < recipe.frozen)

    def _new_network(self) -> SqueezeNet:
        job, recipe = self._job, self._job.recipe
        seed = seed_of(recipe.seed, self.state.attempt)
        if job.initial is None:
            return network.create(recipe.architecture, job.classes, recipe.dropout, seed)
        # A classifier that was kept and then got stuck begins anew.
        keep = job.keep_head and self.state.attempt == 0
        return network.from_artifact(job.initial, job.classes, keep, recipe.dropout, seed)

    def _attempt(self) -> None:
        if self._validation_is_due():
            self._validate()
        while not self._is_over():
            self._epoch(*divmod(self.state.iteration, self._job.per_epoch))
        if self.state.validated != self.state.iteration:
            self._validate()

    def _epoch(self, epoch: int, start: int) -> None:
        job, recipe, state = self._job, self._job.recipe, self.state
        if start == 0:
            state.epoch_damage = 0
        seed = seed_of(recipe.seed, state.attempt)
        keys = TrainingKeys(
            seed, epoch, len(job.listing.train), recipe.batch, start, job.group.rank, job.group.world
        )
        pictures = Pictures(job.listing.train, job.store, recipe.input, recipe.augmentation, seed)
        on_gpu = job.group.device.type == "cuda"
        for batch in loader(pictures, keys, job.settings.data.workers, on_gpu):
            self._iterate(batch, epoch)
            if self._validation_is_due():
                self._validate()
            elif self._is_late():
                self._save()
            if self._is_over():
                return

    def _iterate(self, batch: Batch, epoch: int) -> None:
        job, recipe, state = self._job, self._job.recipe, self.state
        if state.iteration == recipe.frozen > 0:
            self._stepper.freeze(False)
        rate = optimise.rate(recipe, state.iteration, job.budget) * state.rate_scale
        position = state.iteration - epoch * job.per_epoch
        nominal = min(recipe.batch, len(job.listing.train) - position * recipe.batch)
        seed = seed_of(recipe.seed, state.attempt, state.iteration, job.group.rank)
        try:
            outcome = self._stepper.step(batch, nominal, seed, rate, lambda: self._stop.asked)
        except DivergedError as error:
            kept = checkpoint.list_all(job.checkpoints)
            where = f"The last good checkpoint is {kept[0]}" if kept else "There is no checkpoint yet"
            raise DivergedError(f"at iteration {state.iteration + 1} {error.message} {where}.") from error
        if outcome is None:
            self._interrupt()
            return
        state.iteration += 1
        self._note_damage(batch, outcome)
        if outcome.pictures:
            self._note_loss(outcome, rate)

    def _note_loss(self, outcome: Outcome, rate: float) -> None:
        job, state = self._job, self.state
        state.point_steps += 1
        state.point_loss += outcome.loss
        self._view.step(state, job.budget, outcome, rate)
        if state.iteration % job.point_every == 0:
            point = Point(state.iteration, state.point_loss / state.point_steps, rate)
            state.curve.append(point)
            self._view.point(point, outcome)
            state.point_steps, state.point_loss = 0, 0.0
        seen = watch.Watch(
            job.guessing,
            watch.window(job.recipe.stuck_after, job.budget),
            state.dead,
            state.seen,
            state.total,
        )
        wrong = seen.see(outcome.loss, outcome.alive)
        state.dead, state.seen, state.total = seen.dead, seen.seen, seen.total
        if wrong:
            raise StuckError(f"at iteration {state.iteration} {wrong}.")

    def _note_damage(self, batch: Batch, outcome: Outcome) -> None:
        state, pictures = self.state, len(self._job.listing.train)
        for name, cause in batch.damage:
            if name not in state.damaged:
                state.damaged[name] = cause
                self._view.warn(f"skipped {name}: {cause}")
        state.epoch_damage += outcome.damaged
        allowed = allowed_damage(pictures, self._job.settings.data.max_corrupt)
        if state.epoch_damage > allowed:
            self._share_damage()
            some = "; ".join(f"{name}: {cause}" for name, cause in sorted(state.damaged.items())[:3])
            raise DataError(
                f"more than {allowed} of {pictures} training pictures cannot be read ({some}) Repair or "
                f"remove them, or raise --max-corrupt."
            )

    # Validation.

    def _validation_is_due(self) -> bool:
        iteration = self.state.iteration
        return (
            iteration > 0 and iteration % self._job.validate_every == 0 and self.state.validated != iteration
        )

    def _validate(self) -> None:
        state = self.state
        self._view.validating()
        evaluation = self._validator.run(self.network, lambda: self._stop.asked)
        if evaluation is None:
            self._interrupt()
            return
        found = _validation(state.iteration, evaluation.measures)
        state.validated = state.iteration
        state.validations.append(found)
        improved = state.best is None or found.score > state.best.score
        if improved:
            state.best, state.without_improvement = found, 0
            self.best = {name: tensor.cpu().clone() for name, tensor in self.network.state_dict().items()}
        else:
            state.without_improvement += 1
        if improved or self._is_late():
            self._save()
        self._view.validated(found, improved, state)

    def _is_over(self) -> bool:
        """The budget is spent, or validation has not improved for long enough."""
        patience = self._job.recipe.patience
        return self.state.iteration >= self._job.budget or 0 < patience <= self.state.without_improvement

    def _refuse_guessing(self) -> None:
        """The end of an attempt whose best weights are no better than guessing is no success."""
        job, best = self._job, self.state.best
        if best is None:
            raise StuckError("there was no validation.")
        labels = job.listing.validation.labels
        most, guessing = watch.majority(labels), watch.guessing_loss(labels, job.classes)
        if not watch.has_learned(best.top1, best.loss, len(labels), guessing, most):
            raise StuckError(
                f"after {self.state.iteration} iterations the best validation is {best.top1:.1%} with a "
                f"loss of {best.loss:.4f}, and guessing gives {most:.1%} and {guessing:.4f}."
            )

    def _next_attempt(self, error: StuckError) -> None:
        state, attempts = self.state, self._job.recipe.attempts
        if state.attempt + 1 >= attempts:
            raise StuckError(
                f"{error.message} So it was in {attempts} attempt(s). Lower --learning-rate, give more "
                "--iterations, or begin with pretrained weights (squeezenet finetune)."
            ) from error
        scale = state.rate_scale * (_DEAD_FACTOR if state.dead >= watch.DEAD_AFTER else 1.0)
        self._view.warn(
            f"{error.message} Attempt {state.attempt + 2} of {attempts} begins with other initial weights "
            f"and a learning rate of {self._job.recipe.learning_rate * scale:g}."
        )
        self.state, self.best = state.next_attempt(error.message, scale), {}

    # Checkpoints.

    def _is_late(self) -> bool:
        age = time.monotonic() - self._saved_at
        # Clocks differ a little, and all have to save at the same iteration: the first one decides.
        return any(self._job.group.sum([float(age > self._job.settings.checkpoint_seconds)]))

    def _interrupt(self) -> None:
        path = self._save()
        raise InterruptedRun(
            f"stopped at iteration {self.state.iteration} of {self._job.budget}; the checkpoint is "
            f"{path.name}. The same command goes on from it."
        )

    def _share_damage(self) -> None:
        for found in self._job.group.gather(self.state.damaged):
            self.state.damaged.update(found)

    def _save(self) -> Path:
        self._share_damage()
        self._saved_at = time.monotonic()
        job, state = self._job, self.state
        path = job.checkpoints / checkpoint.name(state.attempt, state.iteration)
        if job.group.leads:
            content = {
                "identity": job.identity(),
                "state": state.as_values(),
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "best": self.best,
            }
            checkpoint.save(job.checkpoints, state.attempt, state.iteration, content)
        return path

    def _restore(self) -> dict[str, Any] | None:
        job = self._job
        content = None
        if job.group.leads:
            if job.settings.fresh:
                checkpoint.clear(job.checkpoints)
            content = checkpoint.load_newest(job.checkpoints, self._view.line)
        content = job.group.from_leader(content)
        if content is None:
            return None
        differing = _differences(content["identity"], job.identity())
        if differing:
            raise CheckpointError(
                f"{job.checkpoints} belongs to another run, with {differing}: use another --out, or --fresh "
                f"to begin again."
            )
        self.state, self.best = State.from_values(content["state"]), content["best"]
        return content


def _validation(iteration: int, measures: Measures) -> Validation:
    return Validation(iteration, measures.top1, measures.top5, measures.loss)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What differs between two identities, in words; empty where nothing does."""
    before, after = old["recipe"], new["recipe"]
    found = [
        f"{name} {before.get(name)} instead of {after[name]}"
        for name in after
        if before.get(name) != after[name]
    ]
    found += [f"other {name}" for name in ("data", "initial") if old[name] != new[name]]
    return ", ".join(found)
