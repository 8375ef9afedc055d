"""Methods of training: each leaves a sound record, and a run that was killed ends as if it had not been."""

from dataclasses import replace

import pytest
import torch

from utils.data import load_dataset
from utils.experiments import methods, records
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.methods import Task, checkpoint_files, train
from utils.experiments.run import run

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


FIRST = {"source": "digits", "pretrain_share": 0.67}
OTHER = replace(LINEAR, label="other", method="transfer", method_options=FIRST)
CO = replace(
    LINEAR, label="co", method="co-teaching", method_options={"forget_rate": 0.3, "ramp_share": 0.34}
)


@pytest.mark.parametrize("configuration, epochs_before_the_end", [(LINEAR, 2), (CO, 2), (OTHER, 2)])
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


def test_a_transfer_trains_on_the_source_first_and_on_every_label_several_times(task, monkeypatch):
    monkeypatch.setattr(methods, "EPOCH", 700)
    tasks = {
        way: replace(
            task,
            configuration=replace(
                NET, fit_options=FIT, method="transfer", method_options={**FIRST, "way": way}
            ),
        )
        for way in methods.WAYS
    }
    # each has a place of its own for its checkpoints
    tasks = {
        way: replace(one, checkpoint=one.checkpoint.with_name(f"{way}.checkpoint"))
        for way, one in tasks.items()
    }
    found = {way: train(one) for way, one in tasks.items()}
    for way, outcome in found.items():
        assert outcome.history.train_size == 900, "300 labels, three times over"
        assert len(outcome.history) == 3
        assert [len(stage) for stage in outcome.stages.values()] == ([] if way == "scratch" else [2])
    drawn = tasks["frozen"].build().state_dict()
    frozen = found["frozen"].model[0].encoder
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    kept = frozen.state_dict()
    assert not any(torch.equal(kept[name], drawn[name]) for name in kept if name.endswith("conv1_1.weight"))
    assert found["fine-tuned"].stages["pretraining"].as_dict(times=False) == found["frozen"].stages[
        "pretraining"
    ].as_dict(times=False)
    with pytest.raises(ValueError, match="way must be one of fine-tuned, frozen, scratch, got 'thawed'"):
        methods.transfer(task, source="digits", way="thawed")


def test_a_source_in_color_becomes_gray_and_a_smoke_test_has_a_stand_in(task):
    colored = methods._like(task, load_dataset("shapes").train.subset(40))
    assert colored.images.shape[:2] == (40, 1) and colored.images.dtype == torch.uint8
    original = load_dataset("shapes").train.images[:40].float().mean(dim=1)
    assert (colored.images[:, 0].float() - original).abs().max() <= 0.51
    assert colored.mean[0] == pytest.approx(original.mean().item() / 255, abs=1e-4)
    smoke = replace(task, train=task.train.subset(30), stand_in="digits")
    assert len(methods._like(smoke, load_dataset("digits").train)) == 30
    assert methods._repeated(smoke.train, "digits") is smoke.train


def test_noise_is_in_the_training_and_not_in_the_answers(task):
    noisy = replace(
        NET,
        fit_options=FIT,
        method="noisy-activations",
        method_options={},
    )
    model = train(replace(task, configuration=noisy)).model.eval()
    x = torch.rand(4, 1, 32, 32)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
