"""bfloat16 where the machine has it, float32 where it would be imitated."""

import pytest
import torch

from flipdetect.tasks import hardware
from flipdetect.tasks.hardware import resolve_precision


@pytest.mark.parametrize(
    ("wanted", "accelerator", "has", "expected"),
    [
        ("bf16-mixed", "cpu", True, "bf16-mixed"),
        ("bf16-mixed", "cpu", False, "32-true"),
        ("bf16-true", "auto", False, "32-true"),
        ("bf16-mixed", "tpu", False, "bf16-mixed"),
        ("32-true", "cpu", False, "32-true"),
        (None, "cpu", False, None),
    ],
)
def test_bfloat16_is_kept_only_where_it_is_real(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, accelerator: str, has: bool, expected: str | None
) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: has)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert resolve_precision(wanted, accelerator) == expected


@pytest.mark.parametrize(("has", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_an_old_gpu_takes_float16(monkeypatch: pytest.MonkeyPatch, has: bool, expected: str) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: has)
    assert resolve_precision("bf16-mixed", "auto") == expected
    assert resolve_precision("32-true", "gpu") == "32-true"


@pytest.mark.parametrize(
    ("wanted", "device", "expected"),
    [(None, "cpu", True), (None, "cuda", True), (None, "mps", False), (False, "cpu", False), (True, "mps", True)],
)
def test_memory_format_is_chosen_by_the_machine_unless_it_is_said(
    wanted: bool | None, device: str, expected: bool
) -> None:
    assert hardware.resolve_channels_last(wanted, torch.device(device)) is expected


def test_the_optimiser_is_fused_on_gpus_where_gradients_can_be_clipped() -> None:
    assert hardware.fused_optimiser(torch.device("cuda"), "bf16-mixed")
    assert not hardware.fused_optimiser(torch.device("cuda"), "16-mixed")
    assert not hardware.fused_optimiser(torch.device("cpu"), "32-true")


def test_the_question_has_an_answer_on_this_machine() -> None:
    assert hardware.cpu_has_bfloat16() in (True, False)
