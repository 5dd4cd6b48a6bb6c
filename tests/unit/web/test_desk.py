"""What is accepted, what is refused and how that is said, and what is shown."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from retalking.errors import ConfigError, MediaError, RetalkingError
from retalking.locations import REPOSITORY
from retalking.progress import Progress
from retalking.web.faces import FacesFound, find_faces
from retalking.web.jobs import RESULT, JobOptions, JobStore
from retalking.web.page import Desk, show_jobs
from retalking.web.queue import JobQueue, Standing
from retalking.web.views import label_job, show_job
from retalking.web.work import Limits, configure

SAMPLE = REPOSITORY / "assets" / "sample"
OPTIONS = JobOptions("lite", "neutral", "original", "normal")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    store = JobStore(tmp_path / "jobs")
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    for name in ("talk.mp4", "speech.wav"):
        (uploads / name).write_bytes((SAMPLE / name).read_bytes())
    queue = JobQueue(store, lambda job, listener, cancel: "")  # is not started
    return Desk(store, queue, Limits(10, 1, 2), uploads)


def send(desk: Desk, face: str = "talk.mp4", options: JobOptions = OPTIONS) -> str:
    return desk.accept(str(desk.uploads / face), str(desk.uploads / "speech.wav"), options)


def test_a_good_job_waits_and_the_queue_is_limited(desk: Desk) -> None:
    first, second = send(desk), send(desk)
    assert [standing.job.id for standing in desk.standings([first, second])] == [second, first]
    assert desk.standings([second])[0].place == 1
    with pytest.raises(MediaError, match="2 jobs wait already"):
        send(desk)
    assert desk.standings(["0" * 32, None, 5, "../.."]) == []
    assert desk.standings("no list") == []


def test_only_what_was_uploaded_is_taken(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes((SAMPLE / "talk.mp4").read_bytes())
    (desk.uploads / "link.mp4").symlink_to(secret)
    for face in ("../secret.mp4", "link.mp4", "none.mp4", str(secret), ""):
        with pytest.raises(MediaError, match="uploaded"):
            send(desk, face)
    assert desk.store.all() == []


def test_files_that_are_too_large_too_long_or_no_media_are_refused(desk: Desk) -> None:
    (desk.uploads / "notes.mp4").write_text("no video")
    for limits, face, words in (
        (Limits(0.05, 1, 2), "talk.mp4", "at most 0.05 are taken"),
        (Limits(10, 0.05, 2), "talk.mp4", "minutes, at most 0.05"),
        (Limits(10, 1, 2), "notes.mp4", "not a media file"),
        (Limits(10, 1, 2), "speech.wav", "video"),
    ):
        with pytest.raises(MediaError, match=words):
            send(dataclasses.replace(desk, limits=limits), face)
    with pytest.raises(MediaError, match="choose a speech"):
        desk.accept(str(desk.uploads / "talk.mp4"), None, OPTIONS)
    assert desk.store.all() == []


@pytest.mark.parametrize(
    "change",
    [
        {"expression": "/etc/passwd"},
        {"quality": "perfect"},
        {"profile": "../x"},
        {"emotion": "angry"},  # its weights are not here
    ],
)
def test_choices_that_do_not_exist_are_refused(change: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        configure(dataclasses.replace(OPTIONS, **change), tmp_path)


def test_the_clicked_person_and_the_quality_reach_the_configuration(tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, face_box=(1, 2, 30, 40), quality="best")
    config = configure(options, tmp_path)
    assert config.face_box == (1, 2, 30, 40)
    assert config.crf == 12
    assert config.tmp_dir == tmp_path


def test_two_faces_are_found_and_clicked(tmp_path: Path) -> None:
    portrait = cv2.imread(str(SAMPLE / "portrait.jpg"))
    large = cv2.resize(portrait, (700, round(700 * portrait.shape[0] / portrait.shape[1])))
    small = cv2.resize(portrait, (400, round(400 * portrait.shape[0] / portrait.shape[1])))
    scene = np.full((large.shape[0], 1100, 3), 200, np.uint8)
    scene[:, :700] = large
    scene[: small.shape[0], 700:] = small
    cv2.imwrite(str(tmp_path / "two.png"), scene)
    found = find_faces(tmp_path / "two.png")
    assert len(found.boxes) == 2
    assert max(found.rgb.shape) <= 900
    for number, box in enumerate(found.boxes):
        middle = ((box[0] + box[2]) / 2 / found.scale, (box[1] + box[3]) / 2 / found.scale)
        assert found.at(*middle) == number
    assert found.boxes[0][0] < 700 <= found.boxes[1][2]
    assert found.at(1, found.rgb.shape[0] - 1) is None
    assert (found.draw(1) != found.draw(0)).any()


def test_a_click_on_nested_boxes_means_the_smaller() -> None:
    found = FacesFound(np.zeros((50, 50, 3), np.uint8), 2.0, ((0, 0, 100, 100), (20, 20, 60, 60)))
    assert found.at(20, 20) == 1
    assert found.at(45, 45) == 0


def test_every_word_of_a_job_is_escaped(desk: Desk) -> None:
    evil = desk.uploads / "<img src=x onerror=alert(1)>.mp4"
    evil.write_bytes((SAMPLE / "talk.mp4").read_bytes())
    (standing,) = desk.standings([send(desk, evil.name)])
    for state, message in (("failed", "<script>"), ("done", "<script>"), ("running", "")):
        job = dataclasses.replace(standing.job, state=state, message=message)
        html = show_job(Standing(job, 0, Progress("<b>", 1, None, 0.5, 70.0)), desk.store)
        assert "<script" not in html
        assert "<img src=x" not in html
        assert "<b>" not in html
    assert "1 min 10 s left" in html
    assert label_job(standing).endswith("waits")


def test_what_was_written_before_a_cancel_can_be_had(desk: Desk) -> None:
    (standing,) = desk.standings([send(desk)])
    job = dataclasses.replace(standing.job, state="cancelled")
    assert "download" not in show_job(Standing(job, 0, None), desk.store)
    (desk.store.folder / job.id / RESULT).write_bytes(b"film")
    shown = show_job(Standing(job, 0, None), desk.store)
    assert "Cancelled while its result was reviewed." in shown
    assert 'download="dubbed.mp4"' in shown


def test_faults_do_not_tell_this_machines_folders(desk: Desk) -> None:
    from retalking.web.page import _plain

    (desk.uploads / "0f3a").mkdir()  # as gradio puts them
    (desk.uploads / "0f3a" / "notes.mp4").write_text("no video")
    with pytest.raises(RetalkingError) as fault:
        send(desk, "0f3a/notes.mp4")
    assert _plain(fault.value, desk).startswith("notes.mp4: not a media file")


def ask(desk: Desk, ids: list[str], chosen: str | None, before: Any = None) -> tuple[Any, ...]:
    gradio = SimpleNamespace(skip=lambda: None, update=lambda **values: values)
    return show_jobs(gradio, desk, ids, chosen, before)


def test_a_late_answer_neither_hides_a_new_job_nor_undoes_a_choice(desk: Desk) -> None:
    first = send(desk)
    *_, cancel, shown = ask(desk, [first], None)
    assert cancel["visible"]
    second = send(desk)
    listed, _, _, shown = ask(desk, [first, second], second, shown)
    assert listed["value"] == second  # the job that was just sent is looked at
    # A poll that left the browser before the second was sent is answered after it.
    assert ask(desk, [first], first, shown) == (None, None, None, None)
    # A poll that changes what is listed leaves alone what is chosen in the browser meanwhile.
    desk.queue.cancel(first)
    listed, _, cancel, _ = ask(desk, [first, second], second, shown)
    assert "value" not in listed
    assert cancel is None  # nor is the button drawn again, which would lose a click
    assert any("cancelled" in label for label, _ in listed["choices"])
