"""The processor and the projector as they are, over a log, a database and a clock that exist in memory only.

For finding mistakes, never for running anything: what is kept here is gone with the process.
"""
