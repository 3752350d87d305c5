"""Batch norms folded into convolutions: the same outputs, and the original stays as it is."""

import pytest
import timm
import torch
from torch import nn

from flipdetect.models import FrameModel
from flipdetect.models.folding import with_folded_norms


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenetv2_035", "resnet18", "vgg11_bn", "regnetx_002"])
def test_folded_network_computes_the_same_without_batch_norms(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
    frames = torch.randn(2, 3, 64, 64)

    folded = with_folded_norms(network)

    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == len(norms)
    with torch.inference_mode():
        torch.testing.assert_close(folded(frames), network(frames), rtol=1e-4, atol=1e-4)


def test_norm_without_statistics_or_after_another_layer_stays():
    free = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    apart = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))

    for network in (free, apart):
        assert any(isinstance(module, nn.BatchNorm2d) for module in with_folded_norms(network).modules())


def test_a_network_whose_layers_run_in_another_order_stays():
    class NormFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.conv(self.norm(x))

    backbone = NormFirst()
    backbone.norm.running_mean.fill_(3.0)
    backbone.norm.running_var.fill_(0.1)
    model = FrameModel(backbone, num_features=3, in_channels=3, dropout=0.0)
    frames = torch.randn(1, 3, 32, 32)

    network = model.for_encoding(1, frames)

    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.inference_mode():
        (found,), (known,) = network.encode(frames, 1), model.eval().encode(frames, 1)
    torch.testing.assert_close(found, known)
