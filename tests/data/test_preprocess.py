"""The evaluation transform: size, aspect, serialisation, refusals."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError
from flipdetect.sources.image import decode_frame


def test_letterbox_keeps_the_aspect_and_pads_with_the_mean() -> None:
    spec = PreprocessSpec(height=90, width=90)
    resized = spec.resize(np.full((160, 90, 3), 255, np.uint8))
    white = (resized == 255).all(axis=2)
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    assert len(rows) == 90
    assert abs(len(columns) - 90 * 90 / 160) <= 1
    assert (resized[~white] == spec.padding).all()
    assert abs(spec.normalise(resized)[:, ~white]).max() < 0.02


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("shape", [(50, 80), (300, 40), (1, 500), (64, 64)])
def test_any_frame_takes_the_input_size(fit: str, shape: tuple[int, int]) -> None:
    spec = PreprocessSpec(height=64, width=36, fit=fit)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    assert spec.resize(rng.integers(0, 255, (*shape, 3), np.uint8)).shape == (64, 36, 3)


def test_crop_cuts_the_centre_and_pads_nothing() -> None:
    frame = np.zeros((64, 128, 3), np.uint8)
    frame[:, 32:96] = 255
    assert (PreprocessSpec(height=64, width=64, fit="crop").resize(frame) == 255).all()


def test_normalised_values_have_the_statistics_of_the_spec() -> None:
    spec = PreprocessSpec(height=8, width=8, channels=1, mean=(0.5,), std=(0.25,))
    array = spec.normalise(np.full((8, 8, 1), 255, np.uint8))
    assert array.shape == (1, 8, 8)
    assert array.dtype == np.float32
    assert array == pytest.approx(2.0)
    assert (spec.to_uint8(array) == 255).all()


def test_spec_survives_json() -> None:
    spec = PreprocessSpec(height=100, width=60, fit="crop")
    assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_spec_of_another_version_or_with_other_keys_is_refused() -> None:
    plain = PreprocessSpec().to_dict()
    with pytest.raises(ConfigError, match="version 99"):
        PreprocessSpec.from_dict({**plain, "version": 99})
    with pytest.raises(ConfigError, match="colour"):
        PreprocessSpec.from_dict({**plain, "colour": 1})


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"height": 4}, "height"),
        ({"width": 10_000}, "width"),
        ({"channels": 2}, "channels"),
        ({"fit": "squash"}, "squash"),
        ({"mean": (0.5,)}, "mean"),
        ({"std": (0.0, 1.0, 1.0)}, "std"),
    ],
)
def test_impossible_specs_are_refused_by_name(wrong: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        PreprocessSpec(**wrong)


def test_a_jpeg_scaled_while_it_is_decoded_becomes_nearly_what_the_full_image_becomes() -> None:
    spec = PreprocessSpec(height=176, width=99)
    coarse = np.random.default_rng(0).integers(60, 200, (80, 45, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((540, 960), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    read = spec.read(file.getvalue()).astype(int)
    assert np.abs(read - spec.resize(decode_frame(file.getvalue()))).mean() < 0.7  # 1.4 at half the size
