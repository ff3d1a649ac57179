"""The app files: what its APIs change, what they refuse, and what of others is out of reach."""

from __future__ import annotations

from typing import Any

import pytest
from apps_caller import LIFE, Caller

from palaestra.envs.apps.api import ApiError
from palaestra.envs.apps.services.files import QUOTA

FRIEND = LIFE.relations["friend"][0]
ROOMMATE = LIFE.relations["roommate"][0]


class Files(Caller):
    app = "files"

    def found(self, **conditions: Any) -> list[str]:
        return [one["path"] for one in self.every("search_files", **conditions)]

    def names(self, path: str, **arguments: Any) -> list[str]:
        return [one["name"] for one in self("list_folder", path=path, page_limit=20, **arguments)]


@pytest.fixture
def files(world):
    """The supervisor's, with a folder of two texts."""
    files = Files(world, LIFE.supervisor.email)
    files("create_folder", path="/garden")
    files("create_file", path="/garden/plan.txt", text="beans\nPeas")
    files("create_file", path="/garden/costs.csv", text="what,cost")
    return files


def test_a_home_is_linked_to_the_life(files, world):
    assert files.names("/") == ["bills", "documents", "downloads", "garden", "photos", "recipes"]
    past = [outing for outing in LIFE.outings if outing.day < LIFE.today]
    assert len(files.names("/photos")) == len(past) + 1
    assert any(past[0].day.strftime("IMG_%Y%m%d_001.jpg") in path for path in files.found(kind="image"))
    bill = files("read_file", path=files.found(folder="/bills", kind="text")[0])["text"]
    amount = bill.partition("$")[2].partition("\n")[0]
    cents = round(float(amount) * 100)
    assert world.connection.execute("SELECT 1 FROM expenses_expenses WHERE amount = ?", (cents,)).fetchone()


def test_paths(files):
    assert files("show_entry", path="//garden/plan.txt/")["path"] == "/garden/plan.txt"
    for path in ("garden", "/garden/../bills", "", "/"):
        files.refused(422, "show_entry", path=path)
    files.refused(404, "show_entry", path="/Garden")
    files.refused(404, "list_folder", path="/nowhere")
    files.refused(422, "list_folder", path="/garden/plan.txt")
    files.refused(422, "list_folder", path="/garden", page_limit=21)


def test_lists_are_sorted_and_come_in_pages(files):
    files("create_folder", path="/garden/zone")
    assert files.names("/garden") == ["zone", "costs.csv", "plan.txt"]
    assert files.names("/garden", sort="largest") == ["zone", "plan.txt", "costs.csv"]
    assert files.names("/garden", sort="newest") == ["zone", "costs.csv", "plan.txt"]
    second = files("list_folder", path="/garden", page_index=1, page_limit=2)
    assert [one["name"] for one in second] == ["plan.txt"]


def test_texts_are_written_and_read(files):
    files("append_to_file", path="/garden/plan.txt", text="kale")
    assert files("read_file", path="/garden/plan.txt")["text"] == "beans\nPeas\nkale"
    assert files("write_file", path="/garden/plan.txt", text="é")["size"] == 2
    files.refused(409, "create_file", path="/garden/plan.txt")
    files.refused(422, "create_file", path="/garden/plan.jpg")
    files.refused(404, "create_file", path="/nowhere/plan.txt")
    files.refused(422, "read_file", path="/documents/passport.pdf")
    files.refused(422, "read_file", path="/garden")
    files.refused(422, "write_file", path="/downloads/fonts.zip", text="x")


def test_folders(files):
    files.refused(404, "create_folder", path="/a/b/c")
    assert files("create_folder", path="/a/b/c", parents=True)["path"] == "/a/b/c"
    files("create_folder", path="/a/b/d", parents=True)
    files.refused(409, "create_folder", path="/a/b/c", parents=True)
    files.refused(422, "create_folder", path="/")


def test_a_copy_of_a_folder_has_all_that_is_in_it(files):
    files("set_star", path="/garden/plan.txt")
    copy = files("copy_entry", path="/garden", to_folder="/documents", name="garden 2")
    assert copy["size"] == len("beans\nPeas") + len("what,cost")
    assert files.names("/documents/garden 2") == ["costs.csv", "plan.txt"]
    assert not files("show_entry", path="/documents/garden 2/plan.txt")["starred"]
    assert files.names("/garden") == ["costs.csv", "plan.txt"]
    files.refused(409, "copy_entry", path="/garden", to_folder="/garden")
    files.refused(409, "copy_entry", path="/garden/plan.txt", to_folder="/garden")
    files.refused(422, "copy_entry", path="/garden/plan.txt", to_folder="/garden", name="plan.jpg")
    files("copy_entry", path="/garden/plan.txt", to_folder="/garden", name="plan 2.txt")
    assert len(files.names("/garden")) == 3


def test_moving_and_renaming(files):
    moved = files("move_entry", path="/garden", to_folder="/documents")
    assert moved["path"] == "/documents/garden"
    assert "/documents/garden/plan.txt" in files.found(query="peas")
    files.refused(409, "move_entry", path="/documents/garden", to_folder="/documents")
    files.refused(409, "move_entry", path="/documents", to_folder="/documents/garden")
    files("create_folder", path="/garden")
    files.refused(409, "move_entry", path="/documents/garden", to_folder="/")
    assert files("rename_entry", path="/garden", name="yard")["path"] == "/yard"
    files.refused(409, "rename_entry", path="/yard", name="bills")
    files.refused(422, "rename_entry", path="/yard", name="a/b")
    files.refused(422, "rename_entry", path="/documents/garden/plan.txt", name="plan.pdf")
    assert files("rename_entry", path="/documents/garden/plan.txt", name="plan.md")["name"] == "plan.md"


def test_searching(files):
    assert files.found(query="NS\nPEAS") == ["/garden/plan.txt"]
    assert files.found(query="plan", folder="/garden") == ["/garden/plan.txt"]
    assert files.found(folder="/garden") == ["/garden/costs.csv", "/garden/plan.txt"]
    assert "/garden" in files.found(kind="folder")
    assert files.found(kind="other") == ["/downloads/setup printer.exe"]
    assert files.found(kind="text", folder="/garden", sort="largest")[0] == "/garden/plan.txt"
    large = files.found(min_size=100_000_000)
    assert large == ["/downloads/lecture.mp4"]
    assert files.found(folder="/garden", max_size=9) == ["/garden/costs.csv"]
    today = LIFE.day(0)
    assert files.found(updated_from=today) == ["/garden", "/garden/costs.csv", "/garden/plan.txt"]
    assert "/garden" not in files.found(updated_until=LIFE.day(-1))
    assert set(files.found(starred=True)) >= {"/documents/CV.md"}
    assert not any("blurred" in path or "key list" in path for path in files.found())
    files.refused(404, "search_files", folder="/nowhere")


def test_tags(files):
    assert files("add_tag", path="/garden/plan.txt", tag=" Spring ")["tags"] == ["spring"]
    assert files.found(tag="SPRING") == ["/garden/plan.txt"]
    assert {"tag": "spring", "entries": 1} in files("list_tags")
    files.refused(409, "add_tag", path="/garden/plan.txt", tag="spring")
    files.refused(422, "add_tag", path="/garden/plan.txt", tag=" ")
    files.refused(404, "remove_tag", path="/garden/costs.csv", tag="spring")
    assert files("remove_tag", path="/garden/plan.txt", tag="spring")["tags"] == []


def test_the_trash(files):
    inner = files("move_to_trash", path="/garden/plan.txt")["entry_id"]
    outer = files("move_to_trash", path="/garden")["entry_id"]
    assert [one["path"] for one in files("list_trash")[:2]] == ["/garden", "/garden/plan.txt"]
    files.refused(404, "read_file", path="/garden/costs.csv")
    files.refused(409, "restore", entry_id=inner)
    files("create_folder", path="/garden")
    files.refused(409, "restore", entry_id=outer)
    files("rename_entry", path="/garden", name="yard")
    files("restore", entry_id=outer)
    assert files("restore", entry_id=inner)["path"] == "/garden/plan.txt"
    files.refused(409, "restore", entry_id=inner)
    files.refused(409, "delete_for_ever", entry_id=inner)


def test_what_is_deleted_for_ever_is_gone_with_all_in_it(files, world):
    files("add_tag", path="/garden/plan.txt", tag="spring")
    files("share_entry", path="/garden/plan.txt", email=FRIEND.email)
    before = files("show_usage")
    entry = files("move_to_trash", path="/garden")["entry_id"]
    after = files("show_usage")
    assert (after["used"], after["trash"] - before["trash"]) == (before["used"], 19)
    files("delete_for_ever", entry_id=entry)
    assert files("show_usage")["used"] == before["used"] - 19
    left = "SELECT count(*) FROM files_{} WHERE entry_id NOT IN (SELECT id FROM files_entries)"
    assert [world.connection.execute(left.format(t)).fetchone()[0] for t in ("tags", "shares")] == [0, 0]
    assert files("empty_trash")["deleted"] == 4
    assert files("list_trash") == []


def test_usage_and_the_quota(files):
    usage = files("show_usage")
    assert usage["used"] + usage["available"] == usage["quota"] == QUOTA
    assert sum(one["size"] for one in usage["by_kind"]) == usage["used"] - usage["trash"]
    for number in range(6):
        files("copy_entry", path="/downloads/lecture.mp4", to_folder="/", name=f"lecture {number}.mp4")
    files.refused(409, "copy_entry", path="/downloads", to_folder="/garden")


def test_a_home_cannot_be_filled_without_end(files):
    files.refused(422, "create_folder", path="/x" * 31, parents=True)
    files("create_folder", path="/x" * 29, parents=True)
    files("create_folder", path="/y" * 29, parents=True)
    files.refused(409, "move_entry", path="/y", to_folder="/x" * 29)
    deep = files("move_to_trash", path="/y" * 29)["entry_id"]
    files("create_folder", path="/twice")

    def double() -> None:
        for number in range(14):
            files("copy_entry", path="/twice", to_folder="/", name="copy")
            files("rename_entry", path="/copy", name=f"copy {number}")
            files("move_entry", path=f"/copy {number}", to_folder="/twice")

    with pytest.raises(ApiError) as refusal:
        double()
    assert refusal.value.status == 409
    assert "entries" in refusal.value.message
    assert files("restore", entry_id=deep)["path"] == "/y" * 29


def test_archives_of_archives_come_to_an_end(files):
    files("write_file", path="/garden/plan.txt", text='"' * 20_000)

    def pack(path: str) -> None:
        for number in range(20):
            files("compress", paths=[path], to_path=f"/{number}.zip")
            path = f"/{number}.zip"

    with pytest.raises(ApiError) as refusal:
        pack("/garden")
    assert refusal.value.status == 409


def test_sharing(files, world):
    shared = files("share_entry", path="/garden", email=FRIEND.email)
    assert shared["shared_with"] == [{"name": FRIEND.name, "email": FRIEND.email, "permission": "view"}]
    files.refused(409, "share_entry", path="/garden", email=FRIEND.email)
    files.refused(422, "share_entry", path="/garden", email=LIFE.supervisor.email)
    files.refused(404, "share_entry", path="/garden", email="nobody@example.test")
    assert [one["path"] for one in files("list_shared_by_me", email=FRIEND.email)] == ["/garden"]
    theirs = Files(world, FRIEND.email)
    folder = next(one for one in theirs("list_shared_with_me") if one["name"] == "garden")["entry_id"]
    inside = theirs("list_shared_with_me", folder_id=folder)
    plan = next(one for one in inside if one["name"] == "plan.txt")["entry_id"]
    assert theirs("read_shared_file", entry_id=plan)["text"] == "beans\nPeas"
    theirs.refused(403, "write_shared_file", entry_id=plan, text="x")
    files("share_entry", path="/garden", email=FRIEND.email, permission="edit")
    theirs("write_shared_file", entry_id=plan, text="lettuce")
    assert files("read_file", path="/garden/plan.txt")["text"] == "lettuce"
    assert theirs("save_shared_copy", entry_id=folder, to_folder="/documents")["path"] == "/documents/garden"
    theirs.refused(404, "leave_shared", entry_id=plan)
    files("unshare_entry", path="/garden", email=FRIEND.email)
    files.refused(409, "unshare_entry", path="/garden", email=FRIEND.email)
    theirs.refused(404, "read_shared_file", entry_id=plan)
    assert theirs("read_file", path="/documents/garden/plan.txt")["text"] == "lettuce"


def test_what_others_keep_is_out_of_reach(files, world):
    shown = {one["name"]: one for one in files("list_shared_with_me")}
    assert {"apartment", "quarter.md", "packing list.txt"} == set(shown)
    assert shown["apartment"]["owner_email"] == ROOMMATE.email
    theirs = Files(world, ROOMMATE.email)
    diary = theirs("show_entry", path="/diary.txt")["entry_id"]
    for name in ("read_shared_file", "leave_shared", "restore", "delete_for_ever"):
        files.refused(404, name, entry_id=diary)
    files.refused(404, "save_shared_copy", entry_id=diary, to_folder="/")
    files.refused(404, "list_shared_with_me", folder_id=diary)
    files.refused(404, "read_file", path="/diary.txt")
    assert not files.found(query="diary")
    # What lies in the trash of its owner is seen by nobody else.
    theirs("move_to_trash", path="/apartment")
    files.refused(404, "list_shared_with_me", folder_id=shown["apartment"]["entry_id"])
    assert "apartment" not in [one["name"] for one in files("list_shared_with_me")]


def test_archives(files):
    files("create_folder", path="/garden/empty")
    archive = files("compress", paths=["/garden", "/documents/passport.pdf"], to_path="/all.zip")
    assert archive["size"] == (1_100_000 + 19) * 9 // 10 + 22
    members = [one["path"] for one in files("list_archive", path="/all.zip", page_limit=20)]
    assert members == ["garden/", "garden/costs.csv", "garden/empty/", "garden/plan.txt", "passport.pdf"]
    assert len(files("list_archive", path="/all.zip", page_index=1, page_limit=3)) == 2
    files.refused(409, "extract", path="/all.zip", to_folder="/")
    files("create_folder", path="/new")
    assert files("extract", path="/all.zip", to_folder="/new")["entries"] == 5
    assert files("read_file", path="/new/garden/plan.txt")["text"] == "beans\nPeas"
    assert files("show_entry", path="/new/passport.pdf")["size"] == 1_100_000
    files.refused(409, "compress", paths=["/garden"], to_path="/all.zip")
    files.refused(409, "compress", paths=["/garden", "/new/garden"], to_path="/two.zip")
    files.refused(422, "compress", paths=["/garden"], to_path="/all.txt")
    files.refused(422, "compress", paths=[], to_path="/none.zip")
    files.refused(422, "list_archive", path="/garden/plan.txt")
