"""Methods of training: each leaves a sound record, and a run that was killed ends as if it had not been."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from utils.data import load_dataset
from utils.experiments import methods, records
from utils.experiments.configuration import PROFILES, Budget, Configuration, Experiment
from utils.experiments.methods import Task, checkpoint_files, train
from utils.experiments.run import run
from utils.models import build_model

FIT = {"lr": 1e-2, "batch_size": 50}
LINEAR = Configuration("plain", "linear", "digits", {"input_size": 32}, FIT)
NET = Configuration(
    "net",
    "vgg-a-bn-cifar",
    "digits",
    {"in_channels": 1, "width": 0.05},
    {**FIT, "augment": "two"},
    method="contrastive",
    method_options={"hidden": 16, "head_augment": "two"},
)


@pytest.fixture
def task(monkeypatch, tmp_path):
    """A task of three epochs on 300 digits; its configuration is replaced by the tests."""
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    digits = load_dataset("digits")
    return Task(LINEAR, digits.train.subset(300), digits.valid, 10, 3, 0, "cpu", tmp_path / "run.checkpoint")


class Killed(Exception):
    pass


def killed_after(monkeypatch, calls):
    """``fit`` that ends its run with an exception at the validation after so many epochs, all in all."""
    from utils.training import fitting

    original, seen = fitting.evaluate, []

    def evaluate(*arguments, **options):
        if len(seen) == calls:
            raise Killed
        seen.append(1)
        return original(*arguments, **options)

    monkeypatch.setattr(fitting, "evaluate", evaluate)


CO = replace(
    LINEAR, label="co", method="co-teaching", method_options={"forget_rate": 0.3, "ramp_share": 0.34}
)


@pytest.mark.parametrize("configuration, epochs_before_the_end", [(LINEAR, 2), (CO, 2)])
def test_a_killed_run_goes_on_and_ends_the_same(
    task, monkeypatch, tmp_path, configuration, epochs_before_the_end
):
    task = replace(task, configuration=configuration)
    whole = train(replace(task, checkpoint=tmp_path / "other.checkpoint"))
    with monkeypatch.context() as patch:
        killed_after(patch, epochs_before_the_end)
        with pytest.raises(Killed):
            train(task)
    again = train(task)
    assert again.history.as_dict(times=False) == whole.history.as_dict(times=False)
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.model.state_dict().values(), whole.model.state_dict().values(), strict=True)
    )


def test_noisy_labels_reach_both_methods_and_the_test_labels_stay_true(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    budget = Budget(epochs=12, seeds=(0,), train_images=1000, test_images=300)
    noisy = {"label_noise": {"rate": 0.4}, "model_options": {"input_size": 32}}
    experiment = Experiment(
        "noise", "?", "this test",
        (replace(LINEAR, label="one", **noisy), replace(CO, label="two", **noisy)),
        {"smoke": budget, "quick": budget, "full": budget},
    )  # fmt: skip
    one, two = (records.read(path) for path in run(experiment, "smoke", results=tmp_path, device="cpu"))
    assert one["configuration"]["label_noise"] == {"rate": 0.4}
    assert one["history"]["train_accuracy"][-1] < 0.75  # of labels of which 40 % are wrong
    assert one["result"]["test_accuracy"] > 0.6 and two["result"]["test_accuracy"] > 0.6


def test_contrastive_keeps_the_history_of_its_first_stage(task, monkeypatch, tmp_path):
    from utils.data.augment import RandomTranslate
    from utils.data.views import Views
    from utils.experiments import recipes

    monkeypatch.setitem(recipes.AUGMENTATIONS, "two", lambda: Views(RandomTranslate(0.05)))
    monkeypatch.setitem(recipes.AUGMENTATIONS, "one", lambda: RandomTranslate(0.05))
    configuration = replace(
        NET, method_options={"hidden": 64, "head_augment": "one", "head_lr": 3e-2, "head_epochs_share": 3}
    )
    outcome = train(replace(task, configuration=configuration))
    assert len(outcome.stages["pretraining"]) == 3 and len(outcome.history) == 9
    assert outcome.history.valid_accuracy[-1] > 0.5
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in checkpoint_files(task.checkpoint)
    }
    assert not any(parameter.requires_grad for parameter in outcome.model[0].parameters())


def test_an_unknown_method_lists_the_choices(task):
    with pytest.raises(ValueError, match="unknown method 'magic'.*supervised, co-teaching, contrastive"):
        train(replace(task, configuration=replace(LINEAR, method="magic")))
    known = {"supervised", "co-teaching", "contrastive", "noisy-activations", "transfer"}
    assert set(methods.METHODS) == known


def test_without_pre_training_the_encoder_stays_as_it_was_drawn(task, monkeypatch):
    from utils.data.augment import RandomTranslate
    from utils.experiments import recipes

    monkeypatch.setitem(recipes.AUGMENTATIONS, "one", lambda: RandomTranslate(0.05))
    floor = replace(NET, method_options={"hidden": 16, "head_augment": "one", "pretrain": False})
    task = replace(task, configuration=floor)
    outcome, drawn = train(task), task.build().state_dict()
    assert not outcome.stages and len(outcome.history) == 2
    kept = outcome.model[0].encoder.state_dict()
    assert kept and all(torch.equal(tensor, drawn[name]) for name, tensor in kept.items())


@pytest.fixture
def learned(monkeypatch):
    """Weights of a network that has learned something else, in the place of those of the book."""

    def trained(experiment, label):
        assert (experiment, label) == ("transfer-source", "alexnet")
        torch.manual_seed(99)
        return SimpleNamespace(model=build_model(NET.model, num_classes=7, **NET.model_options))

    monkeypatch.setattr(methods, "trained", trained)
    return trained("transfer-source", "alexnet").model.state_dict()


def test_a_transfer_begins_with_kept_weights_and_sees_every_label_several_times(task, learned, monkeypatch):
    monkeypatch.setattr(methods, "EPOCH", 700)
    source = {"source": "transfer-source", "network": "alexnet"}
    found = {}
    for way in methods.WAYS:
        configuration = replace(
            NET, fit_options=FIT, method="transfer", method_options={**source, "way": way}
        )
        found[way] = train(
            replace(task, configuration=configuration, checkpoint=task.checkpoint.with_suffix(f".{way}"))
        )
        history = found[way].history
        assert len(history) == 3 and history.train_size == 900, "300 labels, three times over"
    drawn = replace(task, configuration=NET).build().state_dict()
    weight = "features.conv1_1.weight"

    def distance(way, start):
        body = found[way].model[0]
        return (getattr(body, "encoder", body).state_dict()[weight] - start[weight]).abs().max()

    assert distance("frozen", learned) == distance("untrained", drawn) == 0
    assert 0 < distance("fine-tuned", learned) < distance("fine-tuned", drawn)
    assert 0 < distance("scratch", drawn) < distance("scratch", learned)
    statistics = found["untrained"].model[0].encoder.state_dict()
    means = [tensor for name, tensor in statistics.items() if name.endswith("running_mean")]
    assert means and all(mean.abs().sum() > 0 for mean in means), "it has measured the images"
    known = "fine-tuned, frozen, untrained, scratch"
    with pytest.raises(ValueError, match=f"way must be one of {known}, got 'thawed'"):
        methods.transfer(task, **source, way="thawed")


def test_a_smoke_test_sees_each_label_once(task):
    few = task.train.subset(30)
    assert methods._repeated(few, "digits") is few


def test_a_run_is_about_some_classes_and_draws_its_images_with_its_seed(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    seen = []
    fitted = methods.fit

    def fit(model, train, valid, **options):
        seen.append((train, valid))
        return fitted(model, train, valid, **options)

    monkeypatch.setattr(methods, "fit", fit)
    budget = Budget(epochs=1, seeds=(0, 1), train_images=12)
    some = replace(LINEAR, classes=(7, 2, 5), drawn=True)
    experiment = Experiment("some", "?", "this test", (some,), dict.fromkeys(PROFILES, budget))
    one, two = (records.read(path) for path in run(experiment, "full", results=tmp_path, device="cpu"))
    assert one["dataset"]["classes"] == 3 and one["dataset"]["train"] == 12
    assert one["configuration"]["classes"] == [7, 2, 5] and one["configuration"]["drawn"] is True
    (train_0, valid), (train_1, _) = seen
    assert train_0.labels.tolist() == [0, 1, 2] * 4 and valid.labels.unique().tolist() == [0, 1, 2]
    assert not torch.equal(train_0.images, train_1.images)
