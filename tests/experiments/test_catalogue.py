"""Every experiment that a claim rests on runs in the profile smoke, on embedded data."""

import pytest

from utils.experiments import records
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.run import run

BEHIND_CLAIMS = sorted({claim.experiment for claim in CLAIMS.values()})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One folder for the decoded stand-in, made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.experiments
@pytest.mark.parametrize("name", BEHIND_CLAIMS)
def test_it_runs_by_its_name(name, cache, monkeypatch, tmp_path):
    monkeypatch.setenv("CNNLAB_CACHE", str(cache))
    paths = run(EXPERIMENTS[name], "smoke", results=tmp_path, device="cpu")
    assert [records.read(path)["configuration"]["label"] for path in paths] == [
        c.label for c in EXPERIMENTS[name].configurations
    ]
