"""The page as a user meets it, in Chromium, on the lite profile."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from retalking.web.jobs import JobStore
from tests.browser.conftest import SAMPLE, Served

pytestmark = pytest.mark.browser
FINISHED_MS = 240_000  # a short job takes 10 s on two idle cores


def choose(page: Any, face: Path, speech: Path) -> None:
    page.set_input_files("#face input[type=file]", str(face))
    page.wait_for_selector("#faces img")
    page.set_input_files("#speech input[type=file]", str(speech))
    page.wait_for_selector("#speech audio", state="attached")


def cancel(page: Any) -> None:
    """Click as a person does: again, if the page was just drawing the button."""
    cancelled = page.locator("#view >> text=Cancelled.")
    for _ in range(30):
        if page.locator("#cancel").is_visible():
            page.click("#cancel")
        with contextlib.suppress(Exception):
            cancelled.wait_for(timeout=2000)
            return
    cancelled.wait_for()


def picture(page: Any, name: str) -> None:
    """Keep a picture of the page where a person asks for some."""
    folder = os.environ.get("RETALKING_SCREENSHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_from_upload_to_a_playing_result(
    page: Any, served: Served, speeches: dict[str, Path], chromium: Any
) -> None:
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    choose(page, SAMPLE / "talk.mp4", speeches["short"])
    page.click("#faces img")
    picture(page, "chosen")
    page.click("#dub")
    page.wait_for_selector("#view .job-bar")
    picture(page, "running")
    page.wait_for_selector("#view video.job-result", timeout=FINISHED_MS)
    played = page.evaluate(
        """async () => {
            const result = document.querySelector('.job-result');
            await result.play();
            await new Promise(done => setTimeout(done, 800));
            const source = document.querySelector('.job-pair video');
            return [result.currentTime, result.duration, result.videoWidth,
                    result.webkitAudioDecodedByteCount, source.currentTime];
        }"""
    )
    assert played[0] > 0.1
    assert played[1] == pytest.approx(1.5, abs=0.1)
    assert played[2] > 0
    assert played[3] > 0, "no sound"
    assert played[4] > 0, "the source does not play along"
    sheet = "document.querySelector('.job-sheet').naturalWidth"
    page.wait_for_function(f"{sheet} > 0")
    assert "review:" in page.inner_text("#view")
    picture(page, "done")
    own = ("data:", "blob:", served.url.rstrip("/"))
    assert [url for url in elsewhere if not url.startswith(own)] == []

    with page.context.expect_page() as opened:
        page.click("#view a[target=_blank]")
    report = opened.value
    report.wait_for_selector("h1")
    assert "How far the lips are open" in report.inner_text("body")
    report.close()

    page.reload()
    page.wait_for_selector("#view video.job-result")
    assert "talk.mp4 + short.wav" in page.inner_text("#jobs")
    with chromium.new_context() as other:  # another user has no part in it
        stranger = other.new_page()
        stranger.goto(served.url)
        stranger.wait_for_selector("#dub")
        stranger.wait_for_timeout(2500)
        assert "talk.mp4" not in stranger.inner_text("body")


def test_a_wrong_file_is_one_clear_sentence(page: Any, served: Served, tmp_path: Path) -> None:
    before = {path.name for path in served.folder.iterdir()}
    page.click("#dub")
    page.wait_for_selector("text=choose a video or a photograph")
    wrong = tmp_path / "notes.mp4"
    wrong.write_text("this is no video")
    page.set_input_files("#face input[type=file]", str(wrong))
    page.wait_for_selector("#note >> text=not a media file")
    page.set_input_files("#speech input[type=file]", str(SAMPLE / "speech.wav"))
    page.wait_for_timeout(1500)
    page.click("#dub")
    page.wait_for_selector("[data-testid=toast-body] >> text=notes.mp4: not a media file")
    assert page.inner_text("#note").startswith("notes.mp4: ")
    picture(page, "wrong")
    assert str(served.folder) not in page.inner_text("body")
    assert {path.name for path in served.folder.iterdir()} == before


def test_the_second_job_waits_and_the_first_is_cancelled(
    page: Any, speeches: dict[str, Path]
) -> None:
    choose(page, SAMPLE / "talk.mp4", speeches["long"])
    page.click("#dub")
    page.wait_for_selector("#view .job-bar")
    page.click("#dub")
    page.wait_for_selector("#view >> text=Waiting: 1 before it.")
    assert page.locator("#jobs input").count() == 2
    picture(page, "waiting")
    page.locator("#jobs input").nth(1).check()  # the older one
    page.wait_for_selector("#view .job-bar")
    cancel(page)
    page.locator("#jobs input").nth(0).check()
    page.wait_for_selector("#view .job-bar")
    page.reload()  # the job goes on without its page
    page.wait_for_selector("#view video.job-result", timeout=FINISHED_MS)


def test_the_person_who_is_clicked_is_dubbed(
    page: Any, served: Served, speeches: dict[str, Path], tmp_path: Path
) -> None:
    portrait = cv2.imread(str(SAMPLE / "portrait.jpg"))
    large, small = (
        cv2.resize(portrait, (width, round(width * portrait.shape[0] / portrait.shape[1])))
        for width in (700, 400)
    )
    two = np.full((large.shape[0], 1100, 3), 200, np.uint8)
    two[:, :700], two[: small.shape[0], 700:] = large, small
    cv2.imwrite(str(tmp_path / "two.png"), two)
    choose(page, tmp_path / "two.png", speeches["long"])  # it must not end before the cancel
    page.wait_for_selector("#note >> text=2 faces")
    shown = page.locator("#faces img").bounding_box()
    scale = min(shown["width"] / 1100, shown["height"] / len(two))  # it is fitted into its place
    left = shown["x"] + (shown["width"] - 1100 * scale) / 2
    top = shown["y"] + (shown["height"] - len(two) * scale) / 2
    page.mouse.click(left + 900 * scale, top + 0.5 * len(small) * scale)
    page.wait_for_timeout(1500)
    picture(page, "clicked")
    before = {path.name for path in served.folder.iterdir()}
    page.click("#dub")
    page.wait_for_selector("#cancel")
    cancel(page)
    (new,) = {path.name for path in served.folder.iterdir()} - before
    box = JobStore(served.folder).load(new).options.face_box
    assert box is not None
    assert 700 < (box[0] + box[2]) / 2 < 1100


def test_the_microphone_is_a_speech(page: Any, served: Served) -> None:
    page.set_input_files("#face input[type=file]", str(SAMPLE / "portrait.jpg"))
    page.wait_for_selector("#faces img")
    page.click("#speech button[aria-label='Record audio'], #speech [data-testid=microphone-button]")
    page.click("#speech button.record-button, #speech button.record")
    page.wait_for_timeout(1500)
    page.click("#speech button.stop-button, #speech button.stop")
    page.wait_for_selector("#speech .waveform-container, #speech #waveform")
    page.wait_for_timeout(1000)
    page.click("#dub")
    page.wait_for_selector("#view video.job-result", timeout=FINISHED_MS)
