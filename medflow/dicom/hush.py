"""Silence for pydicom and its decoders: what they warn of and log quotes header values and paths."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pydicom import config

TALKATIVE = ("pydicom", "openjpeg", "pylibjpeg", "rle", "jpeg_ls")
SILENT = logging.CRITICAL + 1
_HUSHED: ContextVar[bool] = ContextVar("pydicom is hushed", default=False)
"""So that who hushes many reads at once pays for it once."""


@contextmanager
def hushed() -> Iterator[None]:
    """Let pydicom read what it can without a warning, a log line or a check that quotes values; then as before."""
    if _HUSHED.get():
        yield
        return
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    mode = config.settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(SILENT)  # children without a level of their own follow
        config.settings.reading_validation_mode = config.IGNORE
        token = _HUSHED.set(True)
        try:
            yield
        finally:
            _HUSHED.reset(token)
            config.settings.reading_validation_mode = mode
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
