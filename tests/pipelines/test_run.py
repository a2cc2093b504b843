"""Facts about asking for a run, in this process, of the station's server."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from medflow.errors import ConfigurationError
from pipelines.run import given, request
from tests.pipelines.conftest import Station


@pytest.fixture
def server(station: Station) -> Iterator[None]:
    """Let this process talk to the station's server."""
    settled = {PREFECT_HOME: station.environ["PREFECT_HOME"], PREFECT_API_URL: station.environ["PREFECT_API_URL"]}
    with temporary_settings(settled):
        yield


def test_a_parameter_is_json_or_else_text() -> None:
    assert given(["task=ball", "quiet=60", "and_score=true"]) == {"task": "ball", "quiet": 60, "and_score": True}


@pytest.mark.parametrize("word", ["task", "=ball", "a b=c", "source=/mnt/export", "source=..\\export"])
def test_a_word_that_is_no_pair_or_holds_a_path_is_refused_without_quoting_it(word: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        given([word])

    assert word.partition("=")[2] == "" or word.partition("=")[2] not in str(refusal.value)


@pytest.mark.slow
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("name", "parameters", "why"),
    [
        ("nothing", {}, "no deployments named 'nothing'"),
        ("train/nightly", {}, "no deployments named 'train/nightly'"),
        ("train", {"colour": "blue"}, r"has no parameter colour \(it has: cohort, resume, task\)"),
        ("train/train", {"task": "no task"}, "the server refuses these parameters"),
        ("score", {"model": "ball:x"}, "the server refuses these parameters"),
    ],
)
def test_a_run_that_cannot_be_is_not_asked_for(name: str, parameters: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        request(name, parameters)


@pytest.mark.parametrize(("url", "why"), [(None, "no Prefect server is set"), ("http://127.0.0.1:9/api", "answer")])
def test_without_a_server_the_message_says_how_to_start_one(url: str | None, why: str) -> None:
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ConfigurationError, match=why) as refusal:
        request("train", {})

    assert "prefect server start" in str(refusal.value)
