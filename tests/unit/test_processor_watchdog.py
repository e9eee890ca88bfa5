"""The watchdog: patient with whoever has nothing to do, not with whoever does nothing."""

from __future__ import annotations

from processor.kafka.watchdog import Judge, Look

WELL = Look(is_member=True, is_acquiring=False, lag=0, progress=0)


def complaints(*looks: Look, patience_s: float = 3.0) -> list[str]:
    """Complaints about looks that are a second apart."""
    judge = Judge(patience_s)
    return [said for now, look in enumerate(looks) if (said := judge.complaint(look, float(now)))]


def test_a_spare_member_is_well_for_ever() -> None:
    assert complaints(*[WELL] * 20) == []


def test_progress_under_lag_is_well() -> None:
    assert complaints(*[WELL._replace(lag=1_000, progress=step) for step in range(20)]) == []


def test_lag_without_progress_is_reported_after_the_patience() -> None:
    stuck = WELL._replace(lag=17, progress=5)

    assert complaints(*[stuck] * 4) == []
    assert complaints(*[stuck] * 5) == ["no progress for 3 s with a lag of 17 offsets"]


def test_lag_that_comes_and_goes_without_progress_of_ours_is_well() -> None:
    assert complaints(*[WELL._replace(lag=step % 2) for step in range(20)]) == []


def test_restoring_takes_its_own_time() -> None:
    assert complaints(*[WELL._replace(lag=9, is_acquiring=True)] * 20) == []


def test_a_lost_membership_is_reported_after_the_patience() -> None:
    lost = WELL._replace(is_member=False)

    assert complaints(WELL, *[lost] * 3, WELL, *[lost] * 3) == []
    assert complaints(WELL, *[lost] * 4) == ["no stable membership of the group for 3 s"]
