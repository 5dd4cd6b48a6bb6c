#!/usr/bin/env bash
# Trains the small networks of the paper's chain (--profile small) and the expert from the research
# clips, and writes them to checkpoints/lite.
#
#   bash scripts/train_small.sh ../shared/clips [RUNS]
#
# Every step continues where it was interrupted. scripts/train_lite.sh makes what the lite profile needs.
set -euo pipefail
cd "$(dirname "$0")/.."
clips=${1:?usage: bash scripts/train_small.sh CLIPS [RUNS]}
runs=${2:-runs/small}
python=.venv/bin/python
lite=checkpoints/lite
store=$runs/store
mkdir -p "$runs"

$python -m scripts.lite.manifest "$clips" "$runs/manifest.tsv"
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
    --note "scripts/train_small.sh, configs/$2/lite.yaml"
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

for network in dnet lnet enet; do
  ship "$network" "$network"
done
ship expert syncnet
