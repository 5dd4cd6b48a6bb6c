#!/usr/bin/env bash
# Trains the lite weights from the research clips and writes them to checkpoints/lite.
#
#   bash scripts/train_lite.sh ../shared/clips [RUNS]
#
# Every step continues where it was interrupted. The landmark network comes first: it needs labels of
# a teacher (scripts/lite/label_landmarks.py, in an environment of its own); the ones in the repository are
# used unless TEACHER_PYTHON names that environment's Python.
set -euo pipefail
cd "$(dirname "$0")/.."
clips=${1:?usage: bash scripts/train_lite.sh CLIPS [RUNS]}
runs=${2:-runs/lite}
python=.venv/bin/python
lite=checkpoints/lite
store=$runs/store
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

$python -m scripts.prepare.clips --manifest "$runs/manifest.tsv" --out "$store" --workers 2 --silent
$python -m scripts.prepare.extend_store "$store" coefficients --splits train silent val

train() {  # network, run, then settings
  local network=$1 run=$2
  shift 2
  $python "train_$network.py" --config "configs/$network/lite.yaml" --run-dir "$runs/$run" \
    --set "data.store=$store" "$@"
}
best() {  # run
  echo "$runs/$1/weights-best.safetensors"
}
ship() {  # network, run
  $python -m scripts.lite.ship_weights "$(best "$2")" "$lite/$1.safetensors" \
    --note "scripts/train_lite.sh, configs/$2/lite.yaml"
}

train audio audio --set 'data.splits={train: 1, lrcar_train: 1}' \
  --set 'validation_splits=[val, lrcar_val]'
train dnet dnet --set 'data.splits={train: 1, silent: 0.5}'
for size in 96 384; do  # what L-Net and E-Net get as references in inference
  $python -m scripts.prepare.extend_store "$store" neutral --dnet "$(best dnet)" --size "$size" \
    --surroundings source --splits train val
done
# Small faces teach lips first, with other frames as references; then the references of inference.
train lnet lnet_any --set "audio_encoder=$(best audio)" \
  --set 'data.splits={train: 1, lrcar_train: 0.7}'
neutral=(--set data.reference=neutral)
train lnet lnet "${neutral[@]}" --set "audio_encoder=$(best audio)" --set "init=$(best lnet_any)" \
  --set loop.num_steps=2500 --set optimizer.decay_steps=2500 --set optimizer.learning_rate=8e-4 \
  --set data.matched_speech=1 --set loss.mouth=10 --set loss.opening=0.008
train enet enet "${neutral[@]}" --set "audio_encoder=$(best audio)" --set "lnet=$(best lnet)"
expert=(--set 'data.splits={train: 1, lrcar_train: 1}' --set 'validation.splits=[val, lrcar_val]')
train syncnet syncnet_start "${expert[@]}"
train syncnet syncnet "${expert[@]}" --set "init=$(best syncnet_start)" \
  --set contrast.opening_steps=0 --set optimizer.learning_rate=1.5e-3

# Speech to lip shapes: every clip that speaks, its sound and landmarks without pictures. The offsets in the
# list are trusted. The encoder and the voice activity network come from public packages
# (scripts/lite/convert_speech_networks.py); the ones in the repository are used.
speech=$runs/speech_store
$python -m scripts.prepare.clips --manifest "$runs/manifest.tsv" --out "$speech" --workers 2 \
  --keep-audio --max-offset 0 --lips --stabiliser
$python -m scripts.prepare.extend_store "$speech" heard --splits train lrcar_train val --copies 4
train lips lips --set "data.store=$speech"

for network in dnet lnet enet lips; do
  ship "$network" "$network"
done
ship expert syncnet
