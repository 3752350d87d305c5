"""ONNX Runtime's sessions for files that need not be trusted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flipdetect.errors import ModelError

SIZE_LIMIT = 500_000_000
"""Bytes: over a hundred million parameters in float32, a hundred times what a frame classifier needs. Larger files are
refused before they fill the memory."""

# From 1.29 on, ONNX Runtime sends names and hashes of models to Microsoft, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

REMEDY = "install it (pip install onnxruntime), or choose engine torch with a .ckpt or .safetensors file"


def open_session(path: Path, threads: int) -> Any:
    """A session on the CPU.

    Raises:
        ModelError: if ONNX Runtime is not installed; or the file is absent, damaged, larger than `SIZE_LIMIT`, or has
            tensors in other files.
    """
    if threads < 1:
        raise ModelError(f"threads must be at least 1, got {threads}")
    if not path.is_file():
        raise ModelError(f"there is no file {path}; make one from a best.ckpt with flipdetect export")
    try:
        if (size := path.stat().st_size) > SIZE_LIMIT:
            raise ModelError(f"{path} has {size:,} bytes, an exported model {SIZE_LIMIT:,} at most; it is not loaded")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"{path} is run by ONNX Runtime, which cannot be imported ({error}); {REMEDY}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised as well
    # Threads that spin while they wait take cores from the decoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Otherwise the format would be guessed from the bytes.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # A path that is no folder: a model must not make us open other files (external data).
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path))
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other class in common
        if "external data" in str(error).lower():
            reason = "has tensors in other files (external data), which are not opened; export it as one file"
        else:
            reason = f"is damaged, or not supported by this ONNX Runtime ({onnxruntime.__version__})"
        raise ModelError(f"{path} {reason}: {error}") from error
