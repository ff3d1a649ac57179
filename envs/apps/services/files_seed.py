"""What lies in a life's home directory: photos of outings, bills, recipes, work, downloads; shared things."""

from __future__ import annotations

from typing import Any

from palaestra.envs.apps.life import Life, Person
from palaestra.envs.apps.world import Database

_RECIPES = {
    "lentil soup.md": "300 g red lentils\n2 carrots\n1 onion\n1 tsp cumin\n1 lemon",
    "apple cake.md": "4 apples\n250 g flour\n3 eggs\n150 g sugar\n1 tsp cinnamon",
    "pancakes.md": "200 g flour\n400 ml milk\n3 eggs\n30 g butter",
    "greek salad.md": "1 cucumber\n4 tomatoes\n200 g feta\n20 olives",
    "chickpea curry.md": "2 cans of chickpeas\n400 ml coconut milk\n3 tomatoes\n20 g ginger",
}
_DOWNLOADS = (
    ("boarding pass.pdf", 240_000),
    ("concert tickets.pdf", 310_000),
    ("manual dishwasher.pdf", 4_800_000),
    ("manual dishwasher (1).pdf", 4_800_000),
    ("invoice shoes.pdf", 96_000),
    ("rental contract.pdf", 730_000),
    ("city map.png", 2_300_000),
    ("wallpaper.jpg", 5_100_000),
    ("wallpaper (1).jpg", 5_100_000),
    ("wallpaper lake.jpg", 6_400_000),
    ("podcast episode 12.mp3", 48_000_000),
    ("podcast episode 13.mp3", 51_000_000),
    ("lecture.mp4", 210_000_000),
    ("setup printer.exe", 88_000_000),
    ("fonts.zip", 3_200_000),
    ("menu Luna.pdf", 180_000),
    ("train schedule.pdf", 150_000),
    ("survey results.xlsx", 420_000),
)
_LETTERS = {
    "landlord heating.txt": "Dear Sir or Madam,\nthe heating in the bathroom has not worked since Monday.",
    "gym cancellation.txt": "I cancel my membership at the next possible date.",
    "library card.txt": "I would like to renew my library card.",
}
_WORK = {
    "budget.csv": "item,amount\ntravel,1200\nlicences,860\ntraining,950",
    "roadmap.md": "# Roadmap\n- finish the pilot\n- collect feedback\n- decide on the rollout",
    "presentation.pptx": "",
    "onboarding.md": "# First week\n- accounts\n- tour of the office\n- lunch with the team",
}
_TAGS = {"/bills": ("home",), "/recipes": ("cooking",), "/documents/work": ("work",)}


def seed(life: Life, database: Database) -> None:
    """Fill the app."""
    home = _Home(life, database, life.supervisor)
    for folder in (
        "/documents",
        "/documents/letters",
        "/documents/work",
        "/downloads",
        "/photos",
        "/recipes",
    ):
        home.folder(folder)
    for name, text in _RECIPES.items():
        home.file(f"/recipes/{name}", text)
    for name, text in _LETTERS.items():
        home.file(f"/documents/letters/{name}", text)
    for name, text in _WORK.items():
        home.file(f"/documents/work/{name}", text, size=0 if text else 3_700_000)
    for person in life.relations["coworker"]:
        text = f"Meeting with {person.name}\n- status\n- risks\n- next steps"
        home.file(f"/documents/work/minutes {person.first_name}.txt", text)
    home.file(
        "/documents/CV.md", f"# {life.supervisor.name}\n{life.supervisor.city}\n{life.supervisor.email}"
    )
    home.file("/documents/passport.pdf", size=1_100_000)
    for name, size in _DOWNLOADS:
        home.file(f"/downloads/{name}", "[]" if name.endswith(".zip") else "", size=size)
    _photos(home, life)
    _bills(home, database)
    _trash(home)
    for path, tags in _TAGS.items():
        for tag in tags:
            database.insert("files_tags", entry_id=home.ids[path], tag=tag)
    for path in ("/documents/CV.md", "/documents/passport.pdf", "/recipes/apple cake.md"):
        database.update("files_entries", home.ids[path], starred=1)
    home.share("/documents/work/roadmap.md", life.relations["manager"][0], "edit")
    home.share("/recipes", life.relations["mother"][0], "view")
    _others(life, database)


class _Home:
    """Writes the home directory of one person; the days of files come from the random numbers of the app."""

    def __init__(self, life: Life, database: Database, person: Person) -> None:
        self.life, self.database, self.person = life, database, person
        self.generator = life.generator(f"files of {person.id}")
        self.ids: dict[str, int] = {}

    def folder(self, path: str) -> int:
        """Write a folder, whose parent is there."""
        return self._entry(path, is_folder=1)

    def file(self, path: str, text: str = "", *, size: int = 0, day: int | None = None) -> int:
        """Write a text, or a stub of so many bytes, which was changed last on a day from today."""
        return self._entry(path, day, content=text, bytes=size)

    def share(self, path: str, person: Person, permission: str) -> None:
        """Share an entry with a person."""
        self.database.insert(
            "files_shares",
            entry_id=self.ids[path],
            person_id=person.id,
            permission=permission,
            created_at=self.life.moment(self.generator, -20, -2),
        )

    def _entry(self, path: str, day: int | None = None, **columns: Any) -> int:
        folder, _, name = path.rpartition("/")
        first, last = (-380, -25) if day is None else (day, day)
        created = self.life.moment(self.generator, first, last)
        changed = max(created, self.life.moment(self.generator, -120, -2)) if day is None else created
        self.ids[path] = self.database.insert(
            "files_entries",
            person_id=self.person.id,
            parent_id=self.ids[folder] if folder else None,
            name=name,
            created_at=created,
            updated_at=changed,
            **columns,
        )
        return self.ids[path]


def _photos(home: _Home, life: Life) -> None:
    """Write the photos of each past outing, named by its day."""
    for outing in life.outings:
        if outing.day >= life.today:
            continue
        folder = f"/photos/{outing.day.isoformat()} {outing.name.removeprefix('the ')}"
        home.folder(folder)
        offset = (outing.day - life.today).days
        for number in range(int(home.generator.integers(5, 10))):
            size = int(home.generator.integers(14, 62)) * 100_000
            name = f"IMG_{outing.day.strftime('%Y%m%d')}_{number + 1:03}.jpg"
            home.file(f"{folder}/{name}", size=size, day=offset)
    home.folder("/photos/profile")
    for name in ("portrait.jpg", "passport photo.jpg"):
        home.file(f"/photos/profile/{name}", size=1_900_000)


def _bills(home: _Home, database: Database) -> None:
    """Write a bill for each expense of the apartment that is one, in a folder of its year."""
    home.folder("/bills")
    rows = database.rows(
        "SELECT e.* FROM expenses_expenses e JOIN expenses_groups g ON g.id = e.group_id "
        "WHERE g.name = 'Apartment' AND e.category IN ('utilities', 'rent') ORDER BY e.spent_on, e.id"
    )
    for row in rows:
        year = f"/bills/{row['spent_on'][:4]}"
        if year not in home.ids:
            home.folder(year)
        text = (
            f"Bill: {row['description']}\nDate: {row['spent_on']}\nAmount due: ${row['amount'] / 100:.2f}\n"
            "Status: paid"
        )
        path = f"{year}/{row['spent_on']} {row['description']}.txt"
        if path not in home.ids:
            home.file(path, text)


def _trash(home: _Home) -> None:
    """Put old things into the trash, a folder with a file among them."""
    home.folder("/documents/old flat")
    home.file("/documents/old flat/key list.txt", "front door\ncellar\nmailbox")
    home.file("/documents/draft letter.txt", "Dear all,")
    home.file("/downloads/setup scanner.exe", size=64_000_000)
    home.file("/photos/blurred.jpg", size=2_200_000)
    for path in (
        "/documents/old flat",
        "/documents/draft letter.txt",
        "/downloads/setup scanner.exe",
        "/photos/blurred.jpg",
    ):
        moment = home.life.moment(home.generator, -25, -1)
        home.database.update("files_entries", home.ids[path], trashed=1, trashed_at=moment)


def _others(life: Life, database: Database) -> None:
    """Write what others share with the supervisor, and what they keep to themselves."""
    me = life.supervisor
    roommate = _Home(life, database, life.relations["roommate"][0])
    roommate.folder("/apartment")
    roommate.file("/apartment/house rules.txt", "Quiet after 22:00\nTake out the trash on Tuesday")
    roommate.file("/apartment/inventory.csv", "thing,owner\nsofa,all\ntoaster,all")
    roommate.file("/diary.txt", "Today nobody washed the dishes.")
    roommate.share("/apartment", me, "edit")
    coworker = _Home(life, database, life.relations["coworker"][0])
    coworker.folder("/reports")
    coworker.file("/reports/quarter.md", "# Quarter\nSales went up by 4 percent.")
    coworker.file("/reports/salaries.csv", "name,salary")
    coworker.share("/reports/quarter.md", me, "view")
    for person in (*life.relations["partner"], *life.relations["friend"][:4]):
        other = _Home(life, database, person)
        for folder in ("/documents", "/photos"):
            other.folder(folder)
        other.file("/documents/letter.txt", "Dear grandmother,")
        other.file("/photos/garden.jpg", size=2_700_000)
    friend = _Home(life, database, life.relations["friend"][5])
    friend.file("/packing list.txt", "tent\nlamp\nrain coat")
    friend.share("/packing list.txt", me, "view")
