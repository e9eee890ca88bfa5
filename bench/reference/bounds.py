"""What the reference keeps at most, where the documentation states a bound. Beyond it nothing more is taken in."""

from __future__ import annotations

RECENT_IDS_MAX = 8
DISTINCT_VALUES_MAX = 4096
STREAK_RUNS_MAX = 512
FREEZES_MAX = 256
EDGE_DAYS_MAX = 64
PERIODS_MAX = 64
PERIOD_VALUES_MAX = 512  # different values of a distinct in one period
SCOPES_MAX = 4096
SCOPE_LENGTH_MAX = 200
LEVEL_MAX = 1000
