"""What the server gives, asked without a browser: files of jobs, and nothing else."""

from __future__ import annotations

import http.client
import json
from urllib.parse import quote, urlsplit

import pytest

from retalking.web.jobs import Job, JobOptions, JobStore
from tests.browser.conftest import SAMPLE, Served

pytestmark = pytest.mark.browser
OPTIONS = JobOptions("lite", "neutral", "original", "normal")


@pytest.fixture(scope="module")
def job(served: Served) -> Job:
    """A job beside those of the page; nobody works on it."""
    return JobStore(served.folder).create(SAMPLE / "portrait.jpg", SAMPLE / "speech.wav", OPTIONS)


def ask(served: Served, path: str, method: str = "GET", body: object = None) -> tuple[int, bytes]:
    """Ask for a path as it stands: nothing tidies it up on its way."""
    where = urlsplit(served.url)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_jobs_own_files_are_fetched_and_run_nothing(served: Served, job: Job) -> None:
    where = urlsplit(served.url)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    connection.request("GET", f"/jobs/{job.id}/face.jpg", headers={"Range": "bytes=0-9"})
    answer = connection.getresponse()
    assert answer.status == 206
    assert answer.read() == (SAMPLE / "portrait.jpg").read_bytes()[:10]
    assert "sandbox" in (answer.getheader("Content-Security-Policy") or "")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    connection.close()


def test_traversal_absolute_paths_and_other_names_are_refused(served: Served, job: Job) -> None:
    JobStore(served.folder).secret()
    base = f"/jobs/{job.id}"
    paths = [
        f"{base}/job.json",
        f"{base}/../secret",
        f"{base}/..%2fsecret",
        f"{base}/%2e%2e/secret",
        f"{base}/..%5csecret",
        f"{base}/%2fetc%2fpasswd",
        f"{base}//etc/passwd",
        "/jobs/../secret",
        "/jobs/secret",
        "/jobs/%2e%2e/jobs",
        "/jobs/uploads/x",
        f"/jobs/{'0' * 32}/face.jpg",
        f"/jobs/{job.id.upper()}/face.jpg" if not job.id.isdigit() else "/jobs/x/face.jpg",
    ]
    secret = JobStore(served.folder).secret().encode()
    for path in paths:
        status, content = ask(served, path)
        assert status in (400, 403, 404, 405, 307), path
        assert secret not in content, path
        assert b"root:" not in content, path


def test_links_are_refused(served: Served, job: Job) -> None:
    folder = served.folder / job.id
    (folder / "result.mp4").symlink_to("/etc/passwd")
    (folder / "report.html").symlink_to(served.folder / "secret")
    try:
        for name in ("result.mp4", "report.html"):
            assert ask(served, f"/jobs/{job.id}/{name}")[0] == 404
    finally:
        (folder / "result.mp4").unlink()
        (folder / "report.html").unlink()


def test_gradios_own_routes_give_no_file_of_this_machine(served: Served, job: Job) -> None:
    record = served.folder / job.id / "job.json"
    paths = ["/etc/passwd", str(record), str(served.folder / "secret"), "../../etc/passwd"]
    for path in [*paths, f"{served.folder}/uploads/../secret", "README.md", "configs"]:
        for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/"):
            status, content = ask(served, route + quote(path))
            assert status != 200 or content.lstrip().lower().startswith(b"<!doctype html"), path
            assert b"root:" not in content
            assert b'"options"' not in content, path


def test_a_request_by_hand_names_no_file_of_this_machine(served: Served) -> None:
    """A browser that is none says that a file of the machine was uploaded."""
    before = {path.name for path in served.folder.iterdir()}
    status, config = ask(served, "/config")
    assert status == 200
    named = json.loads(config)
    sends = [
        number
        for number, dependency in enumerate(named["dependencies"])
        if len(dependency["inputs"]) > 6
    ]
    assert sends
    stolen = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    data = [stolen, stolen, "lite", "neutral", "original", "normal", False, None, None, []]
    body = {"fn_index": sends[0], "data": data, "session_hash": "by-hand"}
    status, content = ask(served, "/gradio_api/queue/join", "POST", body)
    assert status == 200, content
    status, content = ask(served, "/gradio_api/queue/data?session_hash=by-hand")
    assert status == 200
    assert b'"success":false' in content.replace(b" ", b""), content
    assert b"root:" not in content
    assert {path.name for path in served.folder.iterdir()} == before
