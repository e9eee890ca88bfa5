from cli.stack.kafka import BENCH, QUICK_START
from cli.stack.local import LocalStack

__all__ = ["BENCH", "QUICK_START", "LocalStack"]
