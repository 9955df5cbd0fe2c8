"""The processes behind one address: one, or several that share a socket."""

import asyncio
import gc
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from recsys.errors import ConfigError, RecsysError
from recsys.serving.door import DoorConfig

GRACE_SECONDS = 20
"""How long requests that are being answered may take once the service is told to end."""

RETRY_SECONDS = 2
"""Until a worker that could not begin, while others serve, is tried again."""

BACKLOG = 2048
SWITCH_SECONDS = 0.0005
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
log = logging.getLogger("recsys.serving")


@dataclass(frozen=True)
class ServeConfig:
    """What a worker needs to know.

    Parameters
    ----------
    root : Path
        The workspace.
    host : str
    port : int
        0 takes a free one.
    workers : int
    threads : int or None
        Of each worker; None: all cores of one worker, one of each of several.
    device : str
    door : DoorConfig
    log_requests : bool
    """

    root: Path
    host: str
    port: int
    workers: int
    threads: int | None
    device: str
    door: DoorConfig
    log_requests: bool = True


def listen(host: str, port: int) -> socket.socket:
    """Take an address.

    Raises
    ------
    ConfigError
        It is taken already, or it is none of this machine's.
    """
    listening = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise ConfigError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    listening.set_inheritable(True)
    return listening


def serve(config: ServeConfig, listening: socket.socket) -> int:
    """Serve until the process is told to end; give its exit code.

    SIGHUP loads the workspace anew, SIGTERM and SIGINT end the service once the requests that
    are under way are answered.
    """
    if config.workers == 1:
        return serve_alone(config, listening)
    return _Supervisor(config, listening).run()


def serve_alone(
    config: ServeConfig,
    listening: socket.socket,
    on_ready: Callable[[], None] = lambda: None,
) -> int:
    """Be the only worker.

    Parameters
    ----------
    config : ServeConfig
    listening : socket
    on_ready : callable
        Called once requests are answered.

    Raises
    ------
    RecsysError
        The workspace cannot be served.
    """
    asked_early, told_to_end = threading.Event(), threading.Event()
    signal.signal(signal.SIGHUP, lambda number, frame: asked_early.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    import torch
    import uvicorn
    from threadpoolctl import threadpool_limits

    from recsys.serving.api import make_app
    from recsys.serving.door import Door
    from recsys.serving.served import Served
    from recsys.serving.watching import JsonLines, Watching

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    if not config.log_requests:
        log.setLevel(logging.WARNING)
    # What is ranked in one thread must not keep the others' short work waiting.
    sys.setswitchinterval(SWITCH_SECONDS)
    served = Served(config.root, config.device)
    _settle()
    if config.threads is not None:
        threadpool_limits(config.threads)
        torch.set_num_threads(config.threads)
    app = Watching(Door(make_app(served), config.door))
    told = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )

    def reload() -> None:
        if served.reload():
            _settle()

    class Server(uvicorn.Server):
        """Loads the workspace anew on SIGHUP."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, reload))
            if asked_early.is_set():  # perhaps what was loaded is the old model
                loop.run_in_executor(None, reload)
            if told_to_end.is_set():  # before uvicorn listened to signals
                self.should_exit = True
            on_ready()
            address = listening.getsockname()
            log.info("serving", extra={"host": address[0], "port": address[1]})

    # uvicorn ends well on these two, and then raises them again.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: told_to_end.set())
    try:
        Server(told).run(sockets=[listening])
    finally:
        served.close()
    return 0


def _settle() -> None:
    """Free what the last model left, and spare the collector the present one.

    It would look through hundreds of thousands of objects every few seconds, and every request
    would wait a quarter of a second for it.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _work(config: ServeConfig, listening: socket.socket, ready: Path) -> None:
    """Be one of several workers: deaf to the terminal, and gone when the supervisor is."""
    os.setpgrp()
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None

    def outlive_nobody() -> None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=outlive_nobody, daemon=True).start()
    try:
        code = serve_alone(config, listening, ready.touch)
    except RecsysError as error:
        sys.stderr.write(f"recsys: {error}\n")
        code = error.exit_code
    os._exit(code)


class _Supervisor:
    """Starts workers, passes signals on, and starts another where one was killed."""

    def __init__(self, config: ServeConfig, listening: socket.socket) -> None:
        self.config, self.listening = config, listening
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[Any] = []
        self._counts = Path(tempfile.mkdtemp(prefix="recsys-metrics-"))
        self._some_was_ready = self._counts / "ready"
        self._ending = False

    def run(self) -> int:
        os.environ[SHARED_METRICS] = str(self._counts)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._pass_on)
        try:
            for _ in range(self.config.workers):
                self._start()
            return self._watch()
        finally:
            shutil.rmtree(self._counts, ignore_errors=True)

    def _start(self) -> None:
        """Start a worker, unless the service is to end."""
        if self._ending:
            return
        worker = self._context.Process(
            target=_work, args=(self.config, self.listening, self._some_was_ready)
        )
        # A SIGHUP waits until the worker has a handler for it: unhandled it would end it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        worker.start()
        self._workers.append(worker)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        if self._ending:  # told while this one was no worker yet
            os.kill(worker.pid, signal.SIGTERM)

    def _watch(self) -> int:
        """Wait for the workers, and replace those that are lost.

        One that cannot begin ends the service where none ever could; else the others go on, and
        it is tried again.
        """
        while True:
            lost = [each for each in self._workers if not each.is_alive()]
            for each in lost:
                self._workers.remove(each)
            if self._ending:
                if not self._workers:
                    return 0
                lost = []
            for each in lost:
                failed = each.exitcode >= 0
                if failed and not self._some_was_ready.exists():
                    self._end(signal.SIGTERM, None)
                    for other in self._workers:
                        other.join()
                    return int(each.exitcode)
                what = "could not begin" if failed else "was killed"
                sys.stderr.write(f"recsys: worker {each.pid} {what}; another takes its place\n")
                if failed:
                    time.sleep(RETRY_SECONDS)
                self._start()
            time.sleep(0.1)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        self._signal(signal.SIGTERM)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._signal(number)

    def _signal(self, number: int) -> None:
        for each in self._workers:
            if each.is_alive():
                os.kill(each.pid, number)
