"""A registered model as MLflow's own server and batch job run it."""

import base64
import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

import flipdetect
from flipdetect.cli.main import main
from tests.frame_sets import page_frame, write_frame

WAIT_S = 120


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("mlflow", reason="needs the extra [mlflow]")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/store/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # of uvicorn
    return uri


def test_a_registered_model_is_served_and_run_as_a_batch_job(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("<p>F1 0.9")
    assert main(["register", "--model", "tiny_cnn", "--report", "report"]) == 0
    uri = capsys.readouterr().out.strip()
    assert uri == "models:/flipdetect/1"
    info = mlflow.models.get_model_info(uri)
    assert info.signature.inputs.input_names() == ["image"]
    assert "flipdetect==" in Path(mlflow.pyfunc.get_model_dependencies(uri)).read_text()
    logged = {file.path for file in mlflow.MlflowClient().list_artifacts(info.run_id, "report")}
    assert logged == {"report/index.html"}
    assert not list(tmp_path.rglob("*.pkl"))

    images = []
    for flip in (True, False):
        write_frame(tmp_path / f"{flip}.png", page_frame(flip, 1))
        images.append((tmp_path / f"{flip}.png").read_bytes())
    model = flipdetect.load("tiny_cnn")
    wanted = model.predict([page_frame(True, 1), page_frame(False, 1)]).tolist()
    encoded = [*(base64.b64encode(image).decode() for image in images), base64.b64encode(b"no image").decode()]
    as_bytes = mlflow.pyfunc.load_model(uri).predict({"image": [*images, b"no image", "no base64"]})
    check(as_bytes[:3].to_dict("records"), wanted)
    assert "no JPEG" in as_bytes["error"][3]

    with Path("images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image"], *([image] for image in encoded)])
    command = [sys.executable, "-m", "mlflow", "models"]
    local = ["--env-manager", "local"]
    job = [*command, "predict", "-m", uri, *local, "-i", "images.csv", "-t", "csv", "-o", "scores.json"]
    subprocess.run(job, check=True, timeout=WAIT_S)
    check(json.loads(Path("scores.json").read_text())["predictions"], wanted)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = [*command, "serve", "-m", uri, *local, "-p", str(port), "--workers", "1"]
    with subprocess.Popen(serve, start_new_session=True) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/ping", server)
            body = {"dataframe_split": {"columns": ["image"], "data": [[image] for image in encoded]}}
            answer = requests.post(f"{address}/invocations", json=body, timeout=WAIT_S)
            assert answer.status_code == 200, answer.text
            check(answer.json()["predictions"], wanted)
            assert requests.post(f"{address}/invocations", json={"inputs": 3}, timeout=WAIT_S).status_code == 400
        finally:
            os.killpg(server.pid, 15)


def check(rows: list[dict[str, object]], wanted: list[float]) -> None:
    assert [row["probability"] for row in rows[:2]] == pytest.approx(wanted, abs=1e-5)
    assert [row["label"] in ("flip", "notflip") for row in rows] == [True, True, False]
    assert rows[2]["probability"] is None
    assert "no JPEG" in str(rows[2]["error"])


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        assert server.poll() is None, "the server has ended"
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.3)
    raise TimeoutError(address)
