"""Lightning callbacks and loggers of our own, to be named in YAML beside Lightning's."""

from flipdetect.callbacks.ema import AveragedWeights
from flipdetect.callbacks.evidence import EvidenceMaps
from flipdetect.callbacks.features import CachedFeatures
from flipdetect.callbacks.freezing import BackboneFreezing
from flipdetect.callbacks.history import ResumableCSVLogger
from flipdetect.callbacks.images import AugmentedBatch, EvaluationCurves, WorstMistakes
from flipdetect.callbacks.mlflow import MlflowArtifacts
from flipdetect.callbacks.progress import ProgressBar
from flipdetect.callbacks.provenance import Provenance
from flipdetect.callbacks.rehearsal_check import RehearsalCheck
from flipdetect.callbacks.report import RunReport
from flipdetect.callbacks.resume import InterruptCheckpoint
from flipdetect.callbacks.seeding import EpochSeed

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
    "WorstMistakes",
]
