"""Lightning callbacks and loggers of our own, to be named in YAML beside Lightning's."""

from flipdetect.callbacks.averaging import AveragedWeights
from flipdetect.callbacks.evidence import EvidenceMaps
from flipdetect.callbacks.features import CachedFeatures
from flipdetect.callbacks.freezing import BackboneFreezing
from flipdetect.callbacks.history import ResumableCSVLogger
from flipdetect.callbacks.interrupt import InterruptCheckpoint
from flipdetect.callbacks.pictures import AugmentedBatch, EvaluationCurves, WorstMistakes
from flipdetect.callbacks.progress import ProgressBar
from flipdetect.callbacks.provenance import Provenance
from flipdetect.callbacks.rehearsal import RehearsalCheck
from flipdetect.callbacks.report import RunReport
from flipdetect.callbacks.seeding import EpochSeed
from flipdetect.callbacks.tracking import MlflowArtifacts

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
