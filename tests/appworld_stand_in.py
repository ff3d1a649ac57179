"""Stands in for envs/appworld/server.py without the package: code says what should go wrong.

Solved by the code ``done``; every code but ``loop`` counts as one call.
"""

import json
import os
import sys
import time

calls, solved = 0, False
for line in sys.stdin:
    request = json.loads(line)
    answer = {"id": request["id"]}
    do, code = request["do"], request.get("code", "")
    if do == "hello":
        answer["value"] = {"version": "stand-in"}
    elif do == "start":
        calls, solved = 0, False
        with open("data/tasks/" + request["task"] + "/specs.json") as file:
            told = json.load(file)
        if told["instruction"] == "unloadable":
            answer.update(error="data", message="Exception: no such database")
        else:
            person = {"first_name": "Ann", "last_name": "Lee", "email": "a@b.c", "phone_number": "123"}
            apps = ["supervisor", "api_docs", "venmo"]
            answer["value"] = {**told, "supervisor": person, "datetime": "Thursday", "apps": apps}
    elif do == "evaluate":
        answer["value"] = [True, solved]
    elif code == "hang":
        time.sleep(600)
    elif code == "crash":
        print("last words", file=sys.stderr, flush=True)
        os._exit(3)
    elif code == "garbage":
        print("Traceback", flush=True)
        continue
    elif code == "stale":
        answer["id"] -= 1
        answer["value"] = None
    elif code == "raise":
        answer.update(error="failed", message="Traceback: KeyError")
    else:
        calls += 1
        solved = code == "done"
        told = {"output": f"ran {code}\n", "completed": code in ("done", "give up"), "api_calls": calls}
        answer["value"] = told
    print(json.dumps(answer), flush=True)
