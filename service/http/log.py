"""What is logged, and how it looks."""

from __future__ import annotations

import logging
import sys

from service.settings import ServiceSettings


def set_up_logging(settings: ServiceSettings) -> None:
    """One line a request on standard error from `log_level` info on."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("footnote").setLevel(settings.log_level.upper())
