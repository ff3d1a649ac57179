"""Authors a scenario of three tasks on AppWorld's real apps, in the folder that APPWORLD_ROOT names.

Run by the interpreter that has the package. Everything in it is made up here: no data of AppWorld's is used.
"""

from __future__ import annotations

import json
from pathlib import Path

from appworld.api_docs import prepare_api_docs  # pyright: ignore
from appworld.apps import get_all_apps  # pyright: ignore
from appworld.collections.models import ModelCollection  # pyright: ignore
from appworld.common.constants import CANARY_STRING, DB_VERSION  # pyright: ignore
from appworld.common.path_store import path_store  # pyright: ignore

ME = {"first_name": "Nora", "last_name": "Field", "email": "nora@mail.com", "phone_number": "5550100"}
FRIENDS = ("olaf", "pia", "quin")
EVALUATION = """
def evaluate(test, public_data, private_data, main_user, models, ground_truth_answer):
    before = {one.id for one in models.start.venmo.Transaction.all()}
    made = [one for one in models.end.venmo.Transaction.all() if one.id not in before]
    friend = models.end.venmo.User.find_one(email=private_data["friend"])
    with test("the friend was paid the amount"):
        assert [one for one in made if one.receiver_id == friend.id and one.amount == private_data["amount"]]
    with test("nobody was paid anything else"):
        assert len(made) <= 1
    with test("the task was completed"):
        assert models.end.supervisor.Task.first().status == "success"
"""
REQUIREMENTS = {
    "the friend was paid the amount": "no_op_fail",
    "nobody was paid anything else": "no_op_pass",
    "the task was completed": "no_op_fail",
}


def author(task_id: str, friend: str, amount: int) -> None:
    """Write the databases, the specification and the evaluation of one task."""
    folder = Path(path_store.data) / "tasks" / task_id
    (folder / "dbs").mkdir(parents=True)
    instruction = f"Send ${amount} to {friend}@mail.com on venmo."
    home = str(folder / "dbs")
    models = ModelCollection.load(
        to_db_home_path=home, from_db_home_path=home, force_empty_apps=get_all_apps(), create_db=True
    )
    born = {"birthday": "1990-01-02"}
    models.admin.MainUser.create_save(**ME, **born)
    me = models.supervisor.Supervisor.create_save(**ME, **born)
    models.supervisor.Task.create_save(supervisor_id=me.id, instruction=instruction)
    secret = {"account_name": "venmo", "password": "open-sesame"}
    models.supervisor.AccountPassword.create_save(supervisor_id=me.id, **secret)
    for name, email in (("Nora", ME["email"]), *((f.title(), f"{f}@mail.com") for f in FRIENDS)):
        models.venmo.User.create_save(
            first_name=name,
            last_name="Field",
            email=email,
            password=secret["password"],
            venmo_balance=500.0,
            verified=True,
        )
    for app in ("supervisor", "venmo"):
        for one in prepare_api_docs(app):
            fields = {name: value for name, value in one.items() if name != "app_name"}
            models.api_docs.ApiDoc.create_save(app_name_=app, **fields)
    models.close()
    specs = {"instruction": instruction, "supervisor": ME, "datetime": "2023-05-18T12:00:00"}
    write(folder / "specs.json", {**specs, "db_version": DB_VERSION})
    truth = folder / "ground_truth"
    truth.mkdir()
    write(truth / "public_data.json", {})
    write(truth / "private_data.json", {"friend": f"{friend}@mail.com", "amount": amount})
    write(truth / "answer.json", None)
    write(truth / "test_data.json", [{"requirement": r, "label": label} for r, label in REQUIREMENTS.items()])
    counts = {"num_apps": 1, "num_apis": 3, "num_api_calls": 3, "num_solution_code_lines": 5}
    write(truth / "metadata.json", {"mode": "minimal", "difficulty": 1, **counts})
    (truth / "evaluation.py").write_text(EVALUATION)


def document() -> None:
    """Write the documentation of all APIs, which the data brings, as the package itself generates it."""
    folder = Path(path_store.data) / "api_docs" / "standard"
    folder.mkdir(parents=True)
    for app in get_all_apps(skip_admin=True):
        # The package takes the canary out again.
        documents = {
            one["api_name"]: {**one, "canary_string": CANARY_STRING} for one in prepare_api_docs(app)
        }
        write(folder / f"{app}.json", documents)


def write(path: Path, content: object) -> None:
    """Write JSON."""
    path.write_text(json.dumps(content))


if __name__ == "__main__":
    document()
    ids = []
    for number, (friend, amount) in enumerate(zip(FRIENDS, (20, 35, 50), strict=True), 1):
        author(f"made1_{number}", friend, amount)
        ids.append(f"made1_{number}")
    datasets = Path(path_store.data) / "datasets"
    datasets.mkdir()
    (datasets / "train.txt").write_text("\n".join(ids) + "\n")
