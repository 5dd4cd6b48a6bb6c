"""The page: what is chosen on the left, jobs and their results on the right.

gradio is imported when the page is built: nothing else of the project needs it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from retalking.errors import MediaError, RetalkingError
from retalking.inference.profiles import PROFILES
from retalking.web.faces import FacesFound, find_faces
from retalking.web.jobs import ENDED, JobOptions, JobStore, NoSuchFileError
from retalking.web.queue import JobQueue, Standing
from retalking.web.views import NOTHING, label_job, show_job
from retalking.web.work import EMOTIONS, EXPRESSIONS, QUALITIES, Limits, configure

_POLL_S = 1.0
_MOST_LISTED = 30
_KEPT_KEY = "retalking-jobs"
_FACES = ["video", "image"]


@dataclass(frozen=True)
class Desk:
    """What the page works with.

    Attributes:
        store: of the jobs.
        queue: works them off.
        limits: what is accepted.
        uploads: folder where the browser's files arrive.
    """

    store: JobStore
    queue: JobQueue
    limits: Limits
    uploads: Path

    def accept(self, face: str | None, speech: str | None, options: JobOptions) -> str:
        """Check what was sent, make a job of it, and return its id.

        Raises:
            RetalkingError: it is refused; the message says why.
        """
        if not face or not speech:
            missing = "a video or a photograph" if not face else "a speech"
            raise MediaError(f"nothing to dub yet: choose {missing}")
        paths = self.uploaded(face), self.uploaded(speech)
        if self.queue.num_waiting >= self.limits.max_waiting:
            raise MediaError(
                f"{self.queue.num_waiting} jobs wait already, which is all that is taken; try later"
            )
        self.limits.check(*paths)
        configure(options)
        job = self.store.create(*paths, options)
        self.queue.submit(job)
        return job.id

    def uploaded(self, path: str) -> Path:
        """Return a file that the browser sent.

        Raises:
            MediaError: it is none, but some other file of this machine.
        """
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(self.uploads)) or not real.is_file():
            raise MediaError("not a file that was uploaded; choose it again")
        return real

    def standings(self, ids: object) -> list[Standing]:
        """Return the jobs of a browser's list that still exist, newest first."""
        found = []
        for job_id in ids if isinstance(ids, list) else []:
            try:
                found.append(self.queue.look(str(job_id)))
            except NoSuchFileError:
                continue
        return found[::-1][:_MOST_LISTED]


def build_page(desk: Desk) -> Any:
    """Return the ``gradio.Blocks`` of the page."""
    import gradio as gr  # noqa: PLC0415

    with gr.Blocks(title="Retalking", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        kept = gr.BrowserState([], storage_key=_KEPT_KEY, secret=desk.store.secret())
        found, chosen = gr.State(None), gr.State(None)
        shown = gr.State(None)
        gr.Markdown(
            "# Retalking\nGive a talking head another speech. Use it only with the consent of the "
            "people shown and heard, and label the result."
        )
        with gr.Row():
            with gr.Column(scale=2):
                face = gr.File(label="Video or photograph", file_types=_FACES, elem_id="face")
                note = gr.Markdown(elem_id="note")
                picture = gr.Image(
                    label="Click the person",
                    interactive=False,
                    height=340,
                    buttons=[],
                    elem_id="faces",
                    visible=False,
                )
                speech = gr.Audio(
                    label="Speech: a file, or the microphone",
                    sources=["upload", "microphone"],
                    type="filepath",
                    elem_id="speech",
                    editable=False,
                    buttons=[],
                )
                choices = _add_choices(gr)
                submit = gr.Button("Dub", variant="primary", elem_id="dub")
            with gr.Column(scale=3):
                jobs = gr.Radio([], label="Your jobs", elem_id="jobs", visible=False)
                cancel = gr.Button("Cancel this job", elem_id="cancel", visible=False)
                view = gr.HTML(NOTHING, elem_id="view")
        timer = gr.Timer(_POLL_S)
        _connect_faces(gr, desk, face, picture, note, found, chosen)
        _connect_jobs(
            gr,
            desk,
            page,
            timer,
            submit,
            cancel,
            jobs,
            view,
            kept,
            shown,
            [face, speech, *choices, found, chosen],
        )
    return page


def _add_choices(gr: Any) -> list[Any]:
    """Profile, expression, emotion, quality, preview: fields of ``JobOptions`` in their order."""
    with gr.Row():
        profile = gr.Dropdown(list(PROFILES), value="auto", label="Profile")
        quality = gr.Dropdown(list(QUALITIES), value="normal", label="Quality")
    with gr.Row():
        expression = gr.Dropdown(list(EXPRESSIONS), value="neutral", label="Expression")
        emotion = gr.Dropdown(list(EMOTIONS), value="original", label="Emotion")
    is_preview = gr.Checkbox(label="Preview: three short passages", elem_id="preview")
    return [profile, expression, emotion, quality, is_preview]


def _connect_faces(
    gr: Any, desk: Desk, face: Any, picture: Any, note: Any, found: Any, chosen: Any
) -> None:
    def look(path: str | None) -> tuple[Any, str, FacesFound | None, int | None]:
        hidden = gr.update(value=None, visible=False)
        if not path:
            return hidden, "", None, None
        try:
            seen = find_faces(desk.uploaded(path))
        except RetalkingError as error:
            return hidden, f"**{escape(_plain(error, desk))}**", None, None
        count = len(seen.boxes)
        text = {0: "No face is seen in the first seconds.", 1: ""}.get(
            count, f"{count} faces: click the one that speaks; the largest is taken else."
        )
        shown = gr.update(value=seen.draw(0 if count else None), visible=True)
        return shown, text, seen, None

    def choose(seen: FacesFound | None, event: Any) -> tuple[Any, int | None]:
        number = None if seen is None else seen.at(*event.index)
        if seen is None or number is None:
            return gr.skip(), gr.skip()
        return seen.draw(number), number

    choose.__annotations__["event"] = gr.SelectData  # by which gradio knows what to hand over
    private = {"api_visibility": "private", "show_progress": "minimal"}
    face.change(look, [face], [picture, note, found, chosen], **private)
    picture.select(choose, [found], [picture, chosen], **private)


def _connect_jobs(
    gr: Any,
    desk: Desk,
    page: Any,
    timer: Any,
    submit: Any,
    cancel: Any,
    jobs: Any,
    view: Any,
    kept: Any,
    shown: Any,
    inputs: list[Any],
) -> None:
    def send(
        face: str | None,
        speech: str | None,
        profile: str,
        expression: str,
        emotion: str,
        quality: str,
        is_preview: bool,
        seen: FacesFound | None,
        number: int | None,
        ids: Any,
    ) -> tuple[Any, ...]:
        box = None if seen is None or number is None else seen.boxes[number]
        options = JobOptions(profile, expression, emotion, quality, is_preview, box)
        try:
            job_id = desk.accept(face, speech, options)
        except (RetalkingError, OSError) as error:
            raise gr.Error(
                escape(_plain(error, desk)), duration=None, print_exception=False
            ) from None
        ids = [*(ids if isinstance(ids, list) else []), job_id][-200:]
        return (ids, *show(ids, job_id, None))

    def show(ids: Any, job_id: str | None, before: Any) -> tuple[Any, ...]:
        return show_jobs(gr, desk, ids, job_id, before)

    def stop(job_id: str | None) -> None:
        if job_id:
            desk.queue.cancel(job_id)

    outputs = [jobs, view, cancel, shown]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    # One after the other, so that what is shown is what the last of them answered.
    turns = {**quiet, "concurrency_id": "jobs", "concurrency_limit": 1}
    submit.click(send, [*inputs, kept], [kept, *outputs], **turns)
    cancel.click(stop, [jobs], None, **quiet)
    jobs.input(show, [kept, jobs, shown], outputs, **turns)
    timer.tick(show, [kept, jobs, shown], outputs, **turns)
    page.load(show, [kept, jobs, shown], outputs, **turns)


def show_jobs(gr: Any, desk: Desk, ids: Any, job_id: str | None, before: Any) -> tuple[Any, ...]:
    """What changes of the list, the view, the button to cancel, and what is shown then.

    A question may have left the browser before the user sent another job, or chose one: the answer
    then must not take the new one from the list, nor undo the choice.
    """
    skipped = gr.skip(), gr.skip(), gr.skip(), gr.skip()
    if before is not None and not {each for _, each in before[0]} <= set(ids or []):
        return skipped
    standings = desk.standings(ids)
    by_id = {standing.job.id: standing for standing in standings}
    chosen = by_id.get(job_id or "")
    standing = chosen or (standings[0] if standings else None)
    listed = [(label_job(each), each.job.id) for each in standings]
    html = NOTHING if standing is None else show_job(standing, desk.store)
    ends = standing is None or standing.job.state in ENDED
    now = [listed, None if standing is None else standing.job.id, html, ends]
    if now == before:  # what plays goes on playing
        return skipped
    is_new = before is None or now[1] not in {each for _, each in before[0]}
    select = {"value": now[1]} if chosen is None or is_new else {}
    return (
        gr.update(choices=listed, visible=bool(listed), **select),
        html if before is None or before[2] != html else gr.skip(),
        # A button that is drawn again meanwhile would lose a click.
        gr.update(visible=not ends) if before is None or before[3] != ends else gr.skip(),
        now,
    )


def _plain(error: Exception, desk: Desk) -> str:
    """What is said to a user: files by their own names, without the folders they arrived in."""
    folder = re.escape(f"{desk.uploads}{os.sep}")
    inside = rf"(?:[0-9a-f]+{re.escape(os.sep)})?"
    return re.sub(f"{folder}{inside}", "", str(error))
