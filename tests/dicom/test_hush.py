"""pydicom says nothing while it is hushed, and speaks again afterwards."""

import logging
import warnings

import pytest
from pydicom import config
from pydicom.misc import warn_and_log

from medflow.dicom.hush import hushed


def test_neither_warnings_nor_logs_of_pydicom_come_through(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as caught, hushed():
        warn_and_log("Canary^Yellow")
        logging.getLogger("pydicom.pixels.decoders.base").error("Canary^Yellow")

    assert not caught
    assert not caplog.records


def test_everything_is_as_before_even_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    mode = config.settings.reading_validation_mode
    with pytest.raises(KeyError), hushed():
        raise KeyError

    logging.getLogger("pydicom").warning("heard again")
    assert config.settings.reading_validation_mode == mode
    assert caplog.messages == ["heard again"]
