"""What one musician has made, and the events that each act on it publishes.

An undo always carries what it undoes, as it was counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cli.simulation.chance import Chance
from cli.simulation.repertoire import Taste, title
from cli.simulation.resident import Act, Fact, Facts, Resident, one_of
from cli.simulation.town import Bug, Request, Town

PACK_SONGS = (3, 6)
SERIES_PARTS = (2, 4)
PROLIFIC_DRIVE = 9
HISTORIAN_CHANCE = 0.05
PROLIFIC_HISTORIAN_CHANCE = 0.4


@dataclass(eq=False, slots=True)
class Song:
    id: str
    title: str
    artist: str | None
    year: int | None
    pack: Pack | None = None
    planned: bool = False
    started: bool = False
    authored: bool = False
    from_status: str | None = None  # of the release that stands
    collaborator_ids: list[str] = field(default_factory=list)

    @property
    def origin(self) -> dict[str, Any]:
        """What a release says about the song, and its undo again."""
        return {"from_status": self.from_status, "artist": self.artist, "year": self.year}


@dataclass(eq=False, slots=True)
class Pack:
    id: str
    title: str
    room: int
    songs: list[Song] = field(default_factory=list)
    is_completed: bool = False


@dataclass(eq=False, slots=True)
class Series:
    id: str
    title: str
    parts_left: int


def open_studio(town: Town, user_id: str, drive: int, chance: Chance) -> Studio:
    """That of a new musician; those who do a lot are often curious about all of music's history."""
    likely = PROLIFIC_HISTORIAN_CHANCE if drive >= PROLIFIC_DRIVE else HISTORIAN_CHANCE
    return Studio(user_id, town, Taste(chance, chance.happens(likely)), chance)


class Studio(Resident):
    """The works of one musician."""

    def __init__(self, user_id: str, town: Town, taste: Taste, chance: Chance) -> None:
        super().__init__(user_id, town.user_ids, chance)
        self.town = town
        self.taste = taste
        self.planned: list[Song] = []
        self.wip: list[Song] = []
        self.released: list[Song] = []
        self.pack: Pack | None = None
        self.series: list[Series] = []

    def act(self) -> list[Fact]:
        return one_of(ACTS, self, self.chance)

    # --- songs ---

    def plan_song(self) -> Facts:
        song, created = self._new_song("planned")
        self.planned.append(song)
        song.planned = True
        yield created
        yield "song_planned", {"song_id": song.id, "title": song.title}

    def begin_song(self) -> Facts:
        song, created = self._new_song("wip")
        yield created
        yield from self._start(song)

    def start_planned(self) -> Facts:
        yield from self._start(self._take(self.planned))

    def _start(self, song: Song) -> Facts:
        self.wip.append(song)
        song.started = True
        yield "song_started", {"song_id": song.id, "title": song.title}

    def finish_song(self) -> Facts:
        song = self._take(self.wip)
        yield from self._release(song, "wip")
        if not song.authored and self.chance.happens(0.3):
            yield from self._author(song)

    def release_planned(self) -> Facts:
        yield from self._release(self._take(self.planned), "planned")

    def release_at_once(self) -> Facts:
        song, created = self._new_song("released")
        yield created
        yield from self._release(song, "none")

    def _release(self, song: Song, from_status: str) -> Facts:
        self.released.append(song)
        song.from_status = from_status
        said: dict[str, Any] = {"song_id": song.id, **song.origin, "title": song.title}
        if self.chance.happens(0.5):
            said["image_url"] = f"https://img.trackflow.example/song/{song.id}.jpg"
        if song.pack is not None:
            said["pack_id"] = song.pack.id
        if song.collaborator_ids:
            said["collaborator_ids"] = [*song.collaborator_ids]
        yield "song_released", said

    def author_song(self) -> Facts:
        yield from self._author(self.chance.one_of(self.unauthored()))

    def _author(self, song: Song) -> Facts:
        song.authored = True
        yield "song_authored", {"song_id": song.id, "title": song.title}
        pack = song.pack
        if pack and not pack.room and not pack.is_completed and all(each.authored for each in pack.songs):
            pack.is_completed = True
            yield "pack_completed", {"pack_id": pack.id, "title": pack.title}

    def update_song(self) -> Facts:
        song = self.chance.one_of(self.songs())
        song.title = title(self.chance)
        yield (
            "song_updated",
            {
                "song_id": song.id,
                "collaborator_ids": [*song.collaborator_ids],
                "title": song.title,
            },
        )

    def unrelease_song(self) -> Facts:
        song = self._take(self.released)
        yield "song_unreleased", {"song_id": song.id, **song.origin}
        song.from_status = None
        self.wip.append(song)

    def unauthor_song(self) -> Facts:
        song = self.chance.one_of([song for song in self.songs() if song.authored])
        song.authored = False
        yield "song_unauthored", {"song_id": song.id}

    def delete_song(self) -> Facts:
        shelf = self.chance.one_of([shelf for shelf in (self.planned, self.wip, self.released) if shelf])
        song = self._take(shelf)
        if song.pack is not None:
            song.pack.songs.remove(song)
        counted = {"planned": song.planned, "started": song.started, "authored": song.authored}
        is_released = song.from_status is not None
        origin = song.origin if is_released else {}
        yield "song_deleted", {"song_id": song.id, **counted, "released": is_released, **origin}

    def songs(self) -> list[Song]:
        return [*self.planned, *self.wip, *self.released]

    def unauthored(self) -> list[Song]:
        return [song for song in (*self.wip, *self.released) if not song.authored]

    def _new_song(self, status: str) -> tuple[Song, Fact]:
        song = Song(self.new_id("s"), title(self.chance), self.taste.artist(), self.taste.year())
        if self.pack and self.pack.room and self.chance.happens(0.6):
            song.pack = self.pack
            self.pack.songs.append(song)
            self.pack.room -= 1
        return song, ("song_created", {"song_id": song.id, "title": song.title, "status": status})

    def _take(self, shelf: list[Song]) -> Song:
        return shelf.pop(self.chance.between(0, len(shelf) - 1))

    # --- packs, series, imports ---

    def create_pack(self) -> Facts:
        self.pack = Pack(self.new_id("p"), f"{title(self.chance)} Pack", self.chance.between(*PACK_SONGS))
        yield "pack_created", {"pack_id": self.pack.id, "title": self.pack.title}

    def create_series(self) -> Facts:
        series = Series(self.new_id("a"), f"{title(self.chance)} Series", self.chance.between(*SERIES_PARTS))
        self.series.append(series)
        yield "series_created", {"series_id": series.id, "title": series.title}

    def work_on_series(self) -> Facts:
        series = self.chance.one_of(self.series)
        series.parts_left -= 1
        if not series.parts_left:
            self.series.remove(series)
            yield "series_completed", {"series_id": series.id, "title": series.title}

    def import_from_spotify(self) -> Facts:
        kind = self.chance.weighed([(6, "playlist"), (3, "album"), (2, "track")])
        playlist = {"playlist_id": f"spl-{self.user_id}-{self.chance.between(1, 30)}"}
        yield "spotify_imported", {"kind": kind, **(playlist if kind == "playlist" else {})}

    # --- with others ---

    def add_collaborator(self) -> Facts:
        song = self.chance.one_of(self.songs())
        friend = self.friend() if not self.chance.happens(0.005) else self.user_id
        if friend in song.collaborator_ids:
            return
        song.collaborator_ids.append(friend)
        pack = {"pack_id": song.pack.id} if song.pack else {}
        yield "collaborator_added", {**self._collaboration(song, friend), **pack}

    def remove_collaborator(self) -> Facts:
        song = self.chance.one_of([song for song in self.songs() if song.collaborator_ids])
        friend = song.collaborator_ids.pop()
        yield "collaborator_removed", self._collaboration(song, friend)

    def _collaboration(self, song: Song, friend: str) -> dict[str, Any]:
        return {"song_id": song.id, "collaborator_id": friend, "title": song.title}

    def submit_request(self) -> Facts:
        request = Request(self.new_id("r"), self.user_id, f"More {title(self.chance).lower()}")
        self.town.requests.append(request)
        yield "feature_request_submitted", {"request_id": request.id, "title": request.title}

    def comment(self) -> Facts:
        request = self.chance.one_of(self.town.requests)
        excerpt = self.chance.one_of(("Yes please!", "I would use this daily.", "¿Y en el móvil?", "+1 🎶"))
        yield "feature_request_commented", {**self._about(request), "excerpt": excerpt}

    def upvote(self) -> Facts:
        request = self.chance.one_of(self.town.requests)
        request.votes += 1
        yield "feature_request_upvoted", {**self._about(request), "votes": request.votes}

    def _about(self, request: Request) -> dict[str, Any]:
        return {"request_id": request.id, "owner_id": request.owner_id, "title": request.title}

    def report_bug(self) -> Facts:
        bug = Bug(self.new_id("b"), self.user_id, f"{title(self.chance)} does not play")
        self.town.bugs.append(bug)
        yield "bug_reported", {"bug_id": bug.id, "title": bug.title}

    def fix_bug(self) -> Facts:
        bug = self.town.bugs.popleft()
        yield "bug_fixed", {"bug_id": bug.id, "reporter_id": bug.reporter_id, "title": bug.title}


# weights are whole, since Pythons differ in how they add fractions
ACTS: list[Act[Studio]] = [
    (220, lambda studio: True, Studio.plan_song),
    (120, lambda studio: True, Studio.begin_song),
    (30, lambda studio: True, Studio.release_at_once),
    (260, lambda studio: studio.planned, Studio.start_planned),
    (260, lambda studio: studio.wip, Studio.finish_song),
    (30, lambda studio: studio.planned, Studio.release_planned),
    (140, Studio.unauthored, Studio.author_song),
    (30, Studio.songs, Studio.update_song),
    (50, lambda studio: not (studio.pack and studio.pack.room), Studio.create_pack),
    (10, lambda studio: True, Studio.create_series),
    (30, lambda studio: studio.series, Studio.work_on_series),
    (30, lambda studio: True, Studio.import_from_spotify),
    (80, lambda studio: studio.has_company() and studio.songs(), Studio.add_collaborator),
    (15, Studio.has_company, Studio.follow),
    (10, lambda studio: True, Studio.submit_request),
    (10, lambda studio: studio.town.requests, Studio.comment),
    (15, lambda studio: studio.town.requests, Studio.upvote),
    (6, lambda studio: True, Studio.report_bug),
    (2, lambda studio: studio.town.bugs, Studio.fix_bug),
    (12, lambda studio: studio.released, Studio.unrelease_song),
    (6, lambda studio: any(song.authored for song in studio.songs()), Studio.unauthor_song),
    (10, Studio.songs, Studio.delete_song),
    (6, lambda studio: any(song.collaborator_ids for song in studio.songs()), Studio.remove_collaborator),
    (2, lambda studio: studio.followed_ids, Studio.unfollow),
]
