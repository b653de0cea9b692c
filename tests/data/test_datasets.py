import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from workbench.config import DataOptions
from workbench.data.datasets import CATALOGUE, Dataset, load, probe, stratified_order
from workbench.data.decode import tolerated
from workbench.data.folder_source import path_id
from workbench.errors import WorkbenchError
from workbench.files import decoded_names

CIFAR10 = Path(__file__).parents[2].parent / "shared" / "data" / "cifar10"


@pytest.fixture
def read(tmp_path: Path):
    """Loads data with a cache of its own."""

    def call(data: str | Path, download: bool = False, **options: Any) -> Dataset:
        return load(str(data), DataOptions(cache=tmp_path / "cache", **options), download)

    return call


def picture(number: int, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Image.Image:
    width, height = size
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.full(shape, number % 256, dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def class_folders(root: Path, classes: dict[str, int], size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Path:
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture(number, size, mode).save(root / name / f"{number}.png")
    return root


def all_ids(dataset: Dataset) -> list[int]:
    return [int(i) for split in (dataset.train, dataset.val, dataset.test) for i in split.ids]


def test_digits(read):
    digits = read("digits")
    assert (digits.channels, digits.size, len(digits.classes)) == (1, 8, 10)
    assert (len(digits.train), len(digits.val), len(digits.test)) == (1294, 144, 359)
    assert digits.train.images.max() == 255 and digits.train.images.shape[1:] == (8, 8, 1)
    assert sorted(all_ids(digits)) == list(range(1797))
    from sklearn.datasets import load_digits

    source: Any = load_digits()
    expected = np.round(source.images[digits.val.ids] * 255 / 16)
    assert np.array_equal(digits.val.images[..., 0], expected)
    assert np.array_equal(digits.val.labels, source.target[digits.val.ids])


def test_shapes_has_factors(read):
    shapes = read("shapes")
    assert (len(shapes.train), len(shapes.val), len(shapes.test)) == (9000, 1000, 2000)
    assert set(shapes.factors) == {"hue", "size", "x", "y", "rotation", "background"}
    assert shapes.periods == {"hue": 360.0, "rotation": 360.0}
    assert all(len(values) == 1000 for values in shapes.val.factors.values())


def test_splits_probe_and_limit_are_stratified_and_fixed(read):
    digits = read("digits")
    assert np.bincount(digits.val.labels).min() >= 13
    some = probe(digits, 100)
    assert some.labels is not None
    assert len(some) == 100 and np.bincount(some.labels).min() >= 9
    assert np.array_equal(np.lexsort((some.ids, some.labels)), np.arange(100))
    assert set(some.ids) <= set(digits.test.ids)
    small, smaller = read("digits", limit=200), read("digits", limit=50)
    assert len(small.train) == 200 and np.bincount(small.train.labels).min() >= 18
    assert np.array_equal(small.train.ids[:50], smaller.train.ids)
    assert np.array_equal(small.test.ids, digits.test.ids) and small.fingerprint == digits.fingerprint
    assert len(read("digits", limit=10**6).train) == len(digits.train)


def test_stratified_order_does_not_depend_on_the_order_of_samples():
    generator = np.random.default_rng(0)
    ids, labels = np.arange(500, dtype=np.int64), generator.integers(0, 7, 500)
    shuffle = generator.permutation(500)
    shuffled = stratified_order(ids[shuffle], labels[shuffle], "a")
    assert np.array_equal(ids[stratified_order(ids, labels, "a")], ids[shuffle][shuffled])
    assert not np.array_equal(stratified_order(ids, labels, "a"), stratified_order(ids, labels, "b"))


def test_another_size(read):
    larger = read("digits", image_size=16)
    assert larger.size == 16 and larger.val.images.shape[1:] == (16, 16, 1)
    assert larger.fingerprint != read("digits").fingerprint


def test_class_folders(read, tmp_path: Path):
    dataset = read(class_folders(tmp_path / "pets", {"cat": 20, "dog": 20, ".hidden": 3}))
    assert (dataset.name, dataset.classes, dataset.channels, dataset.size) == ("pets", ["cat", "dog"], 3, 16)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (29, 3, 8)
    assert np.bincount(dataset.test.labels).tolist() == [4, 4]
    names = {path_id(f"{kind}/{number}.png"): (kind, number) for kind in ("cat", "dog") for number in range(20)}
    for split in (dataset.train, dataset.val, dataset.test):
        files = decoded_names(split.names)
        for image, label, sample, file in zip(split.images, split.labels, split.ids, files, strict=True):
            assert names[int(sample)] == (dataset.classes[label], image[0, 0, 0])
            assert file == f"{dataset.classes[label]}/{image[0, 0, 0]}.png"
    assert decoded_names(dataset.test.take(slice(2)).names) == decoded_names(dataset.test.names)[:2]


def test_train_and_test_folders(read, tmp_path: Path):
    class_folders(tmp_path / "data" / "train", {"a": 10, "b": 10})
    class_folders(tmp_path / "data" / "val", {"b": 4})
    dataset = read(tmp_path / "data")
    assert dataset.classes == ["a", "b"] and len(dataset.train) + len(dataset.val) == 20
    assert dataset.test.labels.tolist() == [1, 1, 1, 1]


def test_flat_folders_are_unlabelled(read, tmp_path: Path):
    class_folders(tmp_path, {"photos": 12}, mode="L")
    dataset = read(tmp_path / "photos")
    assert dataset.classes is None and dataset.train.labels is None and dataset.channels == 1
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (9, 1, 2)
    assert probe(dataset).ids.tolist() == sorted(dataset.test.ids.tolist())


def test_photos_are_upright_resized_and_cut_at_the_centre(read, tmp_path: Path):
    pixels = np.zeros((100, 300, 3), dtype=np.uint8)
    pixels[:, :100, 0], pixels[:, 100:200, 1], pixels[:, 200:, 2] = 255, 255, 255
    photo = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    (tmp_path / "photos").mkdir()
    for number in range(3):
        photo.save(tmp_path / "photos" / f"{number}.jpg", exif=exif, quality=95)
    dataset = read(tmp_path / "photos")
    image = dataset.train.images[0].astype(int)
    assert dataset.size == 64 and abs(image[8:-8] - [0, 255, 0]).max() < 12
    wide = read(tmp_path / "photos", image_size=100)
    assert wide.size == 100


def test_a_changed_folder_is_read_again(read, tmp_path: Path):
    folder = class_folders(tmp_path / "x", {"a": 5, "b": 5})
    before = read(folder)
    picture(99).save(folder / "a" / "new.png")
    after = read(folder)
    assert len(all_ids(after)) == 11 and before.fingerprint != after.fingerprint


def test_a_link_to_nothing_is_a_corrupt_image(read, tmp_path: Path):
    folder = class_folders(tmp_path / "x", {"a": 10, "b": 10})
    (folder / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert len(all_ids(read(folder))) == 20
    (folder / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(WorkbenchError, match=r"More than 1 % of the 22 images cannot be decoded.*a/gone\.png"):
        read(folder)
    assert len(all_ids(read(folder, skip_corrupt=True))) == 20


@pytest.mark.parametrize(("own", "side"), [(3, 3), (8, 8), (25, 24), (50, 48), (64, 64), (65, 64), (500, 64)])
def test_sides_are_such_as_networks_can_halve(read, tmp_path: Path, own: int, side: int):
    assert read(class_folders(tmp_path / "x", {"a": 5, "b": 5}, (own, own))).size == side


@pytest.mark.parametrize(("total", "share"), [(3, 1), (100, 1), (101, 2), (50_000, 500)])
def test_one_percent_may_be_corrupt_and_at_least_one_image(total: int, share: int):
    assert tolerated(total, False) == share and tolerated(total, True) == total


def test_one_corrupt_image_is_named_and_left_out(read, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = class_folders(tmp_path / "x", {"a": 10, "b": 10})
    (folder / "a" / "3.png").write_bytes(encoded(picture(3))[:60])
    for _ in range(2):  # decoded, then from the cache
        dataset = read(folder)
        assert len(all_ids(dataset)) == 19 and len(dataset.skipped) == 1
        assert f"Left out 1 of 20 images of x, which are corrupt: {folder / 'a' / '3.png'}" in capsys.readouterr().err


def test_more_corrupt_images_are_left_out_if_asked_for(read, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = class_folders(tmp_path / "x", {"a": 10, "b": 10})
    (folder / "a" / "3.png").write_bytes(encoded(picture(3))[:60])
    (folder / "b" / "4.png").write_text("not an image")
    with pytest.raises(WorkbenchError, match=r"More than 1 % .* first is .*a/3\.png .*--data\.skip-corrupt"):
        read(folder)
    assert not list((tmp_path / "cache" / "decoded").iterdir())
    dataset = read(folder, skip_corrupt=True)
    assert "Left out 2 of 20 images of x, which are corrupt: " in capsys.readouterr().err
    assert len(all_ids(dataset)) == 18 and len(dataset.skipped) == 2
    for split in (dataset.train, dataset.val, dataset.test):
        assert len(split.images) == len(split.labels) == len(split.ids)
        for image, sample in zip(split.images, split.ids, strict=True):
            assert int(sample) in {path_id(f"{kind}/{image[0, 0, 0]}.png") for kind in "ab"}
    with pytest.raises(WorkbenchError, match=r"3\.png"):
        read(folder)


def write_parquet(
    path: Path, numbers: range, labels: list[Any] | None = None, layout: str = "img", names: Any = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = [encoded(picture(number)) for number in numbers]
    if layout == "flat":
        table = pa.table({"img.bytes": data})
    elif layout == "binary":
        table = pa.table({"image": data})
    else:
        table = pa.table({layout: [{"bytes": item, "path": f"{n}.png"} for n, item in enumerate(data)]})
    if labels is not None:
        table = table.append_column("label", pa.array(labels))
    if names is not None:
        info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(table, path)


@pytest.mark.parametrize("layout", ["img", "image", "picture", "flat", "binary"])
def test_layouts_of_parquet(read, tmp_path: Path, layout: str):
    write_parquet(tmp_path / "d" / "train-0.parquet", range(30), [n % 2 for n in range(30)], layout, ["even", "odd"])
    write_parquet(tmp_path / "d" / "train-1.parquet", range(30, 40), [n % 2 for n in range(10)], layout)
    write_parquet(tmp_path / "d" / "test-0.parquet", range(4), [0, 1, 0, 1], layout)
    dataset = read(tmp_path / "d")
    assert dataset.classes == ["even", "odd"] and (dataset.channels, dataset.size) == (3, 16)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (36, 4, 4)
    assert dataset.test.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert np.array_equal(dataset.train.images[:, 0, 0, 0], dataset.train.ids)
    assert np.array_equal(dataset.train.labels, dataset.train.ids % 2)
    if layout in ("flat", "binary"):
        assert dataset.test.names is None
    else:
        assert decoded_names(dataset.test.names) == [f"{n}.png" for n in range(4)]


def test_one_parquet_file_with_text_labels_or_none(read, tmp_path: Path):
    write_parquet(tmp_path / "a.parquet", range(20), ["x", "y"] * 10)
    dataset = read(tmp_path / "a.parquet")
    assert dataset.name == "a" and dataset.classes == ["x", "y"] and len(dataset.test) == 4
    write_parquet(tmp_path / "b.parquet", range(20), [-1] * 20)
    assert read(tmp_path / "b.parquet").classes is None
    write_parquet(tmp_path / "c.parquet", range(20))
    assert read(tmp_path / "c.parquet").train.labels is None


def test_corrupt_bytes_in_parquet_are_named_by_row(read, tmp_path: Path):
    cells = [encoded(picture(n)) for n in range(9)] + [b"junk"] * 2
    pq.write_table(pa.table({"image": [{"bytes": cell} for cell in cells]}), tmp_path / "x.parquet")
    with pytest.raises(WorkbenchError, match=r"the first is in row 9 of .*x\.parquet"):
        read(tmp_path / "x.parquet")


def test_cifar10_in_parquet(read):
    if not CIFAR10.exists():
        pytest.skip("shared/data/cifar10 is not beside the repository")
    dataset = read(CIFAR10 / "test.parquet")
    assert (dataset.channels, dataset.size, len(dataset.classes)) == (3, 32, 10)
    assert np.bincount(dataset.test.labels).tolist() == [200] * 10
    row = pq.read_table(CIFAR10 / "test.parquet").slice(int(dataset.val.ids[0]), 1).to_pylist()[0]
    assert np.array_equal(dataset.val.images[0], np.asarray(Image.open(io.BytesIO(row["img"]["bytes"]))))
    assert dataset.val.labels[0] == row["label"]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("shaeps", {}, 'Unknown data set "shaeps"; did you mean "shapes"?'),
        ("no/such/folder", {}, "There is no file or folder no/such/folder"),
        ("missing.parquet", {}, "There is no file or folder missing.parquet"),
        ("mnist", {}, 'The data set "mnist" is not in .*downloads; add --download'),
        ("digits", {"split": "unlabelled"}, '"digits" has no unlabelled split'),
        ("digits", {"limit": 0}, "--data.limit must be at least 1"),
        ("digits", {"image_size": 0}, "--data.image-size must be at least 1"),
    ],
)
def test_bad_requests(read, data: str, options: dict[str, Any], message: str):
    with pytest.raises(WorkbenchError, match=message.replace("?", r"\?")):
        read(data, **options)


def test_bad_places(read, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorkbenchError, match=r"no images in .*empty"):
        read(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(WorkbenchError, match="is not a Parquet file"):
        read(tmp_path / "notes.txt")
    (tmp_path / "bad.parquet").write_text("junk")
    with pytest.raises(WorkbenchError, match="cannot be read as Parquet"):
        read(tmp_path / "bad.parquet")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    with pytest.raises(WorkbenchError, match=r"no column of images \(columns: text\)"):
        read(tmp_path / "text.parquet")


def test_torchvisions_sets(read, monkeypatch: pytest.MonkeyPatch):
    from torchvision import datasets

    def fake(root: Path, download: bool, train: bool) -> Any:
        if not download and not root.exists():
            raise RuntimeError("Dataset not found.")
        n = 50 if train else 20
        data = np.arange(n, dtype=np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
        return SimpleNamespace(data=data, targets=[i % 10 for i in range(n)], classes=[f"{i} - x" for i in range(10)])

    monkeypatch.setattr(datasets, "MNIST", fake)
    with pytest.raises(WorkbenchError, match="--download"):
        read("mnist")
    dataset = read("mnist", download=True)
    assert (len(dataset.train), len(dataset.val), len(dataset.test), dataset.channels) == (45, 5, 20, 1)

    def broken(root: Path, download: bool, train: bool) -> Any:
        raise OSError("name resolution failed\nand more")

    monkeypatch.setattr(datasets, "CIFAR100", broken)
    with pytest.raises(WorkbenchError, match=r'download of "cifar100" .* failed \(name resolution failed\)'):
        read("cifar100", download=True)


def test_unlabelled_stl10_keeps_the_labelled_test(read, monkeypatch: pytest.MonkeyPatch):
    from torchvision import datasets

    def fake(root: Path, download: bool, split: str) -> Any:
        n = {"train": 20, "unlabeled": 60, "test": 10}[split]
        labels = np.full(n, -1) if split == "unlabeled" else np.arange(n) % 2
        return SimpleNamespace(data=np.zeros((n, 3, 96, 96), dtype=np.uint8), labels=labels, classes=["a", "b"])

    monkeypatch.setattr(datasets, "STL10", fake)
    dataset = read("stl10", split="unlabelled")
    assert len(dataset.train) == 54 and dataset.train.labels is None and dataset.val.labels is None
    assert dataset.test.labels.tolist() == [0, 1] * 5
    assert set(dataset.train.ids).isdisjoint(read("stl10").train.ids)


def test_photos_from_torchvision(read, monkeypatch: pytest.MonkeyPatch):
    from torchvision import datasets

    class Fake:
        classes = ("a", "b")
        _labels = (0, 1) * 5

        def __init__(self, root: Path, download: bool, split: str) -> None:
            pass

        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> Any:
            return picture(index, (30, 20)), self._labels[index]

    monkeypatch.setattr(datasets, "OxfordIIITPet", Fake)
    dataset = read("pets", image_size=8)
    assert dataset.test.images[:, 4, 4, 0].tolist() == list(range(10)) and dataset.size == 8


def test_the_catalogue_needs_no_torch():
    loaded = "{'torch', 'torchvision', 'sklearn', 'pyarrow'} & set(sys.modules)"
    code = f"import sys; from workbench.data.datasets import CATALOGUE; assert not {loaded}"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"digits", "shapes", "stl10"} <= set(CATALOGUE)
