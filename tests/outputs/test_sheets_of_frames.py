"""Pictures of pairs, of spot checks, and of a sweep's trials."""

import numpy as np

from flipdetect.outputs.plots import PicturePair, Spot, figure_to_array, plot_pairs, plot_spots
from flipdetect.outputs.plots.sheets import CORRECT, WRONG


def frame(value: int, height: int = 96, width: int = 54) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def has_colour(picture: np.ndarray, colour: str) -> bool:
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return bool((np.abs(picture.astype(int) - wanted).sum(axis=-1) < 8).sum() > 100)


def test_pairs_of_any_shape_and_name_are_drawn() -> None:
    odd = PicturePair((frame(0), frame(200, 40, 90)), (("a" * 90, "$x$"), ("名前.jpg",)), "copy " * 30, "#D55E00")
    few = figure_to_array(plot_pairs([odd], "$ pairs"))
    many = figure_to_array(plot_pairs([odd] * 9, "pairs"))
    assert has_colour(few, "#D55E00")
    assert many.shape[0] > 1.5 * few.shape[0]
    assert figure_to_array(plot_pairs([], "no pairs")).std() > 0


def test_right_and_wrong_frames_have_frames_of_their_own() -> None:
    right = Spot(frame(250), "flip/$1$.jpg", "flip", "flip", 0.9)
    wrong = Spot(frame(250), "no_folder.jpg", "notflip", "flip", 0.8)
    both = figure_to_array(plot_spots([right, wrong], "two"))
    assert has_colour(both, CORRECT)
    assert has_colour(both, WRONG)
    assert not has_colour(figure_to_array(plot_spots([right] * 11, "eleven")), WRONG)
    assert figure_to_array(plot_spots([], "none")).std() > 0
