"""Whole runs: from settings to an artifact and a report (train, finetune), or to measures (test)."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from squeezenet import artifact as artifacts
from squeezenet.artifact import Artifact
from squeezenet.errors import ConfigError

from squeeze_trainer import checkpoint, dataset, listing, network, progress_file, record, report
from squeeze_trainer.distributed import Group, group
from squeeze_trainer.errors import CheckpointError, DataError, InterruptedRun, OutputError
from squeeze_trainer.evaluate import Evaluation, Evaluator, check_damage
from squeeze_trainer.job import Job
from squeeze_trainer.layouts import SPLITS
from squeeze_trainer.listing import Listing, Split
from squeeze_trainer.loop import Trainer
from squeeze_trainer.progress import Shown, Silent
from squeeze_trainer.progress_file import ProgressFile
from squeeze_trainer.settings import DataSettings, RunSettings, TestSettings
from squeeze_trainer.stopping import Stop, listening
from squeeze_trainer.store import Store

MODEL, REPORT, EVENTS = "model", "report", "events"


def train(settings: RunSettings) -> Path | None:
    """Trains or fine-tunes, tests, and returns the artifact folder ``out/model``; None where another leads.

    Beside it are ``report/index.html``, ``checkpoints`` and ``events``. Under torchrun every process calls
    this. Raises TrainerError (OutputError where ``out`` cannot be written), ConfigError, WeightsError or
    DeviceError.
    """
    with (
        listening() as stop,
        group(settings.device, lambda: stop.asked) as members,
        _reproducible(settings, members),
        _named_errors(settings.out),
        _view(settings, members) as view,
    ):
        if members.leads:
            _refuse_strange_model(settings)
        initial = _initial(settings)
        job = Job(settings, _listing(settings.data, members, view), _store(settings.data), members, initial)
        view.line(_opening(job))
        trainer = Trainer(job, stop, view)
        trainer.run()
        return _finish(job, trainer, stop, view)


@dataclass(frozen=True)
class Tested:
    """What a test found."""

    artifact: Artifact
    evaluation: Evaluation


def test(settings: TestSettings) -> Tested | None:
    """Measures an artifact on one split; None in processes that do not lead.

    Raises TrainerError, ConfigError, WeightsError or DeviceError.
    """
    with listening() as stop, group(settings.device, lambda: stop.asked) as members:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        artifact = artifacts.load(settings.model, sha256=settings.sha256)
        view = Shown(10.0) if members.leads else Silent()
        split = members.from_leader(_test_split(settings, artifact, view) if members.leads else None)
        if split is None:
            raise DataError("the leading process found no data.")
        evaluator = Evaluator(
            split,
            _store(settings.data),
            artifact.config.input,
            artifact.config.num_classes,
            members,
            settings.data.workers,
            settings.data.max_corrupt,
        )
        evaluation = _evaluate(evaluator, artifact, stop)
        return Tested(artifact, evaluation) if members.leads else None


test.__test__ = False  # type: ignore[attr-defined]  # Its name is the command's, and pytest must not collect it.


def _test_split(settings: TestSettings, artifact: Artifact, view: Shown | Silent) -> Split:
    """The pictures to test on, with the artifact's class ids. Raises ConfigError where it lacks a class."""
    if settings.split == "all":
        classes, split = listing.load_all(settings.data)
    else:
        found = listing.load(settings.data)
        classes, split = found.classes, found.split(settings.split)
    unknown = [label for label in classes if label not in artifact.labels]
    if unknown:
        some = ", ".join(unknown[:5])
        raise ConfigError(
            f"the data has {len(unknown)} class(es) that the network does not know ({some}): test it on "
            "its own classes, or give their labels with --labels."
        )
    ids = np.array([artifact.labels.index(label) for label in classes], dtype=np.int64)
    split = _without_strangers(split, settings.data, view)
    return replace(split, labels=ids[split.labels])


def _initial(settings: RunSettings) -> Artifact | None:
    if settings.initial is None:
        return None
    return artifacts.load(settings.initial, sha256=settings.sha256)


@contextlib.contextmanager
def _named_errors(out: Path) -> Iterator[None]:
    """Makes the folder, and raises OutputError for what the system says of it or of files in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        # A write that fails names no file; one that does and lies elsewhere is no matter of the output.
        named = Path(error.filename or out)
        if not (named.is_relative_to(out) or out.is_relative_to(named)):
            raise
        raise OutputError(f"{out} cannot be written: {error.strerror or error}.") from error


def _refuse_strange_model(settings: RunSettings) -> None:
    """A model that is there before would be taken for this run's where it fails. Raises CheckpointError."""
    model = settings.out / MODEL
    # A model that serves from a claim has its folder made before there is anything in it.
    if not any(model.glob("*")):
        return
    if settings.fresh:
        shutil.rmtree(model)
    elif not checkpoint.list_all(settings.out / "checkpoints"):
        raise CheckpointError(
            f"{model} is there, and no checkpoint that it belongs to: use another --out, or --fresh to "
            "replace it."
        )


def _store(data: DataSettings) -> Store:
    return Store(data.uri, data.cache)


def _listing(data: DataSettings, members: Group, view: Shown | Silent) -> Listing:
    """The leader's listing, in every process: files may change while many look."""
    found = None
    if members.leads:
        found = listing.load(data)
        for note in found.notes:
            view.line(f"note: {note}")
        splits = {name: _without_strangers(found.split(name), data, view) for name in SPLITS}
        found = replace(found, train=splits["train"], validation=splits["validation"], test=splits["test"])
    shared = members.from_leader(found)
    if shared is None:
        raise DataError("the leading process found no data.")
    return shared


def _without_strangers(split: Split, data: DataSettings, view: Shown | Silent) -> Split:
    """The split without files whose first bytes are those of no picture; too many are an error."""
    rows = dataset.heads(split, _store(data))
    strangers = tuple((split.name(int(row)), "it is no picture.") for row in rows)
    for stranger, cause in strangers:
        view.warn(f"skipped {stranger}: {cause}")
    check_damage(strangers, len(split), data.max_corrupt)
    return split.take(np.setdiff1d(np.arange(len(split)), rows))


def _evaluate(evaluator: Evaluator, artifact: Artifact, stop: Stop) -> Evaluation:
    if not len(evaluator.split):
        raise DataError("there are no pictures to test on: add a test folder, or raise --test-share.")
    config = artifact.config
    net = network.from_artifact(artifact, config.num_classes, True, 0.0, 0).to(evaluator.group.device)
    evaluation = evaluator.run(net, lambda: stop.asked)
    if evaluation is None:
        raise InterruptedRun("stopped during the test; the same command begins it again.")
    return evaluation


def _finish(job: Job, trainer: Trainer, stop: Stop, view: Shown | Silent) -> Path | None:
    """Tests the best weights and writes artifact and report."""
    target = job.settings.out / MODEL
    made = record.artifact(job, trainer.state, trainer.best)
    evaluation = None
    if len(job.listing.test):
        evaluation = _evaluate(job.evaluator("test"), made, stop)
    else:
        view.warn("note: there is no test split, so the artifact has no test metrics")
    if not job.group.leads:
        return None
    finished = record.with_metrics(made, job, trainer.state, evaluation)
    artifacts.save(finished, target)
    page = report.write(
        job.settings.out / REPORT, artifacts.load(target), job.listing.classes, trainer.state, evaluation
    )
    view.line(record.closing(evaluation, target, page))
    return target


def _opening(job: Job) -> str:
    counts = ", ".join(f"{len(job.listing.split(name))} {name}" for name in SPLITS)
    begin = "random weights"
    if job.initial is not None:
        head = "its classifier kept" if job.keep_head else "with a new classifier"
        begin = f"{job.settings.initial} {head}"
    return (
        f"{job.recipe.architecture}, {job.classes} classes, pictures: {counts}; {job.budget} iterations of "
        f"{job.recipe.batch} from {begin}; {job.group.world} process(es) on {job.group.device.type}"
    )


@contextlib.contextmanager
def _view(settings: RunSettings, members: Group) -> Iterator[Shown | Silent]:
    if not members.leads:
        yield Silent()
        return
    file = ProgressFile(settings.out / progress_file.NAME)
    with Shown(settings.log_seconds, settings.out / EVENTS, file) as view:
        yield view


@contextlib.contextmanager
def _reproducible(settings: RunSettings, members: Group) -> Iterator[None]:
    """On CPUs the same numbers every time; the process's settings come back."""
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(members.device.type == "cpu")
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
        torch.use_deterministic_algorithms(before[0])
        torch.set_num_threads(before[1])
