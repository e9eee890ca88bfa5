"""What a builder on the platform does: projects, prompt battles, quizzes, and help for others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cli.simulation.chance import Chance
from cli.simulation.resident import Act, Community, Fact, Facts, Resident, one_of

OTHER_NAME_CHANCE = 0.2
OPEN_BATTLES = 3
POINTS = {"project": 10, "publish": 15, "battle": 5, "win": 20, "help": 2, "quiz": 5}


@dataclass(eq=False, slots=True)
class Project:
    id: str
    published: bool = False


@dataclass
class Platform(Community):
    """Also the number of the newest battle."""

    battles: int = OPEN_BATTLES


def open_workshop(platform: Platform, user_id: str, drive: int, chance: Chance) -> Workshop:
    return Workshop(user_id, platform, chance)


class Workshop(Resident):
    """The projects of one builder, their stars, and how well they battle."""

    def __init__(self, user_id: str, platform: Platform, chance: Chance) -> None:
        super().__init__(user_id, platform.user_ids, chance)
        self.platform = platform
        self.projects: list[Project] = []
        self.stars = 0
        self._login = "login_streak" if chance.happens(OTHER_NAME_CHANCE) else "login"
        self._wins = chance.between(15, 65) / 100

    def arrive(self) -> list[Fact]:
        return [(self._login, {})]

    def act(self) -> list[Fact]:
        return one_of(ACTS, self, self.chance)

    # --- projects ---

    def create_project(self) -> Facts:
        project = Project(self.new_id("p"))
        self.projects.append(project)
        yield "project_created", {"project_id": project.id}
        yield self._points("project")

    def publish_project(self) -> Facts:
        project = self.chance.one_of(self.of_state(published=False))
        project.published = True
        yield "project_published", {"project_id": project.id}
        yield self._points("publish")

    def unpublish_project(self) -> Facts:
        project = self.chance.one_of(self.of_state(published=True))
        project.published = False
        yield "project_unpublished", {"project_id": project.id}

    def delete_project(self) -> Facts:
        project = self.chance.one_of(self.projects)
        self.projects.remove(project)
        yield "project_deleted", {"project_id": project.id, "published": project.published}

    def of_state(self, *, published: bool) -> list[Project]:
        return [project for project in self.projects if project.published == published]

    def hear_of_stars(self) -> Facts:
        """Others give stars, and take some back."""
        project = self.chance.one_of(self.of_state(published=True))
        self.stars = max(0, self.stars + self.chance.near(-2, 12))
        yield "stars_changed", {"project_id": project.id, "stars": self.stars}

    # --- battles, quizzes, others ---

    def join_battle(self) -> Facts:
        self.platform.battles += self.chance.happens(0.4)
        battle = {"battle_id": f"b-{self.platform.battles - self.chance.between(0, OPEN_BATTLES - 1)}"}
        yield "battle_participated", battle
        yield self._points("battle")
        if self.chance.happens(self._wins):
            yield "battle_won", battle
            yield self._points("win")

    def take_quiz(self) -> Facts:
        score = {"score": self.chance.between(30, 100)} if self.chance.happens(0.8) else {}
        yield "quiz_completed", {"quiz_id": f"q-{self.chance.between(1, 60)}", **score}
        yield self._points("quiz")

    def help_somebody(self) -> Facts:
        kind = self.chance.weighed([(7, "upvote"), (3, "comment")])
        helped = {"helped_id": self.friend()} if self.chance.happens(0.8) else {}
        yield "community_help", {"kind": kind, **helped}
        if kind == "comment":
            yield self._points("help")

    def _points(self, reason: str) -> tuple[str, dict[str, Any]]:
        return "points_earned", {"points": POINTS[reason], "reason": reason}


# weights are whole, since Pythons differ in how they add fractions
ACTS: list[Act[Workshop]] = [
    (160, lambda workshop: True, Workshop.create_project),
    (120, lambda workshop: workshop.of_state(published=False), Workshop.publish_project),
    (12, lambda workshop: workshop.of_state(published=True), Workshop.unpublish_project),
    (18, lambda workshop: workshop.projects, Workshop.delete_project),
    (60, lambda workshop: workshop.of_state(published=True), Workshop.hear_of_stars),
    (110, lambda workshop: True, Workshop.join_battle),
    (60, lambda workshop: True, Workshop.take_quiz),
    (260, Workshop.has_company, Workshop.help_somebody),
    (15, Workshop.has_company, Workshop.follow),
    (2, lambda workshop: workshop.followed_ids, Workshop.unfollow),
]
