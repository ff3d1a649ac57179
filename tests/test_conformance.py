"""The conformance suite: good environments pass, a planted defect fails exactly the check it breaks."""

import functools
import io
import os
import random
import threading
from pathlib import Path
from tempfile import gettempdir

import defective_envs
import gymnasium
import numpy as np
import pytest
from rich.console import Console

from palaestra.envs import conformance, conformance_leaks, conformance_scores, registration
from palaestra.envs.conformance import CHECKS, render
from palaestra.envs.conformance_bed import Bed, Violation
from palaestra.errors import OptionError, UnknownNameError

# In this process, which is faster, and which the fixture below can tell to measure for a shorter time.
check = functools.partial(conformance.check, isolation="none")

DEFECTS = [
    ("CannotBeMadeEnv", "make", "RuntimeError: planted"),
    ("NotTextEnv", "episodes", "(bytes) is not in the observation space"),
    ("CrashesEnv", "episodes", "RuntimeError: planted (line"),
    ("LeavesEnv", "episodes", "SystemExit: 3"),
    ("NoGoalEnv", "info", "info has no 'goal'"),
    ("InfiniteMetricEnv", "info", "has 'speed': inf"),
    ("SiblingsOfNobodyEnv", "info", "has no scenario"),
    ("NotANumberEnv", "rewards", "paid nan"),
    ("PaysEarlyEnv", "rewards", "although the episode goes on"),
    ("BothFlagsEnv", "flags", "both terminated and truncated"),
    ("GoesOnEnv", "flags", "after the end of an episode is answered"),
    ("OwnEntropyEnv", "same seed", "the observation is"),
    ("UnpicklableEnv", "spec and pickle", "cannot be pickled"),
    ("RemembersEnv", "independence", "after other episodes"),
    ("SharesStateEnv", "independence", "another environment at work"),
    ("SeedsGlobalEnv", "global generators", "global generator of random"),
    ("SeedsGlobalNumpyEnv", "global generators", "global generator of numpy.random"),
    ("DrawsGlobalEnv", "global generators", "global generator of random"),
    ("ExpertDrawsGlobalEnv", "global generators", "global generator of random"),
    ("ReadsGlobalEnv", "global generators", "two states of the global generators"),
    ("GroupDiffersEnv", "groups", "begun again with the same seed"),
    ("ForgetfulSnapshotEnv", "snapshots", "restored after"),
    ("SwallowsOptionsEnv", "unknown names", "accepted without a word"),
    ("BadExpertEnv", "gold", "the expert scored 0.0 (truncated"),
    ("NoSplitsEnv", "gold", "no declared split could be played: easy"),
    ("WonByNearMissEnv", "near misses", "this scores 1"),
    ("RewardsPoliteSilenceEnv", "red team: no-op", "scored 0.5"),
    ("FindsAnswerAnywhereEnv", "red team: spam", "scored 1.0"),
    ("SolvedByPromptEnv", "red team: prompt copy", "scored 1.0"),
    ("BelievesActionEnv", "red team: injection", "scored 1.0"),
    ("ReadsGradeFileEnv", "red team: grade files", "scored 1.0"),
    ("ReadsTemporaryFolderEnv", "red team: grade files", "scored 1.0"),
    ("ReadsHomeEnv", "red team: grade files", "scored 1.0"),
    ("LeaksThreadEnv", "leaks", "threads before"),
    ("LeaksDescriptorEnv", "leaks", "file descriptors before"),
    ("LeaksProcessEnv", "leaks", "child processes before"),
    ("LeaksMemoryEnv", "leaks", "allocated in"),
]


@pytest.fixture
def planted(monkeypatch):
    """Register one defective environment, let go of what it holds afterwards, and forget it."""
    monkeypatch.setattr(conformance_leaks, "SPEED_S", 0.01)
    monkeypatch.setattr(conformance_leaks, "SETTLING_S", 0.1)
    monkeypatch.setattr(conformance_leaks, "SAMPLED_EVERY", 2)
    names = []

    def register(name):
        registration.register(f"test/{name}-v0", f"defective_envs:{name}")
        names.append(name)
        return f"test/{name}-v0"

    yield register
    for name in names:
        getattr(getattr(defective_envs, name), "let_go", lambda: None)()
        del gymnasium.registry[f"test/{name}-v0"]
        registration._registered.discard(f"test/{name}-v0")
    # A thread that was left behind puts back what its check changed when it wakes; not in the next test.
    for thread in threading.enumerate():
        if thread.name in {one.name for one in CHECKS}:
            thread.join(30)


def failed(report):
    return [result.name for result in report.results if result.status == "failed"]


def seen(report, name):
    return next(result.seen for result in report.results if result.name == name)


@pytest.mark.parametrize(("name", "law", "text"), DEFECTS, ids=[name for name, *_ in DEFECTS])
def test_a_planted_defect_fails_the_check_that_it_breaks_and_no_other(planted, name, law, text):
    report = check(planted(name), cycles=24 if law == "leaks" else 2, tasks=3)
    assert text in seen(report, law)
    assert failed(report) == [law]
    assert not report.passed
    assert [result.name for result in report.results] == [one.name for one in CHECKS]


def test_a_hanging_step_fails_one_check_and_stops_the_rest(planted):
    directory = os.getcwd()
    report = check(planted("HangsEnv"), cycles=2, tasks=2, call_deadline_s=2.0)
    assert failed(report) == ["episodes"]
    assert "had not returned after 2 s" in seen(report, "episodes")
    after = report.results[[one.name for one in CHECKS].index("episodes") + 1 :]
    assert {result.status for result in after} == {"skipped"}
    assert os.getcwd() == directory


def test_a_check_that_takes_too_long_is_failed_although_no_call_hangs(planted):
    report = check(planted("SlowEnv"), cycles=2, tasks=2, check_deadline_s=0.5)
    assert len(failed(report)) == 1
    assert "did not end in time" in seen(report, failed(report)[0])


def test_an_environment_that_crashes_its_process_fails_one_check_and_not_the_checker(planted):
    report = conformance.check(planted("CrashesProcessEnv"), cycles=2, tasks=2)
    assert failed(report) == ["near misses"]
    assert "ended its process" in seen(report, "near misses")
    assert "SIGSEGV" in seen(report, "near misses")
    assert "in near_misses" in seen(report, "near misses")  # the stack that the crash left
    # The second crash is the same defect; everything else is carried out all the same.
    assert seen(report, "red team: spam") == "stopped by the same error as 'near misses'"
    others = {result.name for result in report.results if result.status == "passed"}
    assert others == {one.name for one in CHECKS} - {"near misses", "red team: spam"}


def test_in_a_process_of_its_own_a_sound_environment_passes_and_wrong_requests_are_typed(planted):
    report = conformance.check("palaestra/GuessNumber-v0", {"highest": 50}, cycles=10, tasks=2)
    assert [(result.name, result.seen) for result in report.results if result.status != "passed"] == []
    with pytest.raises(UnknownNameError, match="'highest'"):
        conformance.check("palaestra/GuessNumber-v0", {"higest": 3})
    with pytest.raises(UnknownNameError, match="'process'"):
        conformance.check("palaestra/GuessNumber-v0", isolation="proces")


def test_an_environment_of_the_main_module_is_told_where_to_go():
    registration.register("test/Main-v0", "__main__:MainEnv")
    try:
        with pytest.raises(OptionError, match="put it in a module"):
            conformance.check("test/Main-v0")
    finally:
        del gymnasium.registry["test/Main-v0"]
        registration._registered.discard("test/Main-v0")


def test_a_flood_of_leaked_handles_is_stopped_long_before_the_last_cycle(planted):
    report = check(planted("LeaksDescriptorEnv"), cycles=800, tasks=2)
    text = seen(report, "leaks")
    assert int(text.split(" after ")[1].split()[0]) < 400, text


def test_leaks_are_sought_for_as_long_as_there_is_time_and_the_report_says_so():
    bed = Bed("palaestra/GuessNumber-v0", {}, 10**9, 1, 0)
    bed.stop_at = _AfterReadings(20)
    assert "20 cycles (of 1000000000: there was no time for more)" in conformance_leaks.leaks(bed).text


def test_memory_that_every_life_keeps_is_found_in_a_process_that_has_much_memory_free(planted):
    len(b"x" * 30_000_000)  # raises the size from which glibc maps pages of their own
    free = [b"x" * 200_000 for _ in range(1000)]
    top = b"x" * 200_000
    del free  # the allocator keeps these pages, for they lie below one that is in use
    bed = Bed(planted("LeaksMemoryEnv"), {}, 10**9, 1, 0)
    bed.stop_at = _AfterReadings(100)
    with pytest.raises(Violation, match="memory grew by"):
        conformance_leaks.leaks(bed)
    assert top


class _AfterReadings(float):
    """A moment that lies ahead as often as it is asked for, and then behind: on a busy machine no span of
    seconds is sure to hold enough lives.
    """

    def __new__(cls, readings):
        moment = super().__new__(cls, float("inf"))
        moment.left = readings
        return moment

    def __gt__(self, now):
        self.left -= 1
        return self.left >= 0


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("palaestra/GuessNumber-v0", {}),
        ("palaestra/GuessNumber-v0", {"split": "test", "max_steps": 20}),
        ("palaestra/ALFWorld-v0", {"scale": "small"}),
    ],
)
def test_our_own_environments_pass(env_id, options, monkeypatch):
    monkeypatch.setattr(conformance_leaks, "SPEED_S", 0.01)
    report = check(env_id, options, cycles=24, tasks=4)
    assert [(result.name, result.seen) for result in report.results if result.status != "passed"] == []
    assert report.passed
    assert report.figures["steps_per_s"] > 0
    assert report.figures["cycles"] == 24


def test_a_given_split_is_the_only_one_that_the_expert_plays(planted):
    report = check("palaestra/GuessNumber-v0", {"split": "valid"}, cycles=2, tasks=2)
    assert seen(report, "gold") == "the expert scored 1: the given split: 2 of 2"


def test_splits_that_the_options_leave_out_are_named(planted):
    report = check("palaestra/ALFWorld-v0", {"scale": "small"}, cycles=2, tasks=2)
    assert "test: 2 of 2, valid_train: not with these options" in seen(report, "gold")
    report = check(planted("SplitWithoutDataEnv"), cycles=2, tasks=2)
    assert report.passed
    assert "valid: 2 of 2, test: not looked at (there is no file for test)" in seen(report, "gold")


def test_an_environment_without_expert_or_near_misses_is_told_what_was_not_looked_at(planted):
    report = check(planted("NoExpertEnv"), cycles=2, tasks=2)
    assert report.passed
    skipped = {result.name: result.seen for result in report.results if result.status == "skipped"}
    assert list(skipped) == ["gold", "near misses"]
    assert "has_expert is False" in skipped["gold"]


def test_a_wrong_request_is_a_typed_error_and_not_a_failed_check():
    with pytest.raises(UnknownNameError, match=r"palaestra/GuessNumber-v0"):
        check("palaestra/GuesNumber-v0")
    with pytest.raises(UnknownNameError, match="'highest'"):
        check("palaestra/GuessNumber-v0", {"higest": 3})
    with pytest.raises(OptionError, match="highest must be"):
        check("palaestra/GuessNumber-v0", {"highest": 1})
    with pytest.raises(OptionError, match="at least 1"):
        check("palaestra/GuessNumber-v0", cycles=0)


def state_of_the_process():
    generators = random.getstate(), np.random.get_state()[1].tolist()
    return generators, os.getcwd(), dict(os.environ), gettempdir()


def test_the_process_is_left_as_it_was(planted, capsys):
    before = state_of_the_process()
    check(planted("SeedsGlobalNumpyEnv"), cycles=2, tasks=2)
    assert state_of_the_process() == before
    with conformance_scores.writable_folders() as folders:
        assert [Path.cwd(), Path(gettempdir()), Path.home()] == folders
    assert state_of_the_process() == before
    assert capsys.readouterr().out == ""


def test_the_process_is_left_as_it_was_by_a_call_that_hangs_too(planted):
    before = state_of_the_process()
    report = check(planted("HangsAtGradesEnv"), cycles=2, tasks=2, call_deadline_s=1.0)
    assert failed(report) == ["red team: grade files"]
    assert state_of_the_process() == before


def test_what_lies_in_the_home_is_still_found_there(tmp_path, monkeypatch):
    (tmp_path / "data").write_text("needed")
    (tmp_path / "reward.txt").write_text("mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    with conformance_scores.writable_folders() as folders:
        assert (Path.home() / "data").read_text() == "needed"
        conformance_scores.write_grades(folders)
        assert (Path.home() / "reward.txt").read_text() == "1\n"
    assert (tmp_path / "reward.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "reward.txt"]


def test_the_report_shows_every_check_the_broken_law_and_how_to_mend_it(planted):
    report = check(planted("BothFlagsEnv"), {"split": "test"}, cycles=2, tasks=2)
    console = Console(width=200, file=io.StringIO())
    render(report, console)
    lines = console.file.getvalue().splitlines()
    assert lines[0].startswith("test/BothFlagsEnv-v0 split=test")
    for one in CHECKS:
        assert any(line.startswith(one.name) for line in lines)
    law = next(one for one in CHECKS if one.name == "flags")
    text = " ".join(" ".join(lines).split())
    assert law.law in text
    assert law.mend in text
    assert lines[-1].startswith(f"{len(CHECKS) - 1} passed, 1 failed, 0 skipped")
    assert "steps_per_s" in lines[-1]
