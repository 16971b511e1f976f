"""Threads that nobody waits for: at once, in parallel, used again."""

import threading

import pytest

from meisa_cdc.wiring.system import Threads

PATIENCE = 30.0


def test_every_task_starts_at_once():
    """One that hangs is in nobody's way."""
    threads = Threads("request")
    gate = threading.Event()
    hanging = [threads.submit(gate.wait, PATIENCE) for _ in range(5)]
    assert threads.submit(lambda: "answer").result(PATIENCE) == "answer"
    assert not any(each.done() for each in hanging)
    gate.set()
    assert [each.result(PATIENCE) for each in hanging] == [True] * 5


def test_a_thread_that_is_done_takes_the_next_task():
    """Whoever submits on hearing a result finds the thread free."""
    threads = Threads("request")
    used = {threads.submit(threading.get_ident).result(PATIENCE) for _ in range(100)}
    assert len(used) == 1


def test_an_error_is_the_result_and_ends_no_thread():
    """It is raised where the result is asked for."""
    threads = Threads("request")
    ident = threads.submit(threading.get_ident).result(PATIENCE)
    failing = threads.submit(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failing.result(PATIENCE)
    assert threads.submit(threading.get_ident).result(PATIENCE) == ident


def test_they_hold_no_exit_up():
    """They are daemons, and called what they are for."""
    thread = Threads("request").submit(threading.current_thread).result(PATIENCE)
    assert (thread.daemon, thread.name) == (True, "request")


def test_tasks_beyond_the_most_wait_for_a_thread():
    """In their turn; what waits may be cancelled, and is then left out."""
    threads = Threads("request", 2)
    gates = [threading.Event() for _ in range(2)]
    running = [threads.submit(gate.wait, PATIENCE) for gate in gates]
    done: list[str] = []
    waiting = [threads.submit(done.append, name) for name in "abc"]
    assert waiting[1].cancel()
    assert not running[0].cancel()
    assert not any(each.done() for each in running)
    assert not waiting[0].done()
    gates[0].set()
    assert running[0].result(PATIENCE)
    waiting[2].result(PATIENCE)
    assert done == ["a", "c"]
    gates[1].set()
    assert running[1].result(PATIENCE)
    idents = {threads.submit(threading.get_ident).result(PATIENCE) for _ in range(10)}
    assert len(idents) <= 2
