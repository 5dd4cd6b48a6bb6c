#!/usr/bin/env bash
# Trains the weights of the lite profile from the research clips and writes them to checkpoints/lite.
#
#   bash scripts/train_lite.sh ../shared/clips [RUNS]
#
# Every step continues where it was interrupted. The landmark network and what faces have in common
# come first: they need labels of a teacher (scripts/lite/label_landmarks.py, in an environment of
# its own); the ones in the repository are used unless TEACHER_PYTHON names that environment's Python. The
# speech encoder and the voice activity network come from public packages
# (scripts/lite/convert_speech_networks.py); the ones in the repository are used.
set -euo pipefail
cd "$(dirname "$0")/.."
clips=${1:?usage: bash scripts/train_lite.sh CLIPS [RUNS]}
runs=${2:-runs/lite}
python=.venv/bin/python
lite=checkpoints/lite
mkdir -p "$runs"

$python -m scripts.lite.manifest "$clips" "$runs/manifest.tsv"
if [ -n "${TEACHER_PYTHON:-}" ]; then
  PYTHONPATH=. "$TEACHER_PYTHON" -m scripts.lite.label_landmarks \
    --clips "$clips" --images "$clips/../images" --out "$runs/labels"
  $python -m scripts.lite.train_landmarks --config configs/landmarks/lite.yaml \
    --set "data.labels=$runs/labels" --run-dir "$runs/landmarks"
  $python -m scripts.lite.ship_weights "$runs/landmarks/weights-best.safetensors" \
    "$lite/landmarks.safetensors" --note "scripts/train_lite.sh, configs/landmarks/lite.yaml"
  $python -m scripts.lite.fit_expression_basis --labels "$runs/labels" \
    --manifest "$runs/manifest.tsv" --out "$lite/expression_basis.safetensors"
fi

# What lies between the lips of faces that never show it.
$python -m scripts.lite.train_mouth_inside --manifest "$runs/manifest.tsv" --run-dir "$runs/inside"
$python -m scripts.lite.ship_weights "$runs/inside/weights-best.safetensors" \
  "$lite/mouth_inside.safetensors" --note "scripts/train_lite.sh"

# Speech to lip shapes: every clip that speaks, its sound and landmarks without pictures. The offsets in the
# list are trusted.
store=$runs/store
$python -m scripts.prepare.clips --manifest "$runs/manifest.tsv" --out "$store" --workers 2 \
  --keep-audio --max-offset 0 --lips --stabiliser
$python -m scripts.prepare.extend_store "$store" heard --splits train lrcar_train val --copies 4
$python train_lips.py --config configs/lips/lite.yaml --run-dir "$runs/lips" --set "data.store=$store"
$python -m scripts.lite.ship_weights "$runs/lips/weights-best.safetensors" "$lite/lips.safetensors" \
  --note "scripts/train_lite.sh, configs/lips/lite.yaml"
