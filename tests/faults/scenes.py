"""What the fault tests share: a pipeline that one fault after the other happens to, as long as it stays whole."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random

from cli.faults.catalogue import Fault, fault_named
from cli.faults.ground import Ground
from cli.faults.scene import Scene, Shape
from cli.stack.child import Child

SEED = 1
USUAL = Shape(namespace="", seed=SEED, workers=2, projectors=1, claimers=2, users=200, events_per_s=120)


class Scenes:
    """Scenes on one ground. The usual one goes from test to test; a test that fails leaves it to nobody."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._open = ExitStack()
        self._usual: Scene | None = None

    @contextmanager
    def usual(self) -> Iterator[Scene]:
        """Under load; given back drained and whole."""
        scene, self._usual = self._usual, None
        if scene is None:
            scene = self._open.enter_context(self._new(USUAL))
        else:
            scene.load_again()
        scene.await_progress()
        try:
            yield scene
        except BaseException:
            self.close()
            raise
        self._usual = scene

    @contextmanager
    def own(self, shape: Shape = USUAL, **env: str) -> Iterator[Scene]:
        """One of the test's own; the usual one gives it the machine."""
        self.close()
        with self._new(shape, **env) as scene:
            yield scene

    def _new(self, shape: Shape, **env: str) -> Scene:
        return Scene(self._ground, shape._replace(namespace=f"f{secrets.token_hex(5)}"), env)

    def close(self) -> None:
        self._usual = None
        self._open.close()


def survives(scenes: Scenes, name: str) -> None:
    """Inflict a fault under load; every invariant holds afterwards."""
    fault: Fault = fault_named(name)
    with scenes.usual() as scene:
        fault.inflict(scene, Random(SEED))
        scene.await_progress()
        assert_whole(scene)


def assert_whole(scene: Scene) -> None:
    """Drain, and hold everything against the reference."""
    broken = {verdict.name: verdict.differences for verdict in scene.verdicts(scene.drain()) if verdict.differences}
    assert not broken, f"{broken}\n{scene.last_words()}"


def owned(worker: Child) -> list[int] | None:
    """The partitions of its last acquisition, as its log says; None before the first."""
    lines = [json.loads(line) for line in worker.last_lines().splitlines() if '"acquired"' in line]
    return lines[-1]["partitions"] if lines else None
