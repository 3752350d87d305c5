"""Lightning callbacks and loggers of flipdetect, for `trainer.callbacks` and `trainer.logger` in YAML."""

from flipdetect.callbacks.box_pictures import BoxPictures, DetectionSummary, WorstPictures
from flipdetect.callbacks.checkpoints import (
    AtomicCheckpointIO,
    EpochSeed,
    InterruptCheckpoint,
    Provenance,
    ResumableCSVLogger,
    ResumedState,
)
from flipdetect.callbacks.distillation import Distillation
from flipdetect.callbacks.ema import AveragedWeights
from flipdetect.callbacks.freezing import BackboneFreezing, CachedFeatures
from flipdetect.callbacks.images import AugmentedBatch, EvaluationCurves, WorstMistakes
from flipdetect.callbacks.monitoring import MlflowArtifacts, ProgressBar
from flipdetect.callbacks.scores import RunReport
from flipdetect.callbacks.summary import RehearsalCheck, TrainingSummary

__all__ = [
    "AtomicCheckpointIO",
    "AugmentedBatch",
    "AveragedWeights",
    "BackboneFreezing",
    "BoxPictures",
    "CachedFeatures",
    "DetectionSummary",
    "Distillation",
    "EpochSeed",
    "EvaluationCurves",
    "InterruptCheckpoint",
    "MlflowArtifacts",
    "ProgressBar",
    "Provenance",
    "RehearsalCheck",
    "ResumableCSVLogger",
    "ResumedState",
    "RunReport",
    "TrainingSummary",
    "WorstMistakes",
    "WorstPictures",
]
