"""The reference: the plainest fold of a log, to hold the evaluator against.

It reads the catalog's YAML by itself, keeps everything it ever saw in plain dictionaries, and looks at every
condition of a user after every event. It shares no code and no trick with the evaluator, so that a mistake has
to be made twice, in two ways, before nobody notices it.

It takes events that were judged before: what would be a dead letter must not be among them.
"""

from bench.reference.catalog import read_yaml
from bench.reference.folding import COMMANDS, fold
from bench.reference.result import Answer, Award, Result, Told, Unlock

__all__ = ["COMMANDS", "Answer", "Award", "Result", "Told", "Unlock", "fold", "read_yaml"]
