"""Weights from a local file."""

import hashlib
import io
import pickle
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from medflow.domain.task import NetworkRule, Pretrained
from medflow.errors import BatchError, ConfigurationError, IntegrityError
from medflow.learning.limits import LEAST_SIDE
from medflow.learning.networks import NETWORKS, build, network_of
from medflow.learning.pretrained import frozen, load
from tests.learning.thin import needs_einops, thin

Tensors = dict[str, torch.Tensor]
RESNET = thin("resnet10")


def made(rule: NetworkRule, width: int = 2, *, channels: int = 1, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build(rule, width, (LEAST_SIDE[rule.name],) * rule.dimensions, channels=channels)


def kept(tensors: object, path: Path, *, legacy: bool = False) -> Pretrained:
    torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
    return named(path)


def named(path: Path, train: str = "all") -> Pretrained:
    return Pretrained(file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), train=train, path=path)


def trunk(rule: NetworkRule, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    head = network_of(rule).head
    return {name: value for name, value in tensors.items() if not name.startswith(f"{head}.")}


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


NAMES = [pytest.param(name, marks=needs_einops if name == "vit" else ()) for name in NETWORKS]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_takes_the_trunk_of_its_own_kind_and_keeps_its_own_head(name: str, tmp_path: Path) -> None:
    rule, file = thin(name), made(thin(name), 5, seed=1).state_dict()
    network = made(rule, seed=2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    head = network_of(rule).head

    found = load(network, replace(rule, pretrained=kept(file, tmp_path / "weights.pt")), channels=1)

    after = network.state_dict()
    assert same(trunk(rule, after), trunk(rule, file))
    assert set(found.made) == set(found.misfits) == {f"{head}.weight", f"{head}.bias"}
    assert torch.equal(after[f"{head}.weight"], before[f"{head}.weight"])
    assert found.unused == found.inflated == ()
    assert found.channels is None


def test_a_head_of_the_same_shape_is_the_files_too(tmp_path: Path) -> None:
    file = made(RESNET, seed=1).state_dict()
    network = made(RESNET, seed=2)

    found = load(network, replace(RESNET, pretrained=kept(file, tmp_path / "weights.pt")), channels=1)

    assert found.made == ()
    assert same(network.state_dict(), file)


def cadene(name: str) -> str:
    name = re.sub(r"(layer\d\.\d\.conv\d)\.conv\.", r"\1.", name)
    name = re.sub(r"conv(\d)\.adn\.N\.", r"bn\1.", name)
    name = name.replace("se_layer.fc.0", "se_module.fc1").replace("se_layer.fc.2", "se_module.fc2")
    return name.replace("project.conv", "downsample.0").replace("project.adn.N", "downsample.1")


def old_densenet(name: str) -> str:
    name = re.sub(r"layers\.(norm|conv)([12])", r"\1.\2", name)
    return name.replace("class_layers.out", "classifier")


def new_densenet(name: str) -> str:
    return name.replace(".layers.", ".").replace("class_layers.out", "classifier")


def counted_through(name: str) -> str:
    return re.sub(r"_blocks\.\d+\.(\d+)\.", r"_blocks.\1.", name)


@pytest.mark.parametrize(
    ("name", "others", "an_example"),
    [
        pytest.param("resnet18", lambda name: f"module.{name}", "module.layer1.0.conv1.weight", id="data-parallel"),
        pytest.param("densenet121", old_densenet, "features.denseblock1.denselayer1.norm.1.weight", id="old-densenet"),
        pytest.param("densenet121", new_densenet, "features.denseblock1.denselayer1.norm1.weight", id="new-densenet"),
        pytest.param(
            "densenet169",
            lambda name: old_densenet(name).removeprefix("features."),
            "denseblock1.denselayer1.norm.1.weight",
            id="bare-densenet",
        ),
        pytest.param("seresnet50", cadene, "layer1.0.se_module.fc1.weight", id="cadene-seresnet"),
        pytest.param("efficientnet-b0", counted_through, "_blocks.15._bn2.weight", id="efficientnet-pytorch"),
    ],
)
def test_a_file_that_names_its_tensors_otherwise_is_understood(
    name: str, others: Callable[[str], str], an_example: str, tmp_path: Path
) -> None:
    rule, file = thin(name), made(thin(name), seed=1).state_dict()
    renamed = {others(key): value for key, value in file.items()}
    network = made(rule, seed=2)

    found = load(network, replace(rule, pretrained=kept(renamed, tmp_path / "weights.pt")), channels=1)

    assert an_example in renamed
    assert len(renamed) == len(file)
    assert found.made == found.unused == ()
    assert same(network.state_dict(), file)


def test_the_one_by_one_convolutions_of_a_squeeze_are_read_as_linear_layers(tmp_path: Path) -> None:
    rule = thin("seresnet50")
    file = made(rule, seed=1).state_dict()
    whole = {
        cadene(name): value[..., None, None] if "se_layer" in name and value.ndim == 2 else value
        for name, value in file.items()
    }
    network = made(rule, seed=2)

    load(network, replace(rule, pretrained=kept(whole, tmp_path / "weights.pt")), channels=1)

    assert same(network.state_dict(), file)


@pytest.mark.parametrize("padded", [True, False], ids=["padded-shortcuts", "convolved-shortcuts"])
def test_medicalnets_layout_is_read_and_what_it_segments_with_is_left(padded: bool, tmp_path: Path) -> None:  # noqa: FBT001
    rule = thin("resnet18", 3, pad_shortcuts=padded)
    file = trunk(rule, made(rule, seed=1).state_dict())
    layout = {f"module.{name}": value for name, value in file.items() if "num_batches" not in name}
    layout["module.conv_seg.0.weight"] = torch.ones(4, 4, 2, 2, 2)
    network = made(rule, seed=2)

    source = kept({"state_dict": layout, "epoch": 90}, tmp_path / "resnet_18.pth")
    found = load(network, replace(rule, pretrained=source), channels=1)

    assert found.unused == ("conv_seg.0.weight",)
    assert found.made == ("fc.weight", "fc.bias")
    assert found.misfits == ()
    assert same(trunk(rule, network.state_dict()), file)


def test_torchvisions_inception_is_read_and_its_auxiliary_classifier_left(tmp_path: Path) -> None:
    rule = thin("inception_v3")
    file = made(rule, 1000, channels=3, seed=1).state_dict()
    network = made(rule, channels=3, seed=2)

    source = kept(file | {"AuxLogits.fc.weight": torch.ones(3, 3)}, tmp_path / "weights.pth")
    found = load(network, replace(rule, pretrained=source), channels=3)

    assert found.unused == ("AuxLogits.fc.weight",)
    assert set(found.misfits) == {"fc.weight", "fc.bias"}
    assert same(trunk(rule, network.state_dict()), trunk(rule, file))


def test_safetensors_are_read_as_well(tmp_path: Path) -> None:
    file = made(RESNET, seed=1).state_dict()
    save_file(file, tmp_path / "weights.safetensors")
    network = made(RESNET, seed=2)

    load(network, replace(RESNET, pretrained=named(tmp_path / "weights.safetensors")), channels=1)

    assert same(network.state_dict(), file)


@pytest.mark.parametrize("name", ["densenet121", "resnet10", "efficientnet-b0", "inception_v3", "sequential_cnn"])
@pytest.mark.parametrize(("given", "wanted"), [(3, 1), (1, 3)])
def test_a_grey_picture_gets_the_answer_that_it_got_with_other_channels(
    name: str, given: int, wanted: int, tmp_path: Path
) -> None:
    rule, side = thin(name), LEAST_SIDE[name]
    teacher = made(rule, channels=given, seed=1).eval()
    network = made(rule, channels=wanted, seed=2).eval()
    grey = torch.rand(1, 1, side, side)

    source = kept(teacher.state_dict(), tmp_path / "weights.pt")
    found = load(network, replace(rule, pretrained=source), channels=wanted)

    assert found.channels == (given, wanted)
    with torch.inference_mode():
        torch.testing.assert_close(network(grey.repeat(1, wanted, 1, 1)), teacher(grey.repeat(1, given, 1, 1)))


@pytest.mark.parametrize("name", ["densenet121", "resnet10", "seresnet50", "inception_v3"])
def test_flat_kernels_become_deep_ones_that_answer_alike_where_nothing_changes_in_depth(
    name: str, tmp_path: Path
) -> None:
    flat, deep = thin(name, 2), thin(name, 3)
    file = made(flat, channels=3, seed=1).state_dict()
    network = made(deep, seed=2)

    found = load(network, replace(deep, pretrained=kept(file, tmp_path / "weights.pt")), channels=1)

    first = f"{network_of(deep).first}.weight"
    kernels = {name: value for name, value in network.state_dict().items() if value.ndim == 5}
    assert found.channels == (3, 1)
    assert set(found.inflated) == set(kernels)
    for key, kernel in kernels.items():
        wanted = file[key].sum(1, keepdim=True) if key == first else file[key]
        torch.testing.assert_close(kernel.sum(-1), wanted, rtol=1e-5, atol=1e-6)
        assert torch.equal(kernel[..., 0], kernel[..., -1])


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("form", ["zipped", "legacy", "bare"])
def test_a_file_that_would_run_code_runs_none_and_is_refused(form: str, tmp_path: Path) -> None:
    trap, path = {"conv1.weight": torch.ones(2), "more": Trap(tmp_path / "sprung")}, tmp_path / "weights.pt"
    if form == "bare":
        path.write_bytes(pickle.dumps(trap))
    else:
        kept(trap, path, legacy=form == "legacy")
    network = made(RESNET)

    with pytest.raises(ConfigurationError, match="could run code"):
        load(network, replace(RESNET, pretrained=named(path)), channels=1)

    assert not (tmp_path / "sprung").exists()


def test_a_file_that_changed_after_the_task_was_read_is_refused(tmp_path: Path) -> None:
    source = kept(made(RESNET, seed=1).state_dict(), tmp_path / "weights.pt")
    kept(made(RESNET, seed=3).state_dict(), tmp_path / "weights.pt")
    network = made(RESNET)

    with pytest.raises(IntegrityError, match="no longer what the task says"):
        load(network, replace(RESNET, pretrained=source), channels=1)


def test_a_file_that_is_gone_is_named_without_its_folder(tmp_path: Path) -> None:
    source = kept({}, tmp_path / "weights.pt")
    (tmp_path / "weights.pt").unlink()

    for gone in (source, replace(source, path=None)):
        with pytest.raises(ConfigurationError, match=r"'weights\.pt'") as caught:
            load(made(RESNET), replace(RESNET, pretrained=gone), channels=1)
        assert str(tmp_path) not in str(caught.value)


MISFITS = [
    pytest.param(thin("resnet18"), thin("resnet34"), "for layers that it has not: layer1.2.bn1.bias", id="deeper"),
    pytest.param(thin("resnet34"), thin("resnet18"), "lacks .* layer1.2.conv1.weight", id="shallower"),
    pytest.param(thin("resnet10", widen_factor=0.25), RESNET, "in another shape: conv1.weight", id="narrower"),
    pytest.param(thin("densenet121"), thin("densenet169"), "does not fit densenet121 as a whole", id="other-densenet"),
    pytest.param(thin("densenet121"), thin("resnet10"), "lacks 604 of its 604", id="another-kind"),
    pytest.param(RESNET, thin("resnet10", pad_shortcuts=True), "set pad_shortcuts: true", id="padded-file"),
    pytest.param(thin("resnet10", pad_shortcuts=True), RESNET, "set pad_shortcuts: false", id="padded-network"),
    pytest.param(RESNET, thin("resnet10", bias_downsample=True), "set bias_downsample: true", id="biased-file"),
    pytest.param(thin("resnet10", bias_downsample=True), RESNET, "set bias_downsample: false", id="biased-network"),
]


@pytest.mark.parametrize(("rule", "other", "said"), MISFITS)
def test_a_trunk_that_does_not_match_wholly_is_refused_and_nothing_of_it_loaded(
    rule: NetworkRule, other: NetworkRule, said: str, tmp_path: Path
) -> None:
    source = kept(made(other, seed=1).state_dict(), tmp_path / "weights.pt")
    network = made(rule, seed=2)
    before = {name: value.clone() for name, value in network.state_dict().items()}

    with pytest.raises(BatchError, match=said):
        load(network, replace(rule, pretrained=source), channels=1)

    assert same(network.state_dict(), before)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param({}, "no tensors by name", id="empty"),
        pytest.param([torch.ones(2)], "no tensors by name", id="a-list"),
        pytest.param({"state_dict": {"epoch": 3}}, "no tensors by name", id="no-tensors"),
    ],
)
def test_a_file_without_tensors_is_refused(content: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(made(RESNET), replace(RESNET, pretrained=kept(content, tmp_path / "weights.pt")), channels=1)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    file = made(RESNET, seed=1).state_dict()
    file["layer1.0.conv1.weight"][0] = torch.nan

    with pytest.raises(ConfigurationError, match=r"no numbers in layer1\.0\.conv1\.weight"):
        load(made(RESNET), replace(RESNET, pretrained=kept(file, tmp_path / "weights.pt")), channels=1)


WHOLE = io.BytesIO()
torch.save(made(RESNET, seed=1).state_dict(), WHOLE)


@given(place=st.integers(0, len(WHOLE.getvalue()) - 1), byte=st.integers(0, 255), length=st.integers(0, 2**17))
def test_a_damaged_file_is_refused_or_its_tensors_are_numbers(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, length: int
) -> None:
    content = bytearray(WHOLE.getvalue())
    content[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.pt"
    path.write_bytes(bytes(content[: max(length, place)]))
    network = made(RESNET)

    with suppress(BatchError):
        load(network, replace(RESNET, pretrained=named(path)), channels=1)

    assert all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())


def test_the_report_is_plain_and_counts_what_it_does_not_name(tmp_path: Path) -> None:
    source = kept(made(RESNET, 5, channels=3, seed=1).state_dict(), tmp_path / "weights.pt")
    deep = thin("resnet10", 3)

    record = load(made(deep), replace(deep, pretrained=source), channels=1).record()

    assert record == {
        "file": "weights.pt",
        "sha256": source.sha256,
        "train": "all",
        "matched": 60,
        "made": ["fc.weight", "fc.bias"],
        "unused": [],
        "misfits": ["fc.bias", "fc.weight"],
        "channels": [3, 1],
        "inflated": 12,
    }


def test_a_frozen_trunk_neither_learns_nor_keeps_statistics(tmp_path: Path) -> None:
    source = kept(made(RESNET, seed=1).state_dict(), tmp_path / "weights.pt")
    rule = replace(RESNET, pretrained=replace(source, train="head"))
    network = made(rule)
    load(network, rule, channels=1)
    before = {name: value.clone() for name, value in trunk(rule, network.state_dict()).items()}

    network.train()
    frozen(network, rule)
    step = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], lr=0.1)
    network(torch.rand(4, 1, 16, 16)).square().sum().backward()
    step.step()

    assert {name for name, weight in network.named_parameters() if weight.requires_grad} == {"fc.weight", "fc.bias"}
    assert same(trunk(rule, network.state_dict()), before)
    assert network.training


def test_full_fine_tuning_holds_nothing_still(tmp_path: Path) -> None:
    source = kept(made(RESNET, seed=1).state_dict(), tmp_path / "weights.pt")
    network = made(RESNET).train()

    frozen(network, replace(RESNET, pretrained=source))

    assert all(weight.requires_grad for weight in network.parameters())
    assert all(layer.training for layer in network.modules())
