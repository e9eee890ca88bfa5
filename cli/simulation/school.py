"""What a learner does: lesson by lesson through courses, with an assessment at the end of every module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cli.simulation.chance import Chance
from cli.simulation.resident import Act, Community, Fact, Facts, Resident, one_of

SUBJECTS = ["Algebra", "Botany", "Drawing", "Español", "History", "Python", "Rhetoric", "Türkçe"]
UNITS, MODULES, LESSONS = 3, 3, 4  # of a course, of a unit, of a module
PASSED = 60
RETAKE_CHANCE = 0.6


@dataclass(slots=True)
class Course:
    """How far somebody is: the number of lessons done. Courses are the same for all, and known by their places."""

    subject: str
    done: int = 0

    @property
    def is_over(self) -> bool:
        return self.done == UNITS * MODULES * LESSONS

    def place(self, lesson: int) -> tuple[str, str, str]:
        """Unit, module and lesson of the lesson with that number, each named within the whole."""
        unit, module = lesson // (MODULES * LESSONS) + 1, lesson // LESSONS % MODULES + 1
        of_unit = f"{self.subject.lower()}-{unit}"
        return of_unit, f"{of_unit}-{module}", f"{of_unit}-{module}-{lesson % LESSONS + 1}"


@dataclass(eq=False, slots=True)
class Assessment:
    id: str
    title: str
    attempts: int = 0


def enrol(community: Community, user_id: str, drive: int, chance: Chance) -> Learner:
    return Learner(user_id, community, chance)


class Learner(Resident):
    """The courses of one learner, one after another, and the assessments that went badly."""

    def __init__(self, user_id: str, community: Community, chance: Chance) -> None:
        super().__init__(user_id, community.user_ids, chance)
        self.course = Course(chance.one_of(SUBJECTS))
        self.subjects = [subject for subject in SUBJECTS if subject != self.course.subject]
        self.failed: list[Assessment] = []
        self.talent = chance.between(45, 85)

    def arrive(self) -> list[Fact]:
        """Nothing is said about visits; whoever comes, learns something."""
        return self.act()

    def act(self) -> list[Fact]:
        return one_of(ACTS, self, self.chance)

    def can_go_on(self) -> bool:
        return bool(self.subjects) or not self.course.is_over

    def next_lesson(self) -> Facts:
        if self.course.is_over:
            self.course = Course(self.subjects.pop(self.chance.between(0, len(self.subjects) - 1)))
        lesson = self.course.done
        yield self._completed("lesson", self.course.place(lesson)[2])
        self.course.done += 1
        yield from self._finished(lesson)

    def _finished(self, lesson: int) -> Facts:
        """The module, the unit and the course that end with a lesson."""
        unit, module, _ = self.course.place(lesson)
        if self.course.done % LESSONS == 0:
            yield self._completed("module", module)
            yield from self._sit(Assessment(f"a-{module}", f"{self._title(module)} Assessment"))
        if self.course.done % (LESSONS * MODULES) == 0:
            yield self._completed("unit", unit)
        if self.course.is_over:
            yield self._completed("course", self.course.subject.lower())

    def review_lesson(self) -> Facts:
        """A lesson that was done before, once more."""
        yield self._completed("lesson", self.course.place(self.chance.between(0, self.course.done - 1))[2])

    def retake(self) -> Facts:
        yield from self._sit(self.failed.pop(0))

    def _sit(self, assessment: Assessment) -> Facts:
        assessment.attempts += 1
        tenths = min(1000, self.talent * 10 + self.chance.between(-150, 250) + 60 * (assessment.attempts - 1))
        percent = tenths // 10 if self.chance.happens(0.5) else tenths / 10
        attempt = {"attempt": assessment.attempts} if self.chance.happens(0.9) else {}
        yield (
            "assessment_scored",
            {"assessment_id": assessment.id, "percent": percent, "title": assessment.title, **attempt},
        )
        if percent < PASSED or self.chance.happens(RETAKE_CHANCE):
            self.failed.append(assessment)

    def _completed(self, what: str, key: str) -> Fact:
        title: dict[str, Any] = {} if self.chance.happens(0.02) else {"title": self._title(key)}
        return f"{what}_completed", {f"{what}_id": key, **title}

    def _title(self, key: str) -> str:
        name, *places = key.split("-")
        return " ".join([name.title(), ".".join(places)]).strip()


# weights are whole, since Pythons differ in how they add fractions
ACTS: list[Act[Learner]] = [
    (200, Learner.can_go_on, Learner.next_lesson),
    (20, lambda learner: learner.course.done, Learner.review_lesson),
    (30, lambda learner: learner.failed, Learner.retake),
    (4, Learner.has_company, Learner.follow),
    (1, lambda learner: learner.followed_ids, Learner.unfollow),
]
