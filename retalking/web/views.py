"""What the page shows of a job, as HTML in which everything is escaped."""

from __future__ import annotations

import datetime
from html import escape
from urllib.parse import quote

from retalking.media.images import is_still_image
from retalking.web.jobs import REPORT, RESULT, SHEET, Job, JobStore, NoSuchFileError
from retalking.web.queue import Standing

NOTHING = '<p class="job-empty">Choose a video and a speech, and press <b>Dub</b>.</p>'
STYLE = """
.job-state{font-size:1.05em;margin:.3em 0}
.job-bar{background:#8883;border-radius:4px;height:14px;overflow:hidden}
.job-bar>div{background:#2c6fbb;height:100%}
.job-pair{display:flex;gap:12px;flex-wrap:wrap}.job-pair>figure{flex:1 1 260px;margin:0}
.job-pair video,.job-pair img,.job-sheet{width:100%;border-radius:4px;background:#000}
.job-says{white-space:pre-line;border-left:5px solid #2e8b57;padding:.4em .8em;margin:.6em 0}
.job-says.look{border-color:#d98200}.job-says.bad{border-color:#c0392b}
"""
_BROWSERS_PLAY = (".mp4", ".m4v", ".webm", ".mov")
_WORDS = {
    "waiting": "waits",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}


def label_job(standing: Standing) -> str:
    """One line for a list of jobs."""
    job = standing.job
    moment = datetime.datetime.fromtimestamp(job.created_s).strftime("%d %b %H:%M:%S")
    kind = " (preview)" if job.options.is_preview else ""
    return f"{job.title}{kind} · {moment} · {_WORDS[job.state]}"


def show_job(standing: Standing, store: JobStore) -> str:
    """The whole view of a job."""
    job = standing.job
    if job.state == "waiting":
        before = f"{standing.place} before it" if standing.place else "next"
        return _state(f"Waiting: {before}.")
    if job.state == "running":
        return _show_progress(standing)
    if job.state == "failed":
        return _state("Failed.") + f'<p class="job-says bad">{escape(job.message)}</p>'
    if job.state == "cancelled":
        if not (store.folder / job.id / RESULT).is_file():
            return _state("Cancelled.")
        return _state("Cancelled while its result was reviewed.") + f"<p>{_download(job)}</p>"
    kind = "" if job.message.startswith("review: nothing") else " look"
    says = f'<p class="job-says{kind}">{escape(job.message)}</p>'
    links = (
        f"<p>{_download(job)} · "
        f'<a href="{_url(job, REPORT)}" target="_blank" rel="noopener">report</a></p>'
    )
    sheet = f'<img class="job-sheet" alt="source above, result below" src="{_url(job, SHEET)}">'
    return _show_pair(job, store) + says + links + sheet


def _download(job: Job) -> str:
    return f'<a href="{_url(job, RESULT)}" download="dubbed.mp4">download</a>'


def _show_progress(standing: Standing) -> str:
    progress = standing.progress
    if progress is None:
        return _state("Running: loading networks.") + _bar(0.0)
    left = "" if progress.left_s is None else f", about {_time(progress.left_s)} left"
    frames = f"{progress.done} of {progress.total or '?'} frames"
    text = f"Running: {progress.stage}, {frames}{left}."
    return _state(text) + _bar(progress.share)


def _show_pair(job: Job, store: JobStore) -> str:
    sync = (
        "onplay=\"this.closest('.job-pair').querySelectorAll('video').forEach(v=>v.play())\" "
        "onpause=\"this.closest('.job-pair').querySelectorAll('video').forEach(v=>v.pause())\" "
        "onseeked=\"var t=this.currentTime;this.closest('.job-pair').querySelectorAll('video')"
        '.forEach(v=>{if(v!==this)v.currentTime=t})"'
    )
    result = (
        f'<video class="job-result" controls playsinline {sync} src="{_url(job, RESULT)}"></video>'
    )
    return (
        f'<div class="job-pair"><figure>{_show_source(job, store)}<figcaption>source'
        f"</figcaption></figure><figure>{result}<figcaption>result</figcaption></figure></div>"
    )


def _show_source(job: Job, store: JobStore) -> str:
    try:
        path = store.file(job.id, job.face)
    except NoSuchFileError:
        return "<p>no longer here</p>"
    url = _url(job, job.face)
    if job.options.is_preview:
        return "<p>The preview shows passages of the source; they are on the sheet below.</p>"
    if is_still_image(path):
        return f'<img alt="source" src="{url}">'
    if path.suffix in _BROWSERS_PLAY:
        return f'<video muted playsinline src="{url}"></video>'
    return f'<p>browsers do not play {escape(path.suffix)}: <a href="{url}">download it</a></p>'


def _state(text: str) -> str:
    return f'<p class="job-state">{escape(text)}</p>'


def _bar(share: float) -> str:
    return f'<div class="job-bar"><div style="width:{100 * share:.0f}%"></div></div>'


def _url(job: Job, name: str) -> str:
    return f"jobs/{quote(job.id)}/{quote(name)}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
