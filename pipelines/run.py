"""Asking a Prefect server for a run of a deployment, in a word."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from medflow.errors import ConfigurationError, StateError

ANSWER = 10.0
"""Seconds that the server has to say that it is there."""
LOOK = 1.0
"""Seconds between two looks at a run."""


def given(words: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` words; a value may be JSON, else it is text.

    >>> given(["task=chest_ct_nodule", "quiet=60"])
    {'task': 'chest_ct_nodule', 'quiet': 60}

    Raises:
        ConfigurationError: a word is no such pair, or holds a path, which Prefect would keep.
    """
    parameters = {}
    for number, word in enumerate(words, 1):
        key, separator, value = word.partition("=")
        if not separator or not key.isidentifier():
            raise ConfigurationError(f"--param number {number} is not KEY=VALUE")
        if "/" in value or "\\" in value:
            raise ConfigurationError(f"--param {key} holds a path; flows take the name of a source, a task or a model")
        try:
            parameters[key] = json.loads(value)
        except ValueError:
            parameters[key] = value
    return parameters


def request(name: str, parameters: dict[str, Any]) -> FlowRun:
    """Ask for a run of the deployment `name`; `train` and `train/train` mean the same.

    Raises:
        ConfigurationError: no server answers, or it knows no such deployment or parameter.
    """
    with _client() as client:
        deployment = _deployment(client, name)
        known = set((deployment.parameter_openapi_schema or {}).get("properties", {}))
        if unknown := sorted(parameters.keys() - known):
            expected = ", ".join(sorted(known)) or "none"
            raise ConfigurationError(f"{name} has no parameter {', '.join(unknown)} (it has: {expected})")
        try:
            return client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        except PrefectHTTPStatusError:
            raise ConfigurationError(f"the server refuses these parameters of {name}: a value is not allowed") from None


def awaited(run: UUID) -> FlowRun:
    """Wait until a run has ended.

    Raises:
        StateError: the server stopped answering.
    """
    with _client() as client:
        while True:
            try:
                found = client.read_flow_run(run)
            except httpx.HTTPError:
                raise StateError("the server stopped answering; the run may go on without us") from None
            if found.state is not None and found.state.is_final():
                return found
            time.sleep(LOOK)


@contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    """Reach the server that is set.

    Raises:
        ConfigurationError: none is set, or it does not answer.
    """
    url = get_current_settings().api.url
    if not url:
        raise ConfigurationError(
            "no Prefect server is set: start one with `prefect server start`, "
            "then set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    with get_client(sync_client=True, httpx_settings={"timeout": ANSWER}) as client:
        if client.api_healthcheck() is not None:
            raise ConfigurationError(
                "the Prefect server at PREFECT_API_URL does not answer: start it with `prefect server start`, "
                "or correct PREFECT_API_URL"
            )
        yield client


def _deployment(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    """Find the deployment whose name is given, alone or after its flow's.

    Raises:
        ConfigurationError: there is none, or several flows have one of that name.
    """
    flow, _, last = name.rpartition("/")
    wanted = DeploymentFilter(name=DeploymentFilterName(any_=[last]))
    found = client.read_deployments(deployment_filter=wanted)
    if flow:
        found = [item for item in found if client.read_flow(item.flow_id).name == flow]
    if len(found) != 1:
        raise ConfigurationError(
            f"the server has {len(found) or 'no'} deployments named {name!r}; "
            "`prefect deployment ls` names those there are, `prefect deploy --all` makes medflow's"
        )
    return found[0]
