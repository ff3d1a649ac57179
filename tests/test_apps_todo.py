"""The app todo: what its APIs change, what they refuse, and what of others is out of reach."""

from __future__ import annotations

from typing import Any

import pytest
from apps_caller import LIFE, Caller

from palaestra.envs.apps.world import World

ROOMMATE = LIFE.relations["roommate"][0]
FRIEND, OTHER_FRIEND = LIFE.relations["friend"][:2]


class Todo(Caller):
    app = "todo"

    def titles(self, **conditions: Any) -> list[str]:
        return [task["title"] for task in self("search_tasks", page_limit=20, **conditions)]


@pytest.fixture
def todo(world):
    return Todo(world, LIFE.supervisor.email)


@pytest.fixture
def garden(todo):
    """The id of a new list."""
    return todo("create_list", name="Garden")["list_id"]


def test_lists_are_own_ones_and_shared_ones_and_no_others(todo):
    lists = todo("list_lists", archived=None, page_limit=20)
    names = [one["name"] for one in lists]
    assert {"Errands", "Home", "Work", "Moving", "Apartment chores"} <= set(names)
    assert names == sorted(names)
    assert names.count("Errands") == 1
    assert "Surprise party" not in names
    chores = next(one for one in lists if one["name"] == "Apartment chores")
    assert chores["owner_email"] == ROOMMATE.email
    assert LIFE.supervisor.email in [member["email"] for member in chores["members"]]


def test_every_list_of_another_and_its_tasks_are_out_of_reach(todo, world):
    theirs = Todo(world, FRIEND.email)
    errands = next(one for one in theirs("list_lists") if one["name"] == "Errands")
    task = next(
        full
        for full in (
            theirs("show_task", task_id=one["task_id"])
            for one in theirs("search_tasks", list_id=errands["list_id"], page_limit=20)
        )
        if full["subtasks"]
    )
    mine = todo("list_labels")[0]["label_id"]
    task_id, list_id = task["task_id"], errands["list_id"]
    for name in ("show_task", "mark_done", "mark_open", "delete_task"):
        todo.refused(404, name, task_id=task_id)
    todo.refused(404, "update_task", task_id=task_id, title="x")
    todo.refused(404, "set_due_date", task_id=task_id, due_date=None)
    todo.refused(404, "assign_task", task_id=task_id, email=None)
    todo.refused(404, "add_label", task_id=task_id, label_id=mine)
    todo.refused(404, "add_subtask", task_id=task_id, title="x")
    todo.refused(404, "update_subtask", subtask_id=task["subtasks"][0]["subtask_id"], done=True)
    todo.refused(404, "delete_subtask", subtask_id=task["subtasks"][0]["subtask_id"])
    todo.refused(404, "search_tasks", list_id=list_id)
    todo.refused(404, "create_task", list_id=list_id, title="x")
    todo.refused(404, "delete_list", list_id=list_id)
    assert not {one["list_id"] for one in todo("search_tasks", query="library", page_limit=20)} & {list_id}
    theirs.refused(404, "rename_label", label_id=mine, name="x")


def test_a_list_is_created_renamed_archived_and_deleted(todo, garden):
    assert todo("update_list", list_id=garden, name=" Yard ")["name"] == "Yard"
    todo.refused(409, "create_list", name="Yard")
    todo.refused(409, "update_list", list_id=garden, name="Errands")
    todo.refused(422, "update_list", list_id=garden)
    todo.refused(422, "create_list", name=" ")
    todo("update_list", list_id=garden, archived=True)
    assert "Yard" in [one["name"] for one in todo("list_lists", archived=True)]
    todo.refused(409, "create_task", list_id=garden, title="Rake")
    todo("update_list", list_id=garden, archived=False)
    task_id = todo("create_task", list_id=garden, title="Rake")["task_id"]
    todo.refused(409, "delete_list", list_id=garden)
    todo("mark_done", task_id=task_id)
    todo("delete_list", list_id=garden)
    todo.refused(404, "show_task", task_id=task_id)


def test_only_the_owner_shares_renames_and_deletes_a_list(todo):
    chores = next(one for one in todo("list_lists") if one["name"] == "Apartment chores")["list_id"]
    todo.refused(403, "update_list", list_id=chores, name="x")
    todo.refused(403, "delete_list", list_id=chores)
    todo.refused(403, "share_list", list_id=chores, email=FRIEND.email)
    todo.refused(403, "unshare_list", list_id=chores, email=ROOMMATE.email)


def test_sharing_opens_a_list_and_unsharing_closes_it(todo, world, garden):
    theirs = Todo(world, FRIEND.email)
    task_id = todo("create_task", list_id=garden, title="Rake")["task_id"]
    theirs.refused(404, "show_task", task_id=task_id)
    todo.refused(409, "assign_task", task_id=task_id, email=FRIEND.email)
    members = todo("share_list", list_id=garden, email=FRIEND.email)["members"]
    assert members == [{"name": FRIEND.name, "email": FRIEND.email}]
    todo.refused(409, "share_list", list_id=garden, email=FRIEND.email)
    todo.refused(409, "share_list", list_id=garden, email=LIFE.supervisor.email)
    todo("assign_task", task_id=task_id, email=FRIEND.email)
    label = theirs("create_label", name="Soon")["label_id"]
    assert theirs("add_label", task_id=task_id, label_id=label)["labels"] == ["soon"]
    assert todo("show_task", task_id=task_id)["labels"] == []
    todo("unshare_list", list_id=garden, email=FRIEND.email)
    assert todo("show_task", task_id=task_id)["assignee_email"] is None
    assert theirs("list_labels") == [{"label_id": label, "name": "soon", "tasks": 0}]
    theirs.refused(404, "show_task", task_id=task_id)
    todo.refused(409, "unshare_list", list_id=garden, email=FRIEND.email)


def test_a_member_leaves_a_list(todo):
    chores = next(one for one in todo("list_lists") if one["name"] == "Apartment chores")["list_id"]
    todo("unshare_list", list_id=chores, email=LIFE.supervisor.email)
    todo.refused(404, "search_tasks", list_id=chores)


def test_a_task_is_changed_part_by_part(todo, garden):
    task = todo("create_task", list_id=garden, title=" Rake ", due_date="2031-12-01", priority="high")
    assert (task["title"], task["due_date"], task["priority"], task["done"]) == (
        "Rake",
        "2031-12-01",
        "high",
        False,
    )
    one = task["task_id"]
    changed = todo("update_task", task_id=one, notes="all leaves")
    assert changed == {**task, "notes": "all leaves"}
    assert todo("update_task", task_id=one, priority="low")["priority"] == "low"
    assert todo("set_due_date", task_id=one, due_date="2031-12-03")["due_date"] == "2031-12-03"
    assert todo("set_due_date", task_id=one, due_date=None)["due_date"] is None
    todo.refused(422, "update_task", task_id=one)
    todo.refused(422, "update_task", task_id=one, title=" ")
    todo.refused(422, "create_task", list_id=garden, title="x" * 201)
    todo("delete_task", task_id=one)
    todo.refused(404, "show_task", task_id=one)


def test_a_task_is_done_only_when_its_subtasks_are(todo, garden):
    one = todo("create_task", list_id=garden, title="Plant")["task_id"]
    todo("add_subtask", task_id=one, title="dig")
    dig, water = todo("add_subtask", task_id=one, title="water")["subtasks"]
    todo.refused(409, "mark_done", task_id=one)
    todo("update_subtask", subtask_id=dig["subtask_id"], done=True)
    todo.refused(409, "mark_done", task_id=one)
    todo("delete_subtask", subtask_id=water["subtask_id"])
    done = todo("mark_done", task_id=one)
    assert done["done"]
    assert done["completed_at"] is not None
    todo.refused(409, "mark_done", task_id=one)
    todo.refused(409, "add_subtask", task_id=one, title="x")
    todo.refused(409, "update_subtask", subtask_id=dig["subtask_id"], done=False)
    todo.refused(422, "update_subtask", subtask_id=dig["subtask_id"])
    again = todo("mark_open", task_id=one)
    assert (again["done"], again["completed_at"]) == (False, None)
    assert again["subtasks"] == [{**dig, "done": True}]
    todo.refused(409, "mark_open", task_id=one)


def test_moving_asks_whether_the_assignee_sees_the_other_list(todo, garden):
    shed = todo("create_list", name="Shed")["list_id"]
    todo("share_list", list_id=garden, email=FRIEND.email)
    one = todo("create_task", list_id=garden, title="Saw")["task_id"]
    todo("assign_task", task_id=one, email=FRIEND.email)
    todo.refused(409, "move_task", task_id=one, list_id=shed)
    todo("assign_task", task_id=one, email=None)
    todo("move_task", task_id=one, list_id=shed)
    assert (todo.titles(list_id=garden), todo.titles(list_id=shed)) == ([], ["Saw"])
    archive = todo("list_lists", archived=True)[0]["list_id"]
    todo.refused(409, "move_task", task_id=one, list_id=archive)


def test_moving_takes_off_the_labels_of_those_who_no_longer_see_the_task(todo, world, garden):
    theirs = Todo(world, OTHER_FRIEND.email)
    todo("share_list", list_id=garden, email=OTHER_FRIEND.email)
    one = todo("create_task", list_id=garden, title="Saw")["task_id"]
    mine = todo("create_label", name="tools")["label_id"]
    todo("add_label", task_id=one, label_id=mine)
    theirs("add_label", task_id=one, label_id=theirs("create_label", name="loud")["label_id"])
    shed = todo("create_list", name="Shed")["list_id"]
    assert todo("move_task", task_id=one, list_id=shed)["labels"] == ["tools"]
    assert [label["tasks"] for label in theirs("list_labels")] == [0]


def test_labels_are_put_on_renamed_taken_off_and_deleted(todo, garden):
    one = todo("create_task", list_id=garden, title="Saw")["task_id"]
    label = todo("create_label", name=" Tools ")["label_id"]
    todo.refused(409, "create_label", name="TOOLS")
    todo.refused(409, "remove_label", task_id=one, label_id=label)
    todo("add_label", task_id=one, label_id=label)
    todo.refused(409, "add_label", task_id=one, label_id=label)
    assert todo("rename_label", label_id=label, name="Gear")["name"] == "gear"
    assert todo.titles(label="Gear") == ["Saw"]
    assert todo("remove_label", task_id=one, label_id=label)["labels"] == []
    todo("add_label", task_id=one, label_id=label)
    todo("delete_label", label_id=label)
    assert todo("show_task", task_id=one)["labels"] == []
    todo.refused(404, "delete_label", label_id=label)


def test_search_keeps_to_its_conditions_and_order(todo, garden):
    for title, due, priority in (
        ("c", None, "urgent"),
        ("b", "2031-12-02", "low"),
        ("a", "2031-12-01", "normal"),
        ("d", "2031-12-03", "high"),
    ):
        todo("create_task", list_id=garden, title=title, due_date=due, priority=priority)
    assert todo.titles(list_id=garden) == ["a", "b", "d", "c"]
    assert todo.titles(list_id=garden, sort="priority") == ["c", "d", "a", "b"]
    assert todo.titles(list_id=garden, sort="newest") == ["d", "a", "b", "c"]
    assert todo.titles(list_id=garden, due_from="2031-12-02") == ["b", "d"]
    assert todo.titles(list_id=garden, due_until="2031-12-02") == ["a", "b"]
    assert todo.titles(list_id=garden, priority="high") == ["d"]
    assert todo.titles(list_id=garden, query="B") == ["b"]
    first = todo("search_tasks", list_id=garden)[0]["task_id"]
    todo("assign_task", task_id=first, email=LIFE.supervisor.email)
    assert todo.titles(list_id=garden, assignee_email=LIFE.supervisor.email) == ["a"]
    todo("mark_done", task_id=first)
    assert todo.titles(list_id=garden) == ["b", "d", "c"]
    assert todo.titles(list_id=garden, done=True) == ["a"]
    assert todo.titles(list_id=garden, done=None) == ["a", "b", "d", "c"]


def test_tasks_of_archived_lists_are_found_only_in_their_list(todo):
    moving = todo("list_lists", archived=True)[0]["list_id"]
    assert todo.titles(query="moving boxes", done=None) == []
    assert todo.titles(list_id=moving, query="moving boxes", done=None) == ["Order moving boxes"]


def rows_of(world: World, *tables: str) -> list[int]:
    """How many rows each table has."""
    return [world.connection.execute(f"SELECT count(*) FROM todo_{table}").fetchone()[0] for table in tables]


@pytest.mark.parametrize("whole_list", [False, True])
def test_nothing_is_left_of_what_is_deleted(todo, world, whole_list):
    label = todo("create_label", name="soon")["label_id"]
    tables = ("lists", "members", "tasks", "subtasks", "task_labels")
    before = rows_of(world, *tables)
    list_id = todo("create_list", name="Garden")["list_id"]
    todo("share_list", list_id=list_id, email=FRIEND.email)
    one = todo("create_task", list_id=list_id, title="Saw")["task_id"]
    todo("add_label", task_id=one, label_id=label)
    subtask = todo("add_subtask", task_id=one, title="oil it")["subtasks"][0]["subtask_id"]
    assert rows_of(world, *tables) == [count + 1 for count in before]
    if whole_list:
        todo("update_subtask", subtask_id=subtask, done=True)
        todo("mark_done", task_id=one)
        todo("delete_list", list_id=list_id)
        assert rows_of(world, *tables) == before
    else:
        todo("delete_task", task_id=one)
        assert rows_of(world, *tables) == [before[0] + 1, before[1] + 1, *before[2:]]


def test_tasks_are_not_found_by_the_labels_of_others(todo, world, garden):
    theirs = Todo(world, FRIEND.email)
    todo("share_list", list_id=garden, email=FRIEND.email)
    one = todo("create_task", list_id=garden, title="Saw")["task_id"]
    theirs("add_label", task_id=one, label_id=theirs("create_label", name="loud")["label_id"])
    assert theirs.titles(label="loud") == ["Saw"]
    assert todo.titles(label="loud") == []
