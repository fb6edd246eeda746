"""Signals that arrive together are one request, in every process that handles them."""

import os
import signal
import subprocess
import sys

import pytest

from detkit import interruption
from detkit.errors import Stopped
from detkit.interruption import STOP_SIGNALS, StopSignals, run_stoppable


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_signal_is_one_request_and_the_handler_is_restored(number):
    before = signal.getsignal(number)
    received = []
    with StopSignals(received.append):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
    assert received == [number]
    assert signal.getsignal(number) == before


def test_a_later_signal_is_a_second_request(monkeypatch):
    monkeypatch.setattr(interruption, "SAME_REQUEST", 0.0)
    received = []
    with StopSignals(received.append):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert received == [signal.SIGTERM, signal.SIGINT]


def test_ctrl_c_twice_is_two_requests_where_presses_count():
    received = []
    with StopSignals(received.append, counts_presses=True):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert received == [signal.SIGINT, signal.SIGINT]


def test_a_repeated_signal_after_an_inner_context_is_still_the_same_request():
    received = []
    with StopSignals(received.append):
        with StopSignals(received.append):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
    assert received == [signal.SIGHUP]


def test_a_hangup_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    received = []
    try:
        with StopSignals(received.append):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert received == []


def test_a_fork_does_not_react(monkeypatch):
    with StopSignals(lambda number: os._exit(7)):
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_command_that_is_stopped_has_the_exit_code_of_the_signal(capsys):
    code = run_stoppable(lambda: os.kill(os.getpid(), signal.SIGUSR1), STOP_SIGNALS, False)
    assert code == 128 + signal.SIGUSR1
    assert capsys.readouterr().err == "stopped by SIGUSR1\n"


def test_a_command_that_stops_in_order_says_so_itself(capsys):
    def command():
        raise Stopped("saved", signal.SIGTERM)

    assert run_stoppable(command, STOP_SIGNALS, False) == 143
    assert capsys.readouterr().err == "saved\n"


def test_a_repeated_signal_does_not_change_the_exit_code_of_an_ending_process():
    script = """
import os, signal, sys
from detkit.interruption import STOP_SIGNALS, run_stoppable
code = run_stoppable(lambda: os.kill(os.getpid(), signal.SIGTERM), STOP_SIGNALS, True)
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(code)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 143
