"""The ways to use a data set: the paper's origin, fixed and full-ft."""

from . import fixed, full_ft, origin  # noqa: F401 - each registers itself
from .base import PROTOCOLS, Job, Outcome, Protocol

__all__ = ["PROTOCOLS", "Job", "Outcome", "Protocol"]
