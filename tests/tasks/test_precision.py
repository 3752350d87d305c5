"""bfloat16 where the machine has it, float32 where it would be imitated."""

import pytest

from flipdetect.tasks.fit import resolve_precision


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
    monkeypatch.setattr("flipdetect.tasks.fit.cpu_has_bfloat16", lambda: has)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert resolve_precision(wanted, accelerator) == expected


@pytest.mark.parametrize(("has", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_an_old_gpu_takes_float16(monkeypatch: pytest.MonkeyPatch, has: bool, expected: str) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: has)
    assert resolve_precision("bf16-mixed", "auto") == expected
    assert resolve_precision("32-true", "gpu") == "32-true"
