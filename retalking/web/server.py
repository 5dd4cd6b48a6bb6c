"""The server of the page: gradio, and the files of jobs, which nothing else serves."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retalking.errors import ConfigError
from retalking.progress import Listener, Wish
from retalking.web.jobs import Job, JobStore, NoSuchFileError
from retalking.web.page import Desk, build_page
from retalking.web.queue import JobQueue
from retalking.web.views import STYLE
from retalking.web.work import Limits, Worker

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
    ),
    "Cache-Control": "private, no-cache",
    "Referrer-Policy": "no-referrer",
}
"""Of files of jobs: uploaded by somebody, and never to run anything."""
_UPLOADS = "uploads"
_DAY_S = 86_400.0


@dataclass(frozen=True)
class WebOptions:
    """How the page is served.

    Attributes:
        folder: of the jobs, private.
        host: address to listen at.
        port: 0 for any that is free.
        limits: what is accepted.
        keep_days: how long jobs that ended are kept.
        cache: folder for kept work; else the user's.
    """

    folder: Path
    host: str
    port: int
    limits: Limits
    keep_days: float
    cache: Path | None = None


def serve(options: WebOptions) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ConfigError: gradio is not here, or the address cannot be used.
    """
    store = JobStore(options.folder)
    worker = Worker(store, options.cache)

    def work(job: Job, listener: Listener, cancel: Wish) -> str:
        store.forget_older_than(options.keep_days * _DAY_S)  # a server may run for months
        return worker(job, listener, cancel)

    store.forget_older_than(options.keep_days * _DAY_S)
    queue = JobQueue(store, work)
    app = make_app(store, queue, options.limits)
    import uvicorn  # noqa: PLC0415 - comes with gradio

    listening = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
    except OSError as error:
        raise ConfigError(
            f"--host {options.host} --port {options.port}: cannot be used: {error.strerror}"
        ) from None
    queue.start()
    host, port = listening.getsockname()[:2]
    print(f"the page is at http://{host}:{port}/ (Ctrl-C ends it)", flush=True)
    try:
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
    finally:
        queue.stop()


def make_app(store: JobStore, queue: JobQueue, limits: Limits) -> Any:
    """Return the application.

    Raises:
        ConfigError: gradio is not here.
    """
    uploads = store.folder / _UPLOADS
    uploads.mkdir(mode=0o700, exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio as gr  # noqa: PLC0415
        from fastapi import FastAPI, HTTPException  # noqa: PLC0415
        from fastapi.responses import FileResponse  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"the page needs gradio ({error}); install it with: bash scripts/setup_web.sh"
        ) from None
    app = FastAPI(openapi_url=None)

    def fetch(job_id: str, name: str) -> Any:
        try:
            return FileResponse(store.file(job_id, name), headers=_HEADERS)
        except NoSuchFileError:
            raise HTTPException(404, "no such file") from None

    app.get("/jobs/{job_id}/{name}", response_model=None)(fetch)
    page = build_page(Desk(store, queue, limits, uploads))
    font = ["system-ui", "sans-serif"]  # none that is loaded from elsewhere
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        max_file_size=round(limits.max_mb * 1e6),
        theme=gr.themes.Default(font=font, font_mono=["monospace"]),
        css=STYLE,
        footer_links=[],
        ssr_mode=False,
        show_error=True,
        enable_monitoring=False,
    )
