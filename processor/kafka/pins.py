"""The exact versions whose insides this package overrides."""

from __future__ import annotations

from importlib.metadata import version

from schemas.errors import Precondition

PINS = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}


def require_pinned_versions() -> None:
    """Raises: Precondition when another version of Faust or aiokafka is installed than the one built upon."""
    for package, pinned in PINS.items():
        if (installed := version(package)) != pinned:
            raise Precondition(
                f"{package} {installed} is installed, but the processor overrides the insides of {pinned}: "
                f"run `pip install {package}=={pinned}`"
            )
