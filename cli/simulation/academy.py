"""What a student of the coding course does: lessons, exercises, projects, and feedback to others."""

from __future__ import annotations

from cli.simulation.chance import Chance
from cli.simulation.resident import Act, Community, Fact, Facts, Resident, one_of

TRACKS = ["python", "rust", "sql", "web", "data"]
LESSONS, EXERCISES = 80, 160  # of a track
CHANGE_OF_TRACK_CHANCE = 0.02


def study(community: Community, user_id: str, drive: int, chance: Chance) -> Student:
    return Student(user_id, community, chance)


class Student(Resident):
    """How far somebody is on each track, and the track they are on."""

    def __init__(self, user_id: str, community: Community, chance: Chance) -> None:
        super().__init__(user_id, community.user_ids, chance)
        self.track = chance.one_of(TRACKS)
        self.lessons = dict.fromkeys(TRACKS, 0)
        self.exercises = dict.fromkeys(TRACKS, 0)
        self._boldness = chance.between(5, 35)  # per cent of the exercises are hard ones

    def act(self) -> list[Fact]:
        if self.chance.happens(CHANGE_OF_TRACK_CHANCE):
            self.track = self.chance.one_of(TRACKS)
        return one_of(ACTS, self, self.chance)

    def complete_lesson(self) -> Facts:
        """The next of the track; after the last, and now and then before, one that was done already."""
        done = self.lessons[self.track]
        is_new = done < LESSONS and not self.chance.happens(0.08)
        self.lessons[self.track] += is_new
        number = done + 1 if is_new else self.chance.between(1, max(1, done))
        yield "lesson_completed", {"lesson_id": f"l-{self.track}-{number}", **self._on_track()}

    def solve_exercise(self) -> Facts:
        done = self.exercises[self.track]
        is_new = done < EXERCISES and not self.chance.happens(0.05)
        self.exercises[self.track] += is_new
        number = done + 1 if is_new else self.chance.between(1, max(1, done))
        yield (
            "exercise_solved",
            {"exercise_id": f"e-{self.track}-{number}", **self._difficulty(), **self._on_track()},
        )

    def submit_project(self) -> Facts:
        yield "project_submitted", {"project_id": self.new_id("p")}

    def give_feedback(self) -> Facts:
        to_id = self.user_id if self.chance.happens(0.02) else self.friend()
        yield "feedback_given", {"to_id": to_id}

    def _on_track(self) -> dict[str, str]:
        if self.chance.happens(0.03):
            return {}
        return {"track": self.track.upper() if self.chance.happens(0.05) else self.track}

    def _difficulty(self) -> dict[str, str]:
        if self.chance.happens(0.03):
            return {}
        easy = self.chance.weighed([(6, "easy"), (4, "medium")])
        return {"difficulty": "hard" if self.chance.happens(self._boldness / 100) else easy}


# weights are whole, since Pythons differ in how they add fractions
ACTS: list[Act[Student]] = [
    (90, lambda student: True, Student.complete_lesson),
    (150, lambda student: True, Student.solve_exercise),
    (10, lambda student: any(student.lessons.values()), Student.submit_project),
    (50, Student.has_company, Student.give_feedback),
    (5, Student.has_company, Student.follow),
    (1, lambda student: student.followed_ids, Student.unfollow),
]
