"""The service as a process of its own: signals, workers, kill -9, and events under load."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from running_service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def start(copy_of_workspace) -> Iterator[Callable[..., Service]]:
    """Give a function that starts the service on one copy of the workspace."""
    made: list[Service] = []
    workspace = copy_of_workspace()

    def call(*words: str, **environment: str) -> Service:
        made.append(Service(workspace, *words, **environment))
        made[-1].workspace = workspace
        return made[-1]

    yield call
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        each._reader.join(30)
        each.process.stderr.close()


@contextlib.contextmanager
def load(service: Service, bodies: list[dict], path: str, n_threads: int = 4) -> Iterator[list]:
    """Ask without pause until the block ends; give the list of statuses."""
    statuses: list[int | str] = []
    done = threading.Event()

    def ask(number: int) -> None:
        while not done.is_set():
            try:
                statuses.append(service.open(path, bodies[number])[0])
            except OSError as error:
                statuses.append(repr(error))

    threads = [threading.Thread(target=ask, args=(each,)) for each in range(n_threads)]
    for each in threads:
        each.start()
    yield statuses
    done.set()
    for each in threads:
        each.join()


def bodies_of(recommender, n=4):
    return [{"user": str(each), "k": 5} for each in recommender.users.ids[:n]]


def test_a_new_model_is_taken_under_load_without_a_dropped_request(start, recommender):
    from recsys.pipelines.cli import run

    service = start()
    old = service.get("/readyz")["model"]
    words = ("-S", "vae.latent_dim=8", "-S", "vae.hidden_dim=16", "-S", "training.epochs=1")
    before = ["--workspace", str(service.workspace)]
    with load(service, bodies_of(recommender), "/recommend") as statuses:
        assert run([*before, "train", "-S", "model.kind=vae", *words]) == 0
        assert run([*before, "index"]) == 0
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(lambda: service.get("/readyz")["model"] != old)
        time.sleep(0.3)
    assert len(statuses) > 50
    assert set(statuses) == {200}
    assert service.stop() == 0


def test_a_broken_model_is_refused_under_load_and_the_old_one_goes_on(start, recommender):
    service = start()
    old = service.get("/readyz")["model"]
    weights = next((service.workspace / "model").glob("*.safetensors"))
    with load(service, bodies_of(recommender), "/recommend") as statuses:
        weights.unlink()  # what is served stays mapped: artefacts are replaced, not written over
        weights.write_bytes(b"broken")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(lambda: service.get("/readyz")["last_reload_error"] is not None)
    assert set(statuses) == {200}
    assert service.get("/readyz")["model"] == old
    assert any("reload refused" in line for line in service.lines)


def test_what_is_under_way_is_answered_before_the_end(start, recommender):
    service = start()
    users = [str(each) for each in recommender.users.ids[:150]]
    answers = []
    body = {"users": users, "k": 50, "why": True}
    asking = threading.Thread(target=lambda: answers.append(service.open("/recommend/batch", body)))
    asking.start()
    time.sleep(0.3)
    assert service.stop() == 0
    asking.join()
    status, content = answers[0]
    assert status == 200
    assert len(json.loads(content)["lists"]) == len(users)


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(start):
    service = start("--no-log-requests")
    acknowledged: list[str] = []
    lock = threading.Lock()

    def write(number: int) -> None:
        place = 0
        while True:
            keys = [f"{number}-{place}-{each}" for each in range(5)]
            place += 1
            events = [{"user": "zoe", "item": "i", "value": 5, "key": key} for key in keys]
            try:
                status, _ = service.open("/events", {"events": events})
            except OSError:
                return
            assert status == 201
            with lock:
                acknowledged.extend(keys)

    threads = [threading.Thread(target=write, args=(each,)) for each in range(4)]
    for each in threads:
        each.start()
    service.wait_for(lambda: len(acknowledged) > 300)
    service.process.kill()
    for each in threads:
        each.join()
    again = start()
    from recsys.data.event_store import EventStore

    store = EventStore(service.workspace / "events.sqlite")
    kept = {event.key for _, event in store.of_users(["zoe"])["zoe"]}
    store.close()
    assert set(acknowledged) <= kept
    assert len(kept) % 5 == 0  # a request is kept whole or not at all
    assert again.open("/recommend", {"user": "zoe"})[0] == 200


def test_several_workers_share_the_port_the_events_and_the_counts(start, recommender):
    service = start("--workers", "2")
    workers = [
        each
        for each in psutil.Process(service.process.pid).children()
        if "spawn_main" in " ".join(each.cmdline())
    ]
    assert len(workers) == 2
    events = [{"user": "zoe", "item": str(each), "value": 5} for each in recommender.items.ids[:3]]
    assert service.open("/events", {"events": events})[0] == 201
    for _ in range(20):  # whichever worker answers
        assert service.get("/users/zoe")["total"] == 3
    counted = service.open("/metrics")[1].decode()
    (line,) = (each for each in counted.splitlines() if "total" in each and "/users/{user" in each)
    assert line.split()[-1] == "20.0"
    workers[0].kill()
    service.wait_for(lambda: any("another takes its place" in line for line in service.lines))
    with load(service, bodies_of(recommender), "/recommend") as statuses:
        time.sleep(0.5)
    assert set(statuses) == {200}
    assert service.stop() == 0
    assert not any(each.is_running() for each in workers)


def test_workers_do_not_outlive_their_supervisor(start):
    service = start("--workers", "2")
    workers = psutil.Process(service.process.pid).children(recursive=True)
    service.process.kill()
    service.process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def both_serve(service):
    return sum('"message": "serving"' in line for line in service.lines) >= 2


def test_several_workers_all_are_told_of_a_new_model(start):
    service = start("--workers", "2")
    service.wait_for(lambda: both_serve(service))
    (service.workspace / "index" / "manifest.json").write_text("{}")
    service.process.send_signal(signal.SIGHUP)
    service.wait_for(lambda: sum("reload refused" in line for line in service.lines) == 2)
    assert service.stop(signal.SIGINT) == 0


def test_a_worker_that_cannot_begin_again_leaves_the_others_alone(start, recommender):
    service = start("--workers", "2")
    service.wait_for(lambda: both_serve(service))
    manifest = service.workspace / "index" / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text("{}")
    workers_of(service)[0].kill()
    service.wait_for(lambda: said(service, "could not begin") == 1)
    assert service.open("/recommend", bodies_of(recommender)[0])[0] == 200
    manifest.write_text(whole)
    service.wait_for(lambda: said(service, '"message": "serving"') == 3)
    # Once the service is to end it is not tried again.
    manifest.write_text("{}")
    workers_of(service)[0].kill()
    service.wait_for(lambda: said(service, "could not begin") == 2)
    assert service.stop() == 0


def workers_of(service) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children()
    return [each for each in children if "spawn_main" in " ".join(each.cmdline())]


def said(service, words: str) -> int:
    return sum(words in line for line in service.lines)


@pytest.mark.parametrize(("words", "seconds"), [((), 0), (("--workers", "4"), 0.02)])
def test_the_end_is_heard_while_the_service_begins(copy_of_workspace, words, seconds):
    """One process as soon as it listens to signals, several while they are being started."""
    begin = [sys.executable, "-m", "recsys.pipelines", "--workspace", str(copy_of_workspace())]
    process = subprocess.Popen(
        [*begin, "serve", "--port", "0", *words], stderr=subprocess.PIPE, text=True
    )
    if words:
        assert "serving" in process.stderr.readline()
    else:
        wait_until_it_catches(process.pid, signal.SIGTERM)
    time.sleep(seconds)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in said


def wait_until_it_catches(pid: int, number: int) -> None:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("what a process catches is read from /proc")
    while True:
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("SigCgt"))
        if int(line.split()[1], 16) >> (number - 1) & 1:
            return
        time.sleep(0.0005)


def test_a_new_model_is_not_missed_by_a_worker_that_is_beginning(start):
    service = start("--workers", "2")
    for _ in range(5):
        service.process.send_signal(signal.SIGHUP)  # the second worker may still be loading
        time.sleep(0.2)
    service.wait_for(lambda: both_serve(service))
    service.wait_for(lambda: sum("now serving model" in line for line in service.lines) >= 2)
    assert service.stop() == 0


def test_a_workspace_that_cannot_be_served_ends_at_once(copy_of_workspace):
    workspace = copy_of_workspace()
    (workspace / "index" / "manifest.json").unlink()
    for words in ((), ("--workers", "2")):
        begin = [sys.executable, "-m", "recsys.pipelines", "--workspace", str(workspace), "serve"]
        done = subprocess.run(
            [*begin, "--port", "0", *words], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "is not an artefact" in done.stderr or "there is no index" in done.stderr


def test_a_port_that_is_taken_is_told(copy_of_workspace):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = ["--workspace", str(copy_of_workspace()), "serve", "--port", port]
        done = subprocess.run(
            [sys.executable, "-m", "recsys.pipelines", *words], capture_output=True, text=True
        )
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in done.stderr


def test_the_token_of_the_environment_is_asked_for(start):
    token = "0123456789abcdef0123"
    service = start(RECSYS_TOKEN=token)
    assert service.open("/items")[0] == 401
    assert service.open("/items", Authorization=f"Bearer {token}")[0] == 200
    assert not any(token in line for line in service.lines)


def test_requests_are_logged_as_json_with_their_ids(start):
    service = start()
    service.open("/items?query=x", **{"X-Request-ID": "mine-1"})
    service.wait_for(lambda: any("mine-1" in line for line in service.lines))
    (line,) = (json.loads(each) for each in service.lines if "mine-1" in each)
    assert (line["path"], line["status"], line["method"]) == ("/items", 200, "GET")
    assert line["ms"] > 0


def test_a_body_that_stops_half_way_holds_nobody_up(start):
    service = start()
    with socket.create_connection(("127.0.0.1", service.port)) as half:
        head = b"POST /recommend HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        half.sendall(head + b"Content-Length: 100\r\n\r\n{")
        assert service.open("/healthz")[0] == 200
        assert service.open("/recommend", {"items": []})[0] == 200
