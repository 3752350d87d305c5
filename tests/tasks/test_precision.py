"""bfloat16 where the machine has it, float32 where it would be imitated."""

import pytest

from flipdetect.tasks import precision
from flipdetect.tasks.precision import settled_precision


@pytest.mark.parametrize(
    ("wanted", "accelerator", "has", "expected"),
    [
        ("bf16-mixed", "cpu", True, "bf16-mixed"),
        ("bf16-mixed", "cpu", False, "32-true"),
        ("bf16-true", "auto", False, "32-true"),
        ("bf16-mixed", "gpu", False, "bf16-mixed"),
        ("32-true", "cpu", False, "32-true"),
        (None, "cpu", False, None),
    ],
)
def test_bfloat16_is_kept_only_where_it_is_real(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, accelerator: str, has: bool, expected: str | None
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: has)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(precision, "_has_mps", lambda: False)
    assert settled_precision(wanted, accelerator) == expected


def test_the_question_has_an_answer_on_this_machine() -> None:
    assert precision.cpu_has_bfloat16() in (True, False)
