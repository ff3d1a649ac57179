"""Pay bills that lie in a folder of files, put them away, and tick off the tasks about them."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed
from palaestra.envs.apps.prepared_files import clear, file, folder
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.todo_seed import add_list, add_task
from palaestra.envs.apps.skills import apis, every_page, login

_BILLS = (
    "piano tuning",
    "window cleaning",
    "cello lesson",
    "wood delivery",
    "dog sitting",
    "translation",
    "garden work",
    "shelf repair",
    "language course",
)


def prepare(draft: Draft) -> Plan:
    """Write bills that are due before, on and after a day; for some there is a task."""
    clear(draft, "/bills/open")
    paid = folder(draft, "/bills/paid")
    file(draft, "/bills/paid/sofa.txt", "Bill: sofa\nAmount due: $310.00", day=-40)
    day = draft.number(5, 14)
    offsets = [0, *(-draft.number(1, 4) for _ in range(3)), *(draft.number(1, 9) for _ in range(3))]
    people = draft.sample([*draft.life.relations["friend"], *draft.life.relations["neighbor"]], len(offsets))
    listing = add_list(draft, draft.me, "Household money", draft.moment(-90, -60))
    must = []
    bills = list(zip(draft.sample(_BILLS, len(offsets)), people, offsets, strict=True))
    for number, (what, person, offset) in enumerate(draft.sample(bills, len(bills))):
        amount, reference = draft.number(500, 3200), f"R-{draft.number(1000, 9999)}-{number}"
        text = (
            f"Bill: {what}\nFrom: {person.name}\nPay to: {person.email}\nAmount due: ${amount / 100:.2f}\n"
            f"Due: {draft.life.day(day + offset)}\nReference: {reference}"
        )
        bill = file(draft, f"/bills/open/{what}.txt", text, day=-draft.number(3, 20))
        task = (
            add_task(draft, listing, draft.me, f"Pay {what}", made=draft.moment(-20, -2))
            if number % 3
            else None
        )
        if offset <= 0:
            must.append(added("payments_payments", receiver_id=person.id, amount=amount, note=reference))
            must.append(changed("files_entries", bill, parent_id=paid))
            must += [changed("todo_tasks", task, done=1)] if task is not None else []
    add_task(draft, listing, draft.me, "Pay back the neighbor", made=draft.moment(-20, -2))
    return Plan(
        parameters={"day": draft.life.day(day)},
        must=must,
        near_misses=[
            NearMiss("all bills", edit=("if bill['Due'] <= day", "if True")),
            NearMiss("not those of the last day", edit=("bill['Due'] <= day", "bill['Due'] < day")),
            NearMiss("without the reference", edit=(", note=bill['Reference']", "")),
            NearMiss("copies the bills", edit=("apis.files.move_entry", "apis.files.copy_entry")),
            NearMiss("all tasks are done", edit=("if task['title'] in titles", "if True")),
            NearMiss("one less", edit=("for bill in due:", "for bill in due[1:]:")),
        ],
    )


def gold(day: str) -> None:
    """Read them all, then pay what is due."""
    files = login("files")
    entries = every_page(apis.files.list_folder, access_token=files, path="/bills/open")
    bills = []
    for entry in entries:
        text = apis.files.read_file(access_token=files, path=entry["path"])["text"]
        bill = dict(line.split(": ", 1) for line in text.splitlines())
        bills.append({**bill, "path": entry["path"]})
    due = [bill for bill in bills if bill["Due"] <= day]
    print(due)

    payments = login("payments")
    for bill in due:
        amount = float(bill["Amount due"].removeprefix("$"))
        apis.payments.send_payment(
            access_token=payments, email=bill["Pay to"], amount=amount, note=bill["Reference"]
        )
        apis.files.move_entry(access_token=files, path=bill["path"], to_folder="/bills/paid")

    todo = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=todo)
    list_id = next(one["list_id"] for one in lists if one["name"] == "Household money")
    tasks = every_page(apis.todo.search_tasks, access_token=todo, list_id=list_id)
    titles = [f"Pay {bill['Bill']}" for bill in due]
    for task in tasks:
        if task["title"] in titles:
            apis.todo.mark_done(access_token=todo, task_id=task["task_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="pay_open_bills",
    split="test_challenge",
    phrasings=(
        "Pay the bills in the folder /bills/open of my files that are due on {day} or before: each to the "
        "email address that it names, in the payments app and from the balance, with its reference (and "
        "nothing else) as the note. Move every bill that you paid into the folder /bills/paid. Where my "
        'to-do list "Household money" has a task for such a bill, like "Pay piano lesson" for the bill '
        '"piano lesson", mark it as done.',
        "All bills in my folder /bills/open that are due no later than {day} have to be paid by the payments "
        "app, from my balance. Each says how much goes to whom; its reference alone is the note. Afterwards "
        'put these bills into /bills/paid, and tick off the tasks "Pay ..." about them (named by what '
        'stands behind "Bill:") in the to-do list "Household money". Leave later bills and their tasks open.',
    ),
    prepare=prepare,
    gold=gold,
)
