"""Faults for a pipeline that runs, a load to inflict them under, and the invariants that must hold afterwards."""
