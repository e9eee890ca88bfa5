"""The processes of a replay's shadow, kept by a thread of ours: they end with us, whatever ends us."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.stack.child import STOP_SECONDS, Child, Order
from cli.stack.keeper import Keeper
from cli.stack.pipeline import CHECKOUT, refuse_final_exit
from replays.traffic import nicer_by

NOT_THEIRS = ("LAUREL_FAILPOINT", "LAUREL_MEMBER_ID", "LAUREL_PROFILE")


class KeptProcesses:
    def __init__(self, keeper: Keeper, folder: Path) -> None:
        self._keeper, self._folder = keeper, folder

    def start(self, name: str, command: str, environment: Mapping[str, str]) -> None:
        """Unless it runs."""
        there = self._keeper.children.get(name)
        if there is not None and there.alive:
            return
        ours = {key: value for key, value in os.environ.items() if key not in NOT_THEIRS}
        argv = ("nice", "-n", f"{nicer_by()}", sys.executable, "-P", "-m", "cli.main", command)
        env = ours | {"PYTHONPATH": str(CHECKOUT)} | dict(environment)
        self._keeper.start(Child(Order(name, argv, self._folder / f"{name}.log", env=env, restart=True)))

    def refuse_ended(self) -> None:
        for child in list(self._keeper.children.values()):
            refuse_final_exit(child)

    def stop(self, name: str) -> None:
        child = self._keeper.children.pop(name, None)  # so that it is not taken for a fallen one
        if child is not None:
            end([child])


@contextmanager
def employ(name: str) -> Iterator[KeptProcesses]:
    """Logs are in a folder of this name among the temporary ones, for as long as the processes."""
    with tempfile.TemporaryDirectory(prefix=f"laurel-{name}-", ignore_cleanup_errors=True) as folder:
        keeper = Keeper(on_change=lambda _: None)
        try:
            yield KeptProcesses(keeper, Path(folder))
        finally:
            keeper.refuse()
            end(list(keeper.children.values()))
            keeper.close()


def end(children: Iterable[Child]) -> None:
    """All at once, each with its time to finish."""
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.wait(STOP_SECONDS)
        child.kill()
