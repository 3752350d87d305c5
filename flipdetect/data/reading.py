"""A set that has been read: its index, its frames decoded, and the masks that some of them have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flipdetect.data.augment import Augmentation
from flipdetect.data.cache import DecodedFrames, decode_frames
from flipdetect.data.dataset import FrameDataset
from flipdetect.data.frame_set import Frames
from flipdetect.data.index import FrameIndex, Problem
from flipdetect.data.masks import Masks, read_masks
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError
from flipdetect.records import ClassNames, FrameRecord


@dataclass(frozen=True)
class FrameSet:
    """An indexed set, decoded.

    Attributes:
        index: of the frames that can be decoded; the others are among its problems.
        frames: decoded.
        masks: of the frames that have one.
        classes: gives the targets.
    """

    index: FrameIndex
    frames: Frames
    masks: Masks
    classes: ClassNames

    def dataset(
        self,
        records: Sequence[FrameRecord],
        augmentation: Augmentation | None = None,
        *,
        seed: int = 0,
        with_maps: bool = False,
    ) -> FrameDataset:
        """A data set over some of the frames.

        Args:
            seed: base of the augmentation's random streams.
            with_maps: whether samples hold maps; zeros for frames without a mask.
        """
        positions = {file: i for i, file in enumerate(self.frames.files)}
        return FrameDataset(
            records,
            self.frames,
            [positions[record.file] for record in records],
            self.classes,
            augmentation,
            seed,
            self.masks if with_maps else None,
        )


def read_set(
    index: FrameIndex,
    spec: PreprocessSpec,
    classes: ClassNames,
    *,
    cache_dir: Path | None,
    max_bytes: int,
    beside: Sequence[DecodedFrames] = (),
) -> FrameSet:
    """Decode the frames and masks of an index, and move frames that cannot be decoded to its problems.

    Args:
        cache_dir, max_bytes, beside: as `decode_frames` takes them.

    Raises:
        DataError: if no frame can be decoded.
    """
    frames = decode_frames(
        [record.file for record in index.records], spec, cache_dir=cache_dir, max_bytes=max_bytes, beside=beside
    )
    bad = tuple(Problem(Path(frames.files[i]), reason) for i, reason in sorted(frames.failures.items()))
    good = tuple(record for i, record in enumerate(index.records) if i not in frames.failures)
    if not good:
        raise DataError(
            f"none of the {len(frames.files)} frames under {index.root} can be read; first: {bad[0].reason}"
        )
    masks = read_masks(good, index.root, spec, cache_dir=cache_dir, max_bytes=max_bytes, beside=(*beside, frames))
    return FrameSet(replace(index, records=good, problems=(*index.problems, *bad)), frames, masks, classes)
