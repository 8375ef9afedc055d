"""fit: learns, repeats itself to the bit, stops early, records, and refuses what cannot be meant."""

import ast
import inspect
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.data import load_dataset
from utils.data.augment import Compose, Mixup, RandomCrop, RandomFlip
from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.training import Diverged, History, choose_settings, evaluate, fit, fitting, losses, schedules
from utils.training.optimizers import build_optimizer


def stripes(n=96, seed=0, noise=60):
    """Horizontal stripes (label 0) or vertical ones (label 1) in noise: 8 × 8 pixels, 3 channels."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n,), generator=g)
    wave = 90 * (torch.arange(8) % 2).float()
    pattern = torch.stack([wave[:, None].expand(8, 8), wave[None, :].expand(8, 8)])[labels]
    images = pattern[:, None] + noise * torch.rand(n, 3, 8, 8, generator=g)
    return Split(images.to(torch.uint8), labels, (0.3,) * 3, (0.2,) * 3)


def network(seed=0, dropout=0.2):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(36, 2),
    )


def weights(model):
    return [tensor.clone() for tensor in model.state_dict().values()]


def same(a, b):
    return all(torch.equal(s, t) for s, t in zip(a, b, strict=True))


def quick(model, train, valid=None, **options):
    return fit(model, train, valid, **{"epochs": 2, "batch_size": 16, "progress": False, **options})


def test_it_learns():
    model = network()
    history = quick(model, stripes(), stripes(seed=1), epochs=6, lr=0.01)
    assert history.valid_accuracy[-1] > 0.95 and history.valid_loss[-1] < history.valid_loss[0]
    assert evaluate(model, stripes(seed=2)).accuracy > 0.95
    assert not model.training


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_same_seed_same_history_and_weights_to_the_last_bit(optimizer):
    def run(seed):
        model = network()
        augment = Compose([RandomFlip(), RandomCrop(1), Mixup(0.4)])
        history = quick(
            model,
            stripes(),
            stripes(seed=1),
            optimizer=optimizer,
            seed=seed,
            augment=augment,
            record_steps=True,
        )
        return history.as_dict(times=False), weights(model)

    (first, first_weights), (again, again_weights), (other, other_weights) = run(3), run(3), run(4)
    assert first == again and same(first_weights, again_weights)
    assert first["train_loss"] != other["train_loss"] and not same(first_weights, other_weights)


def test_the_callers_random_state_is_neither_used_nor_changed():
    def run(global_seed):
        model = network()
        torch.manual_seed(global_seed)
        state = torch.get_rng_state()
        history = quick(model, stripes())
        assert torch.equal(torch.get_rng_state(), state)
        return history.as_dict(times=False)

    assert run(10) == run(11)


def test_the_random_state_is_put_back_after_a_divergence():
    model = network()
    state = torch.get_rng_state()
    with pytest.raises(Diverged):
        quick(model, stripes(), optimizer="sgd", lr=1e38)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_differs_between_epochs():
    # one batch, weights that do not move: the loss differs by the dropout alone
    history = quick(network(dropout=0.5), stripes(), epochs=3, batch_size=96, optimizer="sgd", lr=1e-30)
    assert len(set(history.train_loss)) == 3


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_optimizers_are_torchs(name):
    """One step from the same gradient, worked out in float64 from the definitions."""
    decay, lr = 0.1, 0.01
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    start = [p.detach().double().clone() for p in model.parameters()]
    gradients = []

    def probe(*, model, **_):
        gradients.extend(p.grad.double().clone() for p in model.parameters())

    quick(
        model, stripes(), epochs=1, batch_size=96, optimizer=name, lr=lr, weight_decay=decay, probes=[probe]
    )
    for w, g, after in zip(start, gradients, model.parameters(), strict=True):
        if name == "adamw":
            expected = w * (1 - lr * decay) - lr * g / (g.abs() + 1e-8)
        else:
            g = g + decay * w
            expected = w - lr * (g / (g.abs() + 1e-8) if name == "adam" else g)
        assert torch.allclose(after.double(), expected, atol=1e-6)


def test_adamw_without_a_weight_decay_is_adam_and_with_torchs_default_it_is_torchs():
    def trained(**options):
        model = network()
        quick(model, stripes(), epochs=2, lr=0.01, **options)
        return weights(model)

    def torchs_default(parameters, lr):
        return torch.optim.AdamW(parameters, lr=lr)

    adam, bare = trained(optimizer="adam"), trained(optimizer="adamw")
    ours, torchs = trained(optimizer="adamw", weight_decay=0.01), trained(optimizer=torchs_default)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(adam, bare, strict=True))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, torchs, strict=True))
    assert not all(torch.allclose(a, b, atol=1e-6) for a, b in zip(bare, ours, strict=True))


def test_weight_decay_reaches_scales_and_shifts_of_norms():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Linear(192, 2))
    optimizer = build_optimizer("adamw", model, lr=0.5, weight_decay=0.1)
    before = [p.detach().clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert len(before) == 4
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.allclose(new, 0.95 * old)


def test_an_optimizer_of_ones_own():
    made = []

    def make(parameters, lr):
        made.append(torch.optim.RMSprop(parameters, lr=lr))
        return made[0]

    history = quick(network(), stripes(), optimizer=make, lr=0.005)
    assert len(made) == 1 and history.lr == [0.005, 0.005]


def test_schedule_per_batch_and_per_epoch():
    cosine = quick(network(), stripes(), schedule=schedules.cosine(12), lr=0.1, record_steps=True)
    assert cosine.step_lr == pytest.approx([0.1 * f for f in schedules.curve(schedules.cosine(12), 12)])
    assert cosine.lr == [cosine.step_lr[0], cosine.step_lr[6]]
    halving = quick(network(), stripes(), schedule=schedules.halving(1), lr=0.1, record_steps=True)
    assert halving.step_lr == [0.1] * 6 + [0.05] * 6 and halving.lr == [0.1, 0.05]


def test_the_record_is_complete():
    steps = []
    history = quick(
        network(),
        stripes(),
        stripes(seed=1),
        record_steps=True,
        probes=[lambda *, step, **_: steps.append(step)],
    )
    assert steps == list(range(12)) and len(history.step_loss) == len(history.step_lr) == 12
    for name in (
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_accuracy",
        "lr",
        "seconds",
        "valid_seconds",
    ):
        assert len(getattr(history, name)) == len(history) == 2
    assert history.images_per_second == pytest.approx(2 * 96 / sum(history.seconds))
    assert history.settings["precision"] == choose_settings("cpu").precision
    assert history.settings["threads"] == torch.get_num_threads()
    assert History.from_dict(json.loads(json.dumps(history.as_dict()))) == history
    plain = quick(network(), stripes())
    assert plain.step_loss == [] and plain.valid_loss == [] and plain.best_epoch is None


def test_the_last_validation_figure_is_that_of_the_model_returned():
    model, valid = network(), stripes(seed=1)
    history = quick(model, stripes(), valid)
    result = evaluate(model, valid)
    assert (history.valid_loss[-1], history.valid_accuracy[-1]) == pytest.approx(
        (result.loss, result.accuracy)
    )


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_early_stopping_on_validation_puts_the_best_weights_back(monitor):
    # few, noisy labels: training goes on improving while validation gets worse
    train = stripes(24, noise=160)
    train = train.with_labels(train.labels.flip(0))
    model, valid = network(dropout=0.0), stripes(64, seed=1)
    history = quick(model, train, valid, epochs=60, lr=0.02, patience=3, monitor=monitor)
    figures = history.valid_loss if monitor == "loss" else [-a for a in history.valid_accuracy]
    assert history.stopped_early and len(history) < 60
    assert history.best_epoch == figures.index(min(figures)) == len(history) - 1 - 3
    result = evaluate(model, valid)
    assert result.loss == pytest.approx(history.valid_loss[history.best_epoch])
    assert result.loss != pytest.approx(history.valid_loss[-1])


def test_min_delta_counts_only_improvements_that_exceed_it():
    history = quick(network(), stripes(), stripes(seed=1), epochs=20, lr=1e-4, patience=2, min_delta=10.0)
    assert history.stopped_early and len(history) == 3 and history.best_epoch == 0


def test_label_smoothing_is_for_training_only():
    model = network(dropout=0.0)
    data = stripes()
    history = quick(
        model, data, data, epochs=1, batch_size=96, optimizer="sgd", lr=1e-30, label_smoothing=0.4,
        precision="float32",
    )  # fmt: skip
    x, y = next(iter(Batches(data, 96, shuffle=False)))
    soft = F.one_hot(y, 2) * 0.6 + 0.4 / 2
    expected = -(soft * network(dropout=0.0).train()(x).log_softmax(1)).sum(1).mean()
    assert history.train_loss[0] == pytest.approx(expected.item(), rel=1e-5)
    assert history.valid_loss[0] == pytest.approx(evaluate(model, data).loss, rel=1e-6)
    assert history.train_loss[0] != pytest.approx(
        losses.cross_entropy()(network(dropout=0.0)(x), y).item(), rel=1e-3
    )


def test_a_loss_of_ones_own():
    def squared(logits, y):
        return ((logits - F.one_hot(y, 2)) ** 2).sum(1).mean()

    data, model = stripes(), network()
    history = quick(model, data, data, epochs=6, lr=0.01, loss=squared)
    assert history.valid_loss[-1] == pytest.approx(
        evaluate(model, data, loss_function=squared).loss, rel=1e-6
    )
    assert history.valid_accuracy[-1] > 0.9


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_setting_trains_and_is_recorded(precision, channels_last):
    model = network()
    history = quick(model, stripes(), epochs=6, lr=0.01, precision=precision, channels_last=channels_last)
    assert (history.settings["precision"], history.settings["channels_last"]) == (precision, channels_last)
    assert history.train_accuracy[-1] > 0.9 and model[0].weight.dtype == torch.float32
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last) == channels_last


@pytest.mark.parametrize(
    "function",
    [fit, fitting._prepare, fitting._train_epoch, fitting._validate, fitting._finish],
    ids=lambda f: f.__name__,
)
def test_each_part_is_read_on_one_screen(function):
    lines, _ = inspect.getsourcelines(function)
    documented = ast.parse("".join(lines)).body[0].body[0]
    assert len(lines) - (documented.end_lineno - documented.lineno + 1) <= 45


def test_an_own_layout_choice_survives_the_rule():
    assert quick(network(), stripes(), channels_last=False).settings["channels_last"] is False


def test_progress_is_shown_for_runs_that_take_a_while(capsys, monkeypatch):
    monkeypatch.setattr("utils.training.progress.DELAY", 0.0)
    quick(network(), stripes(), stripes(seed=1), progress=True)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown and "valid accuracy" in shown and "12/12" in shown
    quick(network(), stripes(), progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "options, message",
    [
        ({"epochs": 0}, "epochs .* got 0"),
        ({"epochs": 2.5}, "epochs .* got 2.5"),
        ({"batch_size": 0}, "batch_size .* got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"optimizer": "adagrad"}, "unknown optimizer 'adagrad'; choose one of adam, adamw, sgd"),
        ({"weight_decay": -1.0}, "weight_decay .* got -1.0"),
        ({"momentum": 1.5, "optimizer": "sgd"}, "momentum .* got 1.5"),
        ({"clip_norm": 0.0}, "clip_norm .* got 0.0"),
        ({"patience": 3}, "patience=3. needs a validation split"),
        ({"patience": 0, "valid": stripes()}, "patience .* got 0"),
        ({"min_delta": -0.5}, "min_delta .* got -0.5"),
        ({"monitor": "test"}, "monitor .* got 'test'"),
        ({"label_smoothing": 1.5}, "label_smoothing .* got 1.5"),
        ({"label_smoothing": 0.1, "loss": F.cross_entropy}, "label_smoothing=0.1"),
        ({"schedule": 0.5}, "schedule .* got 0.5"),
        ({"precision": "float8"}, "precision .* got 'float8'"),
        ({"channels_last": "yes"}, "channels_last .* got 'yes'"),
        ({"seed": -1}, "-1"),
        ({"batch_size": 97, "drop_last": True}, "97 leaves nothing of 96"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        quick(network(), stripes(), **options)


def test_data_that_does_not_fit_the_model_is_explained():
    gray = Split(
        torch.zeros(8, 1, 8, 8, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64), (0.5,), (0.5,)
    )
    with pytest.raises(ValueError, match=r"does not take images of \(1, 8, 8\) \(channels, height, width\)"):
        quick(network(), gray)
    with pytest.raises(ValueError, match="train and valid differ"):
        quick(network(), stripes(), gray)
    with pytest.raises(ValueError, match="the train split is empty"):
        quick(network(), stripes().subset(slice(0)))
    with pytest.raises(ValueError, match="the valid split is empty"):
        quick(network(), stripes(), stripes().subset(slice(0)))
    wrong = stripes().with_labels(stripes().labels + 1)
    with pytest.raises(
        ValueError, match=r"labels of train go from 1 to 2, but Sequential has 2 outputs \(0 to 1\)"
    ):
        quick(network(), wrong)
    with pytest.raises(ValueError, match="labels of valid go from 1 to 2"):
        quick(network(), stripes(), wrong)
    negative = stripes().with_labels(stripes().labels - 1)
    with pytest.raises(ValueError, match="labels of train go from -1 to 0"):
        quick(network(), negative)
    with pytest.raises(ValueError, match=r"\[B, K\]; for B = 1 it gave \(1, 4, 6, 6\)"):
        quick(network()[:3], stripes())
    frozen = network().requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        quick(frozen, stripes())


def test_a_model_with_frozen_layers_trains_the_rest():
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    quick(model, stripes())
    assert torch.equal(model[0].weight, before)


def test_divergence_names_step_loss_and_rate():
    with pytest.raises(Diverged, match=r"step \d+ .*learning rate 1e\+38.*smaller learning rate") as caught:
        quick(network(), stripes(), optimizer="sgd", lr=1e38)
    assert len(caught.value.history) == caught.value.step // 6
    assert caught.value.lr == 1e38 and 0 < caught.value.step < 12


def dataset():
    return load_dataset("shapes", n_train=64, n_test=16)


@pytest.mark.parametrize(
    ("train", "valid", "complaint"),
    [
        (dataset, None, r"train must be a Split, got a Dataset; give one of its splits, dataset.train$"),
        (stripes, dataset, r"valid must be a Split, got a Dataset; give one of its splits, dataset.valid$"),
        (lambda: Batches(stripes(), 8), None, "train must be a Split, got a Batches$"),
        (lambda: stripes().images, None, "train must be a Split, got a Tensor$"),
        (stripes, lambda: [stripes()], "valid must be a Split, got a list$"),
        (lambda: None, None, "train must be a Split, got None$"),
    ],
)
def test_what_is_no_split_is_named(train, valid, complaint):
    with pytest.raises(ValueError, match=complaint):
        quick(network(), train(), valid and valid())


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "CPU!", "cpu:x"])
@pytest.mark.parametrize(
    "use", [lambda device: quick(network(), stripes(), device=device),
            lambda device: evaluate(network(), stripes(), device=device)],
    ids=["fit", "evaluate"],
)  # fmt: skip
def test_a_device_that_is_not_there_is_named(device, use):
    with pytest.raises(ValueError, match=f"^{device!r} is no device of this machine, such as cpu or, with a"):
        use(device)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0", None])
def test_a_seed_that_is_none_is_named(seed):
    with pytest.raises(ValueError, match=f"seed must be a whole number of at least 0, got {seed!r}"):
        quick(network(), stripes(), seed=seed)


def test_numbers_of_numpy_and_large_seeds_are_whole_numbers_too():
    assert len(quick(network(), stripes(), epochs=np.int64(1), batch_size=np.int64(32), seed=2**80)) == 1


FORMS = {
    "parallel": nn.DataParallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "scripted": torch.jit.script,
}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("form", FORMS)
def test_a_model_in_another_form_is_trained_as_the_plain_one(form, tmp_path):
    options = {"precision": "float32", "channels_last": False, "patience": 5}
    plain = quick(network(dropout=0.0), stripes(), stripes(seed=1), epochs=3, **options)
    quick(FORMS[form](network(dropout=0.0)), stripes(), stripes(seed=1), checkpoint=tmp_path / "a", **options)
    model = FORMS[form](network(dropout=0.0))
    history = quick(
        model, stripes(), stripes(seed=1), epochs=3, checkpoint=tmp_path / "a", **options
    )  # goes on
    assert history.valid_loss == pytest.approx(plain.valid_loss, rel=1e-4)
    assert history.train_loss == pytest.approx(plain.train_loss, rel=1e-4) and not model.training


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_forms_that_cannot_be_trained_are_named():
    traced = torch.jit.trace(network().eval(), torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="the model was traced, .*give the module that it was traced from"):
        quick(traced, stripes())
    for form in ("compiled", "scripted"):
        with pytest.raises(ValueError, match=f"compile=True needs a plain module, and the model is {form}"):
            quick(FORMS[form](network()), stripes(), compile=True)
    with pytest.raises(ValueError, match="model must be a torch module, got a function"):
        quick(lambda x: x, stripes())


def test_an_epoch_that_diverges_in_validation_is_not_in_the_history():
    def loss(logits, y):
        return F.cross_entropy(logits, y) * (1 if logits.requires_grad else math.inf)

    with pytest.raises(Diverged, match="the validation loss") as caught:
        quick(network(), stripes(), stripes(seed=1), loss=loss)
    history = caught.value.history
    assert len(history) == 0 and not history.train_loss and not history.seconds and not history.valid_seconds


def test_other_gpus_are_not_seeded(monkeypatch):
    called = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", called.append)
    model, data = network(), stripes()
    called.clear()
    quick(model, data)
    assert not called
