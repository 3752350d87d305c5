"""What a frame meter says of drawn pages."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from flipdetect.records import FrameQuality
from flipdetect.stills.fingerprint import decode_print, likeness
from flipdetect.stills.quality import FrameMeter
from tests.inference.drawn_pages import Picture, draw_spread, shifted, with_hand, with_noise


def measure(picture: Picture, hands: object = None) -> FrameQuality:
    return FrameMeter()(picture, hands)  # type: ignore[arg-type]


def alike(first: FrameQuality, second: FrameQuality) -> float:
    return float(likeness(np.stack([decode_print(quality.fingerprint) for quality in (first, second)]))[0, 1])


def bits_apart(first: FrameQuality, second: FrameQuality) -> float:
    """Share of the bits in which two fingerprints differ."""
    different = int(first.fingerprint, 16) ^ int(second.fingerprint, 16)
    return different.bit_count() / (4 * len(first.fingerprint))


def test_figures_do_not_depend_on_the_size_of_the_frame() -> None:
    full = draw_spread(1, (1080, 1920))
    small = cv2.resize(full, (960, 540), interpolation=cv2.INTER_AREA)
    large, less = measure(full), measure(np.asarray(small))
    assert large.sharpness == pytest.approx(less.sharpness, rel=0.05)
    assert large.exposure == pytest.approx(less.exposure, abs=0.02)
    assert alike(large, less) > 0.99


@pytest.mark.parametrize("deviation", [2.0, 4.0])
def test_blur_lowers_sharpness_and_noise_does_not_raise_it(deviation: float) -> None:
    page = draw_spread(1)
    sharp = measure(with_noise(page)).sharpness
    blurred = measure(with_noise(np.asarray(cv2.GaussianBlur(page, (0, 0), deviation)))).sharpness
    assert blurred < 0.75 * sharp
    assert measure(with_noise(page, deviation=5)).sharpness == pytest.approx(sharp, rel=0.15)


def test_sharpness_depends_little_on_the_print_and_on_the_light() -> None:
    values = [measure(with_noise(draw_spread(number))).sharpness for number in range(6)]
    dim = [measure(with_noise((draw_spread(number) * 0.6).astype(np.uint8))).sharpness for number in range(6)]
    assert max(values) < 1.3 * min(values)
    assert np.median(dim) == pytest.approx(np.median(values), rel=0.2)


def test_exposure_falls_where_paper_is_burnt_out_or_black() -> None:
    page = draw_spread(1)
    burnt = page.copy()
    burnt[:, 300:] = 255
    assert measure(page).exposure > 0.98
    assert measure(burnt).exposure < 0.7
    assert measure((page * 0.12).astype(np.uint8)).exposure < 0.1


def test_motion_is_of_pages_not_of_noise_light_or_hands() -> None:
    page = draw_spread(1)
    meter = FrameMeter()
    assert meter(with_noise(page, 0), np.zeros((14, 24))).motion is None
    still = meter(with_noise(page, 1), np.zeros((14, 24))).motion
    darker = meter(with_noise((page * 0.9).astype(np.uint8), 2), np.zeros((14, 24))).motion
    covered, hands = with_hand((page * 0.9).astype(np.uint8), (0.4, 0.4, 0.6, 1.0))
    swept = meter(with_noise(covered, 3), hands).motion
    turned = meter(with_noise(draw_spread(2), 4), np.zeros((14, 24))).motion
    assert still is not None
    assert darker is not None
    assert swept is not None
    assert turned is not None
    assert max(still, darker, swept) < 0.002
    assert turned > 0.01


def test_fingerprints_of_one_spread_differ_in_few_bits() -> None:
    page = draw_spread(1)
    here = measure(with_noise(page, 1))
    covered, hands = with_hand(page, (0.35, 0.7, 0.6, 1.0))
    same = {
        "noise": measure(with_noise(page, 2)),
        "light": measure(with_noise((page * 0.8).astype(np.uint8), 3)),
        "a moved camera": measure(shifted(page, 5, -4, 0.005)),
        "a hand": measure(covered, hands),
    }
    others = [measure(with_noise(draw_spread(number), number)) for number in range(2, 12)]
    assert min(alike(here, quality) for quality in same.values()) > max(alike(here, quality) for quality in others)
    for name in ("noise", "light"):
        assert bits_apart(here, same[name]) < 0.5 * min(bits_apart(here, quality) for quality in others)


def test_nothing_is_said_of_blank_paper_and_of_what_is_covered() -> None:
    plain = np.full((540, 960, 3), 220, np.uint8)
    hidden, hands = with_hand(draw_spread(1), (0.0, 0.0, 1.0, 1.0))
    for picture, map_ in ((plain, None), (hidden, hands)):
        quality = measure(picture, map_)
        assert np.isnan(alike(quality, quality))
        assert np.isfinite([quality.sharpness, quality.exposure]).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 700, 3), (1920, 1080, 3)])
def test_any_shape_is_measured(shape: tuple[int, int, int]) -> None:
    quality = measure(np.full(shape, 128, np.uint8), np.zeros((2, 2)))
    assert np.isfinite([quality.sharpness, quality.exposure]).all()


def test_a_wrong_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        measure(np.zeros((10, 10, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="map of hands"):
        measure(draw_spread(1), np.zeros((1, 14, 24)))


def test_a_wrong_fingerprint_is_refused() -> None:
    for text in ("", "12", "xxxx", "12é4"):
        with pytest.raises(ValueError, match="no fingerprint"):
            decode_print(text)
