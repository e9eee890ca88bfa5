"""What somebody does who prepares for interviews: sessions of questions, on topics they like or fear."""

from __future__ import annotations

from typing import Any

from cli.simulation.chance import Chance
from cli.simulation.resident import Act, Community, Fact, Facts, Resident, one_of

KINDS = [(5, "technical"), (4, "behavioural"), (2, "case study"), (2, "system design"), (1, "Technical ")]
TOPICS = ["algorithms", "databases", "estimation", "leadership", "networks", "salary", "teamwork", "testing"]
QUESTIONS = (3, 7)
SECONDS_A_QUESTION = (90, 420)
QUESTIONS_THERE_ARE = 400


def rehearse(community: Community, user_id: str, drive: int, chance: Chance) -> Candidate:
    return Candidate(user_id, community, chance)


class Candidate(Resident):
    """How somebody answers: with practice they get better, never perfect."""

    def __init__(self, user_id: str, community: Community, chance: Chance) -> None:
        super().__init__(user_id, community.user_ids, chance)
        self._skill = chance.between(30, 70)  # per cent of the answers are right
        self._topics = [topic for topic in TOPICS if chance.happens(0.7)] or TOPICS

    def arrive(self) -> list[Fact]:
        """Nothing is said about visits; whoever comes, practises."""
        return list(self.hold_session())

    def act(self) -> list[Fact]:
        return one_of(ACTS, self, self.chance)

    def hold_session(self) -> Facts:
        asked = self.chance.between(*QUESTIONS)
        right = 0
        for _ in range(asked):
            is_right = self.chance.happens(self._skill / 100)
            right += is_right
            yield self._answer(is_right)
        self._skill = min(92, self._skill + self.chance.happens(0.4))
        yield "session_completed", {"session_id": self.new_id("s"), **self._told(asked, right)}

    def answer_alone(self) -> Facts:
        """A question in between, without a session."""
        yield self._answer(self.chance.happens(self._skill / 100))

    def _told(self, asked: int, right: int) -> dict[str, Any]:
        """What is known of a session; a recording that was lost has neither score nor length."""
        if self.chance.happens(0.03):
            return {}
        score = right * 1000 // asked
        seconds = asked * self.chance.between(*SECONDS_A_QUESTION)
        return {"kind": self.chance.weighed(KINDS), "score": score / 10, "duration_s": seconds}

    def _answer(self, is_right: bool) -> Fact:
        topic = {"topic": self.chance.one_of(self._topics)} if self.chance.happens(0.95) else {}
        judged = {"correct": is_right} if self.chance.happens(0.97) else {}
        return (
            "question_answered",
            {"question_id": f"q-{self.chance.between(1, QUESTIONS_THERE_ARE)}", **topic, **judged},
        )


# weights are whole, since Pythons differ in how they add fractions
ACTS: list[Act[Candidate]] = [
    (60, lambda candidate: True, Candidate.hold_session),
    (30, lambda candidate: True, Candidate.answer_alone),
    (3, Candidate.has_company, Candidate.follow),
    (1, lambda candidate: candidate.followed_ids, Candidate.unfollow),
]
