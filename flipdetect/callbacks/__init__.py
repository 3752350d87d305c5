"""Lightning callbacks and loggers of flipdetect, for `trainer.callbacks` and `trainer.logger` in YAML."""

from flipdetect.callbacks.ema import AveragedWeights
from flipdetect.callbacks.features import CachedFeatures
from flipdetect.callbacks.freezing import BackboneFreezing
from flipdetect.callbacks.images import AugmentedBatch, EvaluationCurves, EvidenceMaps, WorstMistakes
from flipdetect.callbacks.mlflow import MlflowArtifacts
from flipdetect.callbacks.progress import ProgressBar
from flipdetect.callbacks.provenance import Provenance
from flipdetect.callbacks.report import RunReport
from flipdetect.callbacks.resume import EpochSeed, InterruptCheckpoint, ResumableCSVLogger
from flipdetect.callbacks.summary import RehearsalCheck, TrainingSummary

__all__ = [
    "AugmentedBatch",
    "AveragedWeights",
    "BackboneFreezing",
    "CachedFeatures",
    "EpochSeed",
    "EvaluationCurves",
    "EvidenceMaps",
    "InterruptCheckpoint",
    "MlflowArtifacts",
    "ProgressBar",
    "Provenance",
    "RehearsalCheck",
    "ResumableCSVLogger",
    "RunReport",
    "TrainingSummary",
    "WorstMistakes",
]
