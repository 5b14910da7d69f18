"""Which calls a look takes, on accounts of any history."""

import math

import msgspec
import pytest
from accounts import ScriptedAccount, ScriptedJob
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_nbjobs.core.job.status import parse_summary
from airflow_nbjobs.core.watch import plan as looks
from airflow_nbjobs.core.watch.pace import next_cursor
from airflow_nbjobs.core.watch.plan import Coverage, DescribeJob, ListJobs, LostPlaceError, Page

NOW = 1_000_000.0


def account_with(jobs, **behaviour):
    account = ScriptedAccount(lambda: NOW, **behaviour)
    account.add(jobs)
    return account


def burst(count, *, at, name="job", every=0.05):
    return [ScriptedJob(f"{name}-{number:06}", round(at + number * every, 3)) for number in range(count)]


def perform(look, account):
    """Returns the look's result, its calls, and the names of all jobs that it has shown."""
    calls, shown, answer = [], set(), None
    while True:
        try:
            call = look.send(answer)
        except StopIteration as end:
            return end.value, calls, shown
        calls.append(call)
        answer = account.answer(call)
        if isinstance(answer, Page):
            shown.update(summary.job_name for summary in answer.summaries)
        elif answer is not None:
            shown.add(answer.job_name)


def created(account, jobs):
    return {job.name: account.time(job.created) for job in jobs}


def lists(calls):
    return sum(isinstance(call, ListJobs) for call in calls)


histories = st.lists(
    st.tuples(st.floats(0, NOW, width=32), st.booleans()), min_size=1, max_size=60, unique_by=lambda job: job[0]
)


def mixed(history, foreign_between):
    """Waiting and foreign jobs at any times, and many foreign ones at once."""
    jobs = [ScriptedJob(f"job-{number:03}", round(at, 3)) for number, (at, _) in enumerate(history)]
    waiting = [job for job, (_, is_waiting) in zip(jobs, history, strict=True) if is_waiting]
    return [*jobs, *burst(foreign_between, at=NOW / 2, name="foreign", every=0.1)], waiting


# -- jobs of unknown creation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "calls"), [(1, 1), (2, 2), (3, 1), (100, 1), (101, 2), (2000, 20)])
def test_jobs_just_submitted_are_found_on_the_newest_pages(count, calls):
    jobs = burst(count, at=NOW - 200)
    account = account_with([*burst(5000, at=NOW - 90_000, name="old", every=10), *jobs])
    _, made, shown = perform(looks.find(job.name for job in jobs), account)
    assert len(made) == calls
    assert shown >= {job.name for job in jobs}


def test_jobs_of_the_morning_are_found_together_after_a_restart_at_noon():
    jobs = burst(1000, at=NOW - 20_000)
    account = account_with([*jobs, *burst(10_000, at=NOW - 10_000, name="later")])
    _, made, shown = perform(looks.find([job.name for job in jobs[::20]]), account)
    assert len(made) <= 14
    assert shown >= {job.name for job in jobs[::20]}


@settings(max_examples=40)
@given(history=histories, foreign=st.sampled_from([0, 350]))
def test_finding_takes_hardly_more_calls_than_describing_whatever_the_history(history, foreign):
    jobs, waiting = mixed(history, foreign)
    _, made, shown = perform(looks.find(job.name for job in waiting), account_with(jobs))
    assert shown >= {job.name for job in waiting}
    assert len(made) <= len(waiting) + (math.log2(len(waiting)) + 1 if len(waiting) > 2 else 0)


def test_a_job_that_is_not_there_is_described():
    account = account_with(burst(300, at=NOW - 100))
    _, made, _ = perform(looks.find(["none-1", "none-2", "none-3"]), account)
    assert [call.job_name for call in made if isinstance(call, DescribeJob)] == ["none-1", "none-2", "none-3"]


# -- sweeps ------------------------------------------------------------------------------------------------------------


def swept(account, jobs, times=2):
    """The calls of the last of some sweeps: the first has to learn where the jobs lie."""
    coverage = Coverage()
    for _ in range(times):
        coverage, made, shown = perform(looks.sweep(created(account, jobs), coverage), account)
        assert shown >= {job.name for job in jobs if job.name in account.jobs}
        assert coverage.covers(job.name for job in jobs)
    return made, coverage


@pytest.mark.parametrize("every", [0.0, 0.001, 0.05, 3.0], ids=lambda every: f"one each {every} s")
@pytest.mark.parametrize(("count", "pages"), [(1, 1), (2, 1), (100, 1), (1000, 10), (2000, 20)])
def test_jobs_created_together_cost_a_call_a_hundred(count, pages, every):
    jobs = burst(count, at=NOW - 7000, every=every)
    account = account_with([*burst(5000, at=0, name="old"), *jobs])
    for times in (1, 2):
        assert len(swept(account, jobs, times)[0]) == pages


@pytest.mark.parametrize("history", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_one_old_job_in_a_busy_account_is_described(history):
    jobs = burst(1, at=10)
    account = account_with([*jobs, *burst(history, at=20, name="foreign")])
    assert swept(account, jobs, 1)[0] == [DescribeJob(jobs[0].name)]


@pytest.mark.parametrize("history", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_history_between_waiting_jobs_is_not_read(history):
    jobs = [*burst(150, at=10, name="early"), *burst(150, at=NOW - 100, name="late")]
    account = account_with([*jobs, *burst(history, at=100, name="foreign", every=0.5)])
    assert len(swept(account, jobs)[0]) == 4


def test_jobs_that_are_each_alone_are_described_from_the_second_sweep_on():
    jobs = burst(20, at=10, every=40_000)
    account = account_with([*jobs, *burst(9000, at=0, name="foreign", every=100)])
    made, _ = swept(account, jobs, 1)
    assert (len(made), lists(made)) == (20, 19)
    made, _ = swept(account, jobs, 2)
    assert (len(made), lists(made)) == (20, 0)


@settings(max_examples=40)
@given(history=histories, foreign=st.sampled_from([0, 350]))
def test_a_sweep_takes_no_more_calls_than_jobs_or_pages_whatever_the_history(history, foreign):
    jobs, waiting = mixed(history, foreign)
    made, _ = swept(account_with(jobs), waiting)
    oldest = min((job.created for job in waiting), default=NOW)
    pages = math.ceil(sum(job.created >= oldest - 1 for job in jobs) / 100)
    assert len(made) <= min(len(waiting), pages)


def test_a_job_that_was_deleted_is_described_once_and_the_others_are_found():
    jobs = burst(250, at=NOW - 100)
    account = account_with(jobs)
    account.delete(jobs[120].name)
    made, _ = swept(account, jobs, 1)
    assert [call for call in made if isinstance(call, DescribeJob)] == [DescribeJob(jobs[120].name)]


def test_pages_that_come_out_empty_lose_nobody():
    for seed in range(20):
        jobs = burst(300, at=NOW - 100)
        account = account_with(jobs, empty_pages=40, seed=seed)
        made, _ = swept(account, jobs, 1)
        assert len(made) <= 40, seed


def test_more_than_a_page_of_foreign_jobs_in_the_same_second_lose_nobody():
    foreign = burst(250, at=1000.0, every=0.001)
    jobs = burst(3, at=1000.6, every=0.001, name="mine")
    account = account_with([*foreign, *jobs, *burst(300, at=1001, name="later")])
    made, _ = swept(account, jobs)
    assert len(made) <= len(jobs)


# -- changes -----------------------------------------------------------------------------------------------------------


def changed(account, jobs, coverage, cursor):
    _, made, shown = perform(looks.changes(created(account, jobs), coverage, cursor), account)
    return made, shown


@pytest.mark.parametrize("is_filtered_first", [False, True], ids=["as AWS", "filtered before paging"])
def test_changes_show_who_has_ended_and_nobody_else(is_filtered_first):
    jobs = burst(1000, at=NOW - 7000)
    account = account_with([*burst(500, at=0, name="old"), *jobs], is_filtered_first=is_filtered_first)
    _, coverage = swept(account, jobs, 1)
    jobs[3].ends = jobs[997].ends = NOW - 10
    made, shown = changed(account, jobs, coverage, account.time(NOW - 60))
    assert shown == {jobs[3].name, jobs[997].name}
    assert len(made) == (1 if is_filtered_first else 10)


@settings(max_examples=40)
@given(history=histories, foreign=st.sampled_from([0, 350]), ended=st.sets(st.integers(0, 59)))
def test_changes_find_every_end_in_no_more_calls_than_jobs(history, foreign, ended):
    jobs, waiting = mixed(history, foreign)
    account = account_with(jobs)
    _, coverage = swept(account, waiting)
    ending = [job for number, job in enumerate(waiting) if number in ended]
    for job in ending:
        job.ends = NOW - 1
    made, shown = changed(account, waiting, coverage, account.time(NOW - 60))
    assert shown >= {job.name for job in ending}
    assert len(made) <= len(waiting)


@settings(max_examples=40)
@given(history=histories, foreign=st.sampled_from([0, 350]), left=st.sets(st.integers(0, 59)))
def test_when_jobs_have_left_the_windows_shrink_with_them(history, foreign, left):
    jobs, waiting = mixed(history, foreign)
    account = account_with(jobs)
    _, coverage = swept(account, waiting)
    still = [job for number, job in enumerate(waiting) if number not in left]
    for job in still:
        job.ends = NOW - 1
    made, shown = changed(account, still, coverage, account.time(NOW - 60))
    assert shown >= {job.name for job in still}
    assert len(made) <= len(still)


def test_tokens_that_lead_on_for_ever_are_given_up():
    jobs = burst(100, at=NOW - 100)
    look = looks.changes(
        created(account_with(jobs), jobs),
        Coverage(groups=(looks.Group(frozenset(job.name for job in jobs), 1),)),
        next_cursor(account_with(jobs).time(NOW), account_with(jobs).time(NOW)),
    )
    look.send(None)

    def follow():
        for number in range(100):
            look.send(Page(next_token=str(number)))

    with pytest.raises(LostPlaceError):
        follow()


# -- call by call ------------------------------------------------------------------------------------------------------


def times(*names, first=0.0, every=1000.0):
    account = account_with([])
    return {name: account.time(first + number * every) for number, name in enumerate(names)}


def kinds(calls):
    return "".join("L" if isinstance(call, ListJobs) else "D" for call in calls)


def test_pages_that_find_nobody_are_tried_ever_less_often():
    """Each job of its own time, among many others."""
    jobs = [ScriptedJob(f"job-{number:02}", number * 10_000.0) for number in range(10)]
    others = [job for number in range(10) for job in burst(200, at=number * 10_000.0 + 1, name=f"other-{number}")]
    _, made, _ = perform(looks.find(job.name for job in jobs), account_with([*jobs, *others]))
    assert kinds(made) == "LDLDDLDDDDLDDD"


def test_a_page_that_finds_somebody_makes_the_next_one_worth_it_again():
    pairs = [burst(2, at=number * 10_000.0, name=f"job-{number}") for number in range(5)]
    others = [job for number in range(5) for job in burst(200, at=number * 10_000.0 + 1, name=f"other-{number}")]
    account = account_with([*(job for pair in pairs for job in pair), *others])
    _, made, shown = perform(looks.find(job.name for pair in pairs for job in pair), account)
    assert kinds(made) == "LDLLDLLDLLDLLDD", "a page that has shown one is followed by the next"
    assert len({name for name in shown if name.startswith("job")}) == 10


def test_of_two_unknown_jobs_each_is_described_and_of_three_a_page_is_read():
    jobs = burst(3, at=NOW - 100)
    account = account_with(jobs)
    for count, expected in ((1, "D"), (2, "DD"), (3, "L")):
        _, made, _ = perform(looks.find([job.name for job in jobs[:count]]), account)
        assert kinds(made) == expected
    assert made == [ListJobs(is_newest_first=True)]


def test_a_job_of_unknown_creation_leads_to_no_page():
    look = looks.find(["a", "b", "c", "d"])
    assert look.send(None) == ListJobs(is_newest_first=True)
    assert look.send(Page()) == DescribeJob("a")
    bare = parse_summary({"TrainingJobName": "a", "TrainingJobStatus": "InProgress"})
    assert look.send(bare) == DescribeJob("b")
    assert look.send(None) == DescribeJob("c")
    known = parse_summary({"TrainingJobName": "c", "TrainingJobStatus": "InProgress", "CreationTime": times("c")["c"]})
    assert look.send(known) == DescribeJob("d"), "one job alone is described"


def test_changes_are_asked_for_in_the_window_of_the_jobs_that_still_wait():
    created_at = times("a", "b", "c", "gone")
    coverage = Coverage(groups=(looks.Group(frozenset(created_at), 2),))
    waiting = {name: at for name, at in created_at.items() if name != "gone"}
    cursor = created_at["gone"]
    look = looks.changes(waiting, coverage, cursor)
    call = look.send(None)
    assert call == ListJobs(
        created_after=looks.just_before(created_at["a"]),
        created_before=looks.just_after(created_at["c"]),
        modified_after=cursor,
    )
    following = look.send(Page(next_token="t"))
    assert following == msgspec.structs.replace(call, next_token="t")
    with pytest.raises(StopIteration):
        look.send(Page())


@pytest.mark.parametrize(("pages", "expected"), [(2, "L"), (3, "DDD"), (4, "DDD")])
def test_a_group_of_no_more_jobs_than_pages_is_described(pages, expected):
    created_at = times("c", "a", "b")
    coverage = Coverage(groups=(looks.Group(frozenset(created_at), pages),))
    calls, answer, look = [], None, looks.changes(created_at, coverage, created_at["a"])
    while True:
        try:
            calls.append(look.send(answer))
        except StopIteration:
            break
        answer = Page() if isinstance(calls[-1], ListJobs) else None
    assert kinds(calls) == expected
    assert [call.job_name for call in calls if isinstance(call, DescribeJob)] == (
        list("abc") if expected != "L" else []
    )


def test_each_job_is_asked_for_in_one_group_and_what_no_group_has_is_described():
    created_at = times("a", "b", "c", "d", "alone")
    groups = (looks.Group(frozenset("ab"), 1), looks.Group(frozenset("abcd"), 1))
    look = looks.changes(created_at, Coverage(groups=groups, described=frozenset({"alone"})), created_at["a"])
    first = look.send(None)
    assert (first.created_after, first.created_before) == (
        looks.just_before(created_at["a"]),
        looks.just_after(created_at["b"]),
    )
    second = look.send(Page())
    assert (second.created_after, second.created_before) == (
        looks.just_before(created_at["c"]),
        looks.just_after(created_at["d"]),
    )
    assert look.send(Page()) == DescribeJob("alone")


@pytest.mark.parametrize("pages", [1, 2])
def test_a_window_may_have_four_times_its_pages(pages):
    created_at = times("a", "b", "c", "d")
    coverage = Coverage(groups=(looks.Group(frozenset(created_at), pages),))
    look = looks.changes(created_at, coverage, created_at["a"])
    look.send(None)
    for number in range(4 * pages):
        look.send(Page(next_token=str(number)))
    with pytest.raises(LostPlaceError):
        look.send(Page(next_token="once more"))


def test_a_coverage_covers_what_was_described_or_seen_on_a_page():
    coverage = Coverage(groups=(looks.Group(frozenset("ab"), 1),), described=frozenset("c"))
    assert coverage.covers("abc")
    assert coverage.covers([])
    assert not coverage.covers("abcd")


def test_one_job_is_described_and_no_page_read():
    created_at = times("a")
    coverage, made, _ = perform(looks.sweep(created_at, Coverage()), account_with([ScriptedJob("a", 0.0)]))
    assert made == [DescribeJob("a")]
    assert coverage == Coverage(described=frozenset("a"))


def test_what_a_sweep_learned_of_jobs_that_no_longer_wait_is_forgotten():
    at = times("a", "gone")
    coverage, _, _ = perform(looks.sweep({"a": at["a"]}, Coverage(reaches=at)), account_with([ScriptedJob("a", 0.0)]))
    assert coverage.reaches == {"a": at["a"]}


def test_a_sweep_reads_on_from_each_job_that_no_page_has_shown():
    """Three runs of jobs with a thousand foreign ones between each."""
    runs = [burst(30, at=number * 10_000.0, name=f"run-{number}") for number in range(3)]
    others = [job for number in range(3) for job in burst(1000, at=number * 10_000.0 + 100, name=f"other-{number}")]
    jobs = [job for run in runs for job in run]
    account = account_with([*jobs, *others])
    coverage, made, _ = perform(looks.sweep(created(account, jobs), Coverage()), account)
    assert [call.created_after for call in made] == [
        looks.just_before(account.time(number * 10_000.0)) for number in range(3)
    ]
    assert [(len(group.job_names), group.pages) for group in coverage.groups] == [(30, 1)] * 3
    assert set(coverage.reaches) == {run[0].name for run in runs[:2]} | {runs[2][0].name}
