"""Hands: the rigged mesh, its poses, and the map of what is drawn."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from flipdetect.synth import SynthConfig
from flipdetect.synth.camera import look_at
from flipdetect.synth.hands.gestures import HandTrack
from flipdetect.synth.hands.person import SKIN_TONES, Person, build_mesh, sample_person
from flipdetect.synth.hands.picture import HandPicture, picture_hand
from flipdetect.synth.hands.placement import PosedHand, draw_outline, pose_hand
from flipdetect.synth.hands.shape import POSES, blend_people, load_rig, sample_pose, skin
from flipdetect.synth.hands.skin import paint_texture
from flipdetect.synth.render.rasterizer import Light
from flipdetect.synth.scene.scene import sample_source
from flipdetect.synth.turn import Turn

SIZE = (216, 384)
VIEW = look_at(np.array([0.2, -0.5, 4.0]), np.zeros(3), 0.0, 480.0, SIZE)
LIGHT = Light((0.3, 0.2, float(np.sqrt(0.87))), 0.5, 0.2, 0.3)


def person(tone: int = 4) -> Person:
    """Somebody with a skin tone, 1 to 10 on the Monk scale."""
    somebody = sample_person(np.random.default_rng(3), np.random.default_rng(4))
    colour = (np.array(SKIN_TONES[tone - 1]) / 255) ** 2.2
    return replace(somebody, tone=tone, skin=tuple(colour.tolist()))


def posed(somebody: Person, pose: str, *, left: bool) -> PosedHand:
    """A hand in the middle of the frame."""
    home = (0.1, 0.1, 0.1)
    track = HandTrack("rest", pose, left, (0.5, -2.0), 0.1, home, home, 1.0, False, 0.0, 0.0)
    poses = {pose: sample_pose(np.random.default_rng(1), pose)}
    turn = Turn("simple", ((0.0, 0.0), (1.0, 1.0)), 0.5)
    return pose_hand(track, build_mesh(somebody, left=left), poses, somebody.size, 0.0, turn, np.zeros(3))


def picture(somebody: Person, hand: PosedHand) -> HandPicture:
    return picture_hand(hand, paint_texture(somebody, 160), LIGHT, VIEW, SIZE)


def test_bones_at_rest_leave_the_mesh_as_it_is() -> None:
    vertices, bones = blend_people(np.eye(12)[5])
    assert np.allclose(skin(vertices, load_rig().weights, bones @ np.linalg.inv(bones)), vertices, atol=1e-12)


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("left", [False, True])
def test_the_outline_is_that_of_the_picture(pose: str, left: bool) -> None:
    somebody = person()
    hand = posed(somebody, pose, left=left)
    drawn = picture(somebody, hand)
    shown = cv2.warpPerspective(drawn.alpha, VIEW.matrix @ drawn.world, SIZE, flags=cv2.INTER_LINEAR) > 0.5
    mask = np.zeros(SIZE[::-1], np.uint8)
    draw_outline(mask, VIEW, hand)
    assert mask.sum() > 2000
    assert (shown & (mask > 0)).sum() > 0.93 * (shown | (mask > 0)).sum()


def test_a_left_hand_is_the_mirror_image_of_a_right_one() -> None:
    hands = []
    for left in (False, True):
        x = -0.5 if left else 0.5
        home = (0.0, 0.1, 0.1)
        track = HandTrack("rest", "flat", left, (x, -2.0), -0.1 if left else 0.1, home, home, 1.0, False, 0.0, 0.0)
        somebody = replace(person(), watch=None)
        poses = {"flat": sample_pose(np.random.default_rng(1), "flat")}
        turn = Turn("simple", ((0.0, 0.0), (1.0, 1.0)), 0.5)
        hands.append(pose_hand(track, build_mesh(somebody, left=left), poses, 1.0, 0.0, turn, np.zeros(3)))
    assert np.allclose(hands[0].vertices * [-1, 1, 1], hands[1].vertices)


def test_the_tone_changes_the_colour_and_nothing_else() -> None:
    pictures = [picture(person(tone), posed(person(tone), "flat", left=False)) for tone in range(1, 11)]
    assert all(np.array_equal(each.alpha, pictures[0].alpha) for each in pictures)
    brightness = [float(each.colours[..., :3].sum()) for each in pictures]
    assert all(one > 1.05 * other for one, other in pairwise(brightness))


def test_sources_show_people_of_all_tones() -> None:
    tones = [sample_source(SynthConfig(sources=200), index).person.tone for index in range(200)]
    assert np.bincount(tones, minlength=11)[1:].min() >= 8


def test_the_notice_names_the_hands() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")
    assert "hands.npz" in notice
    assert "CC0" in notice
