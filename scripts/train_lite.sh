#!/usr/bin/env bash
# Trains the lite weights from the research clips and writes them to checkpoints/lite.
#
#   bash scripts/train_lite.sh ../shared/clips [RUNS]
#
# Every step continues where it was interrupted. The landmark network comes first: it needs labels of
# a teacher (scripts/label_landmarks.py, in an environment of its own); the ones in the repository are
# used unless TEACHER_PYTHON names that environment's Python.
set -euo pipefail
cd "$(dirname "$0")/.."
clips=${1:?usage: bash scripts/train_lite.sh CLIPS [RUNS]}
runs=${2:-runs/lite}
python=.venv/bin/python
lite=checkpoints/lite
store=$runs/store
mkdir -p "$runs"

$python -m scripts.lite_manifest "$clips" "$runs/manifest.tsv"
if [ -n "${TEACHER_PYTHON:-}" ]; then
  PYTHONPATH=. "$TEACHER_PYTHON" -m scripts.label_landmarks \
    --clips "$clips" --images "$clips/../images" --out "$runs/labels"
  $python -m scripts.train_landmarks --labels "$runs/labels" --out "$runs/landmarks"
  cp "$runs/landmarks/landmarks.safetensors" "$lite/landmarks.safetensors"
  $python -m scripts.fit_expression_basis --labels "$runs/labels" \
    --manifest "$runs/manifest.tsv" --out "$lite/expression_basis.safetensors"
fi

$python -m scripts.prepare_clips --manifest "$runs/manifest.tsv" --out "$store" --workers 2 --silent
$python -m scripts.extend_store "$store" coefficients

train() {  # network, then settings
  local network=$1
  shift
  $python "train_$network.py" --config "configs/$network/lite.yaml" --run-dir "$runs/$network" \
    --set "data.store=$store" "$@"
}
ship() {  # network, note
  $python -m scripts.ship_weights "$runs/$1/weights-best.safetensors" "$lite/$1.safetensors" \
    --note "$2"
}

listener=$runs/audio/weights-best.safetensors
train audio
train dnet
train lnet --set "audio_encoder=$listener"
train enet --set "audio_encoder=$listener" --set "lnet=$runs/lnet/weights-best.safetensors"
train syncnet
for network in dnet lnet enet syncnet; do
  ship "$network" "configs/$network/lite.yaml"
done
