"""A served page and a browser; tests skip with a reason where these are not here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retalking.locations import REPOSITORY
from retalking.media.sound import audio
from retalking.media.sound.wav import write_clip
from retalking.types import AudioClip

SAMPLE = REPOSITORY / "assets" / "sample"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/")


@dataclass(frozen=True)
class Served:
    """A page: where it is, and the folder of its jobs."""

    url: str
    folder: Path


@pytest.fixture(scope="session")
def speeches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """1.5 s of the sample's speech; and all of it twice, time enough to cancel a job."""
    folder = tmp_path_factory.mktemp("speeches")
    clip = audio.load(SAMPLE / "speech.wav", 48_000)
    short = AudioClip(clip.samples[: 3 * 24_000], clip.sample_rate_hz)
    write_clip(folder / "short.wav", short)
    write_clip(folder / "long.wav", AudioClip(np.tile(clip.samples, 2), clip.sample_rate_hz))
    return {"short": folder / "short.wav", "long": folder / "long.wav"}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if find_spec("gradio") is None:
        pytest.skip("gradio is not here; bash scripts/setup_web.sh --browser")
    folder = tmp_path_factory.mktemp("web")
    command = [sys.executable, str(REPOSITORY / "scripts" / "web.py"), "--port", "0"]
    options = ["--folder", str(folder / "jobs"), "--tmp-dir", str(folder / "cache")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*command, *options, "--max-minutes", "0.5"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        ) as server,
    ):
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            address = _ADDRESS.search(line)
            assert address is not None, f"{line}{(folder / 'log').read_text()}"
            yield Served(address.group(), folder / "jobs")
        finally:
            server.terminate()
            server.wait(60)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright; bash scripts/setup_web.sh --browser"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium; bash scripts/setup_web.sh --browser")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            # Tests may run as root, in a container without shared memory; the microphone is a tone.
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, served: Served) -> Iterator[Any]:
    """A new user's page."""
    with chromium.new_context(
        viewport={"width": 1280, "height": 1150}, permissions=["microphone"]
    ) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(served.url)
        page.wait_for_selector("#dub")
        yield page
