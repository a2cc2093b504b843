"""The profile of the house: what is taken in is cleaned by the one that is set."""

from dataclasses import replace
from pathlib import Path

import pytest

from medflow.deid.profile_file import read_profile
from medflow.errors import ConfigurationError
from medflow.settings import read_settings
from medflow.steps.house import open_house
from tests.steps.conftest import outside


def test_a_house_cleans_by_the_profile_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "north.yaml"
    file.write_text("name: north\noptions: [modified_dates]\n")
    monkeypatch.setenv("MEDFLOW_PROFILE", str(file))

    house = open_house(read_settings(data_dir=tmp_path / "data").places(), outside())
    house.close()

    assert house.profile.name == "north"
    assert house.profile.digest == read_profile(file).digest


def test_a_house_that_would_keep_uids_is_not_opened_and_nothing_is_made(tmp_path: Path) -> None:
    file = tmp_path / "north.yaml"
    file.write_text("name: north\noptions: [uids]\n")
    places = read_settings(data_dir=tmp_path / "data").places()

    with pytest.raises(ConfigurationError, match="option uids is for `medflow deidentify` alone"):
        open_house(replace(places, profile=file), outside())
    assert not (tmp_path / "data").exists()
