# Retalking in a container, as a user without rights.
#
#   docker build --target cpu -t retalking:cpu .
#   docker build --target cuda -t retalking:cuda .
#   docker run --rm -v "$PWD:/work" retalking:cpu dub --face talk.mp4 --audio speech.wav
#   docker run --rm --gpus all -v "$PWD:/work" -v weights:/weights retalking:cuda \
#     dub --profile official --checkpoints /weights --face talk.mp4 --audio speech.wav
#
# docs/container.md says more. No system package is needed: the wheels bring FFmpeg and OpenCV.
ARG PYTHON=3.12

# ---- what both share: the code, and a user
FROM python:${PYTHON}-slim AS code
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/retalking
COPY requirements.lock requirements-no-deps.lock ./

# ---- packages: torch of its CPU index, which is ten times smaller; the rest as the lock says
FROM code AS cpu-packages
RUN python -m venv /opt/venv \
 && grep -E '^(torch|torchvision)==' requirements.lock > torch.lock \
 && /opt/venv/bin/pip install -r torch.lock --index-url https://download.pytorch.org/whl/cpu \
 && /opt/venv/bin/pip install -r requirements.lock \
 && /opt/venv/bin/pip install --no-deps -r requirements-no-deps.lock

# PyPI's wheels of torch bring CUDA; the driver is the host's.
FROM code AS cuda-packages
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install -r requirements.lock \
 && /opt/venv/bin/pip install --no-deps -r requirements-no-deps.lock

# ---- what runs; /work holds the user's files, /weights those of others, /cache kept work
FROM code AS runtime
COPY . .
RUN useradd --uid 10001 --create-home retalking \
 && install -d -o retalking -g retalking -m 1777 /work /weights /cache
ENV PATH=/opt/venv/bin:$PATH XDG_CACHE_HOME=/cache
WORKDIR /work
ENTRYPOINT ["retalking"]
CMD ["doctor"]

FROM runtime AS cuda
COPY --from=cuda-packages /opt/venv /opt/venv
RUN pip install --no-deps --editable /opt/retalking
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER retalking

# The last stage is what `docker build .` makes.
FROM runtime AS cpu
COPY --from=cpu-packages /opt/venv /opt/venv
RUN pip install --no-deps --editable /opt/retalking
USER retalking
