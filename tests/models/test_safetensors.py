"""Tensors and facts in one safetensors file come back as they were, or not at all."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flipdetect.errors import ModelError
from flipdetect.models.weights import read_facts, read_tensors, write_packed


def test_tensors_and_facts_come_back_bit_by_bit(tmp_path: Path) -> None:
    tensors = {
        "conv": torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last),
        "threshold": torch.tensor(0.1, dtype=torch.float64),
        "seen": torch.tensor(2**40),
    }
    facts = {"version": 1, "classes": {"positive": "めくり"}, "threshold": 0.1, "naming": None}
    write_packed(tmp_path / "m.safetensors", tensors, facts)
    assert read_facts(tmp_path / "m.safetensors") == facts
    found = read_tensors(tmp_path / "m.safetensors")
    assert found.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_equal_content_makes_equal_files_that_everyone_may_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_packed(tmp_path / name, {"b": torch.ones(2), "a": torch.zeros(3)}, {"version": 1})
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_file_of_tensors_alone_has_no_facts(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors", metadata={"format": "pt"})
    assert read_facts(tmp_path / "foreign.safetensors") is None


@pytest.mark.parametrize("text", ["{", "[1]", "nothing", "[" * 100_000])
def test_metadata_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", metadata={"flipdetect": text})
    with pytest.raises(ModelError, match="damaged"):
        read_facts(tmp_path / "odd.safetensors")


def test_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_packed(tmp_path / "m.safetensors", {"a": torch.zeros(1)}, {"threshold": float("nan")})
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64, None])
def test_damaged_and_absent_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.safetensors"
    if content is not None:
        path.write_bytes(content)
    for read in (read_facts, read_tensors):
        with pytest.raises(ModelError, match="not a readable"):
            read(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_packed(path, {"a": torch.zeros(100)}, json.loads('{"version": 1}'))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match="not a readable"):
        read_facts(path)
