"""What others have measured: the file, and the table of VGG-A against medians that were taken by hand."""

import pytest

from utils.experiments.replications import (
    BANDS,
    FILE,
    VGG_A,
    bands_by_length,
    replications,
    vgg_a_by_rate,
)


def test_every_row_names_its_source_and_what_was_measured():
    table = replications()
    assert len(table) == 179 and table.source.nunique() == 76
    for column in ("experiment", "source", "settings", "metric"):
        assert table[column].notna().all(), column
    assert table.year.dropna().between(2012, 2026).all()


def test_an_unknown_experiment_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=f"nobody's 'VGG-B' is on file; there are .*{BANDS}"):
        replications("VGG-B")


# repositories, medians of the test accuracy in percent without and with batch normalization
MEDIANS = {
    (False, 1e-4): (5, 76.36, 74.53),
    (False, 5e-4): (6, 78.52, 82.325),
    (False, 1e-3): (12, 76.305, 82.80),
    (False, 2e-3): (5, 72.89, 83.02),
    (True, 1e-4): (4, 83.085, 85.275),
    (True, 5e-4): (5, 85.13, 86.84),
    (True, 1e-3): (7, 82.90, 87.01),
    (True, 2e-3): (3, 76.64, 86.91),
}


@pytest.mark.parametrize(("augmented", "rate"), MEDIANS)
def test_medians_by_rate(augmented, rate):
    table = vgg_a_by_rate()
    rows = table[(table.augmented == augmented) & (table.rate == rate)]
    found = (rows.source.nunique(), rows.without.median(), rows.with_bn.median())
    assert found == pytest.approx(MEDIANS[augmented, rate], abs=0.011)


def test_short_trainings_and_other_optimizers_are_left_out():
    table = vgg_a_by_rate()
    assert table.epochs.min() == 8
    left_out = replications(VGG_A)[lambda rows: rows.settings.str.contains("SGD|4000 images|cosine")]
    assert len(left_out) > 8
    assert not set(left_out.value_without.round(2)) & set(table.without.round(2)) - {10.0}


def test_of_several_trainings_of_one_repository_one_is_taken():
    table = vgg_a_by_rate()
    assert not table.duplicated(["source", "rate", "augmented"]).any()
    several = table[table.source.str.startswith("Parry-Git") & (table.rate == 1e-3)]
    assert several.epochs.tolist() == [40.0], "of 40 and 100 epochs"


def test_the_file_is_a_plain_table():
    assert FILE.read_text(encoding="utf-8").splitlines()[0] == (
        "experiment,source,file,year,model,settings,metric,value_without,value_with,n,notes"
    )


def test_bands_by_length_have_the_steps_that_the_log_tells_or_batches_of_128():
    table = bands_by_length().set_index("source")
    steps = {
        "Dear-Cry/yzgjhdxf": 7820,  # told
        "lrond/PJ2_2026": 20 * 352,  # told
        "Destiny-JTY/neuralnetwork_project2": 3910,  # told
        "Parry-Git/Deep-Learning-Project2": 5 * 39,  # of 5,000 images; the log says about 200
    }
    assert {source: table.steps[source] for source in steps} == steps
    assert len(table) == 14


def test_with_batch_normalization_the_band_is_narrower_after_15_epochs_in_every_public_log():
    table = bands_by_length()
    ratio = table.with_bn / table.without
    assert ratio[table.epochs >= 15].between(0.34, 0.64).all() and (table.epochs >= 15).sum() == 9
    assert ratio[table.epochs == 20].median() == pytest.approx(0.5345, abs=0.02)  # 0.53 by hand


def test_bands_of_another_optimizer_of_epoch_means_or_of_a_few_steps_are_left_out():
    left_out = {
        "adehuang41/deep_learning_pj2",
        "henrywch/VGG_BatchNorm",
        "mqxt/PJ2-of-NNDL",
        "kr0n03ta313/PJ2_2026",
    }
    assert not left_out & set(bands_by_length().source)
