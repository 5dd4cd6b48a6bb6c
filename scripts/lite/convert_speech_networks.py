"""Write the two public speech networks of the lite profile as weights of ours.

    pip download --no-deps moonshine-voice==0.0.59 silero-vad==6.2.3
    PYTHONPATH=. PYTHON -m scripts.lite.convert_speech_networks --moonshine moonshine_voice*.whl \
        --silero silero_vad*.whl --out checkpoints/lite

PYTHON is that of an environment with ``scripts/lite/requirements-speech.txt``: ONNX is needed here
alone. Weights that the packages store in 8 bits become what these mean, in half precision.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from retalking.script import run_entry_point

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import torch
import torch.nn.functional as F
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import (
    InferenceSession,
)
from torch import Tensor

from models import weights
from models.speech.encoder import SpeechEncoder, SpeechEncoderConfig
from models.speech.voice_activity import VoiceActivityConfig, VoiceActivityNet
from retalking.errors import WeightsError
from retalking.exit_code import report_mistakes

MOONSHINE_FILE = "moonshine_voice/assets/tiny-en/encoder_model.ort"
SILERO_FILE = "silero_vad/data/silero_vad_16k_op15.onnx"
NUM_LAYERS = 3
"""Lips of people not trained on are told best from the third and fourth layer of six."""
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_}
LEAST_FIT = 0.99
_QUANTIZED = "_quantized"
_GROUP_NORM = {"onnx::Mul_2080": "groupnorm.weight", "onnx::Add_2081": "groupnorm.bias"}


def read_moonshine(data: bytes) -> dict[str, Tensor]:
    """Read the encoder's weights out of ONNX Runtime's own format, by their names in ours."""
    graph = InferenceSession.GetRootAs(bytearray(data), 0).Model().Graph()
    stored: dict[str, np.ndarray] = {}
    for number in range(graph.InitializersLength()):
        tensor = graph.Initializers(number)
        shape = [tensor.Dims(axis) for axis in range(tensor.DimsLength())]
        values = tensor.RawDataAsNumpy().view(_TYPES[tensor.DataType()])
        stored[tensor.Name().decode()] = values.reshape(shape)
    state = {}
    for name, values in stored.items():
        ours = _GROUP_NORM.get(name, name.replace("_add_tensor", ""))
        if re.match(r"(conv\d|layers\.\d|groupnorm|layer_norm)\.", ours):
            state[ours] = torch.from_numpy(values.reshape(-1) if name in _GROUP_NORM else values)
    for number in range(graph.NodesLength()):
        node = graph.Nodes(number)
        place = re.match(r"/layers\.(\d)/(\w+)/(\w+)/MatMul", node.Name().decode())
        for name in (node.Inputs(i).decode() for i in range(node.InputsLength())):
            if place and name.endswith(_QUANTIZED) and name in stored:
                key = f"layers.{place[1]}.{place[2]}.{place[3]}.weight"
                state[key] = torch.from_numpy(_dequantize(stored, name).T)
    return state


def _dequantize(stored: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    base = name.removesuffix(_QUANTIZED)
    zero = stored[base + "_zero_point"].reshape(()).astype(np.float32)
    scale = stored[base + "_scale"].reshape(())
    values: np.ndarray = (stored[name].astype(np.float32) - zero) * scale
    return values


def read_silero(data: bytes) -> dict[str, Tensor]:
    """Read the voice activity network's weights, by their names in ours."""
    model = onnx.load_model_from_string(data)
    names = {
        "model.stft.forward_basis_buffer": "stft_conv.weight",
        "model.decoder.decoder.2": "final_conv",
        "model.decoder.rnn": "lstm",
    }
    state = {}
    for initializer in model.graph.initializer:
        name = initializer.name
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        layer = re.match(r"model\.encoder\.(\d)\.reparam_conv\.(\w+)", name)
        name = f"conv{int(layer[1]) + 1}.{layer[2]}" if layer else name
        name = re.sub(r"^(lstm\..*)$", r"\1_l0", name)
        state[name] = torch.from_numpy(onnx.numpy_helper.to_array(initializer).copy())
    return state


def check_moonshine(state: Mapping[str, Tensor], data: bytes) -> None:
    """Compare the whole encoder with what ONNX Runtime makes of the package's file.

    Raises:
        WeightsError: the states of noise correlate by less than 0.99. (ONNX Runtime rounds what
            goes between the layers to 8 bits, ours does not.)
    """
    whole = SpeechEncoder(SpeechEncoderConfig()).eval()
    whole.load_state_dict({key: state[key] for key in whole.state_dict()})
    noise = np.random.default_rng(0).standard_normal((1, 16_000)).astype(np.float32) * 0.05
    session = onnxruntime.InferenceSession(data)
    mask = np.ones(noise.shape, np.int64)
    (theirs,) = session.run(None, {"input_values": noise, "attention_mask": mask})
    with torch.inference_mode():
        ours = whole(torch.from_numpy(noise))
        ours = F.layer_norm(ours, ours.shape[-1:], state["layer_norm.weight"]).numpy()
    fit = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
    if not fit > LEAST_FIT:
        raise WeightsError(f"{MOONSHINE_FILE}: states correlate by {fit:.4f}, expected {LEAST_FIT}")


def _unpack(wheel: Path, name: str) -> bytes:
    try:
        return zipfile.ZipFile(wheel).read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{wheel}: {name} cannot be read from it: {error}") from None


def convert(network: torch.nn.Module, state: Mapping[str, Tensor], out: Path, note: str) -> None:
    """Write the part of the weights that the network has.

    Raises:
        WeightsError: one is missing or has another shape.
    """
    wanted = network.state_dict()
    wrong = [k for k, v in wanted.items() if k not in state or state[k].shape != v.shape]
    if wrong:
        raise WeightsError(f"{out} not written: the package has no fitting {', '.join(wrong[:5])}")
    network.load_state_dict({key: state[key] for key in wanted})
    weights.save(out, network, {"note": note}, torch.float16)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moonshine", type=Path, required=True, help="wheel, 0.0.59")
    parser.add_argument("--silero", type=Path, required=True, help="wheel, 6.2.3")
    parser.add_argument("--layers", type=int, default=NUM_LAYERS, help="of the encoder to keep")
    parser.add_argument("--out", type=Path, required=True, help="folder for both")
    options = parser.parse_args(arguments)
    moonshine = _unpack(options.moonshine, MOONSHINE_FILE)
    states = read_moonshine(moonshine)
    check_moonshine(states, moonshine)
    convert(
        SpeechEncoder(SpeechEncoderConfig(options.layers)),
        states,
        options.out / "speech_encoder.safetensors",
        f"first {options.layers} layers of moonshine-voice 0.0.59, {MOONSHINE_FILE}; MIT",
    )
    convert(
        VoiceActivityNet(VoiceActivityConfig()),
        read_silero(_unpack(options.silero, SILERO_FILE)),
        options.out / "voice_activity.safetensors",
        f"silero-vad 6.2.3, {SILERO_FILE}; MIT",
    )
    return 0


if __name__ == "__main__":
    run_entry_point(main)
