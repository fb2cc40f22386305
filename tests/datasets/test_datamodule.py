from __future__ import annotations

import dataclasses
import logging
import shutil

import broken
import lightning as L
import pytest
import torch

from i3d_lightning.datasets.clips import WholeVideos, collate_whole
from i3d_lightning.datasets.datamodule import StepSampler, VideoDataModule
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.errors import InputError
from i3d_lightning.flow import FlowStore, FlowToCome, compute_all
from i3d_lightning.recipe import Clips, Flow, Recipe, Training
from i3d_lightning.video import boundary, decoding
from i3d_lightning.video.file import ChangedFileError

RECIPE = Recipe(
    clips=Clips(fps=25.0, short_side=32, crop=24, train_frames=9, test_frames=99),
    flow=Flow(scales=1, warps=1, inner_iterations=2, outer_iterations=1, bound=4.0),
    training=Training(
        steps=6,
        validate_every=2,
        validation_fraction=0.25,
        batch_size=4,
        reference_batch=4,
        device_batch=2,
        stages=((3, 0.1),),
        workers=0,
    ),
)


def recipe(**training) -> Recipe:
    return dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, **training))


@pytest.fixture
def split(tiny_ucf):
    return read_dataset("ucf101", tiny_ucf, 1)


@pytest.fixture
def data(split):
    return VideoDataModule(split, "rgb", RECIPE, seed=0)


@pytest.fixture
def with_a_broken_video(split, tmp_path):
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no video")

    def spoil(videos):
        return (dataclasses.replace(videos[0], path=broken), *videos[1:])

    return dataclasses.replace(split, train=spoil(split.train), test=spoil(split.test))


class Witness(L.LightningModule):
    """Writes down what it is trained and validated on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int], int]] = []
        self.validated: list[int] = []

    def training_step(self, batch, batch_idx):
        assert set(batch) == {"clips", "label", "index"}
        self.seen.append((self.global_step, batch["index"].tolist(), int(batch["clips"][0].long().sum())))
        return self.weight * batch["clips"][0].float().mean()

    def validation_step(self, batch, batch_idx):
        self.validated += batch["index"].tolist()

    def test_step(self, batch, batch_idx):
        pass

    def predict_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, folder, epochs, checkpoint=None, **options):
    witness = Witness()
    trainer = L.Trainer(
        max_epochs=epochs, accumulate_grad_batches=data.accumulate(1), num_sanity_val_steps=0, logger=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", default_root_dir=folder,
        enable_checkpointing=False, **options,
    )  # fmt: skip
    trainer.fit(witness, data, ckpt_path=checkpoint)
    return witness, trainer


def test_training_and_validation_share_no_group(data, split):
    assert len(data.train_videos) + len(data.validation_videos) == len(split.train)
    assert not {v.group for v in data.train_videos} & {v.group for v in data.validation_videos}
    assert data.validation_videos


def test_an_epoch_is_validate_every_steps(data, tmp_path):
    witness, trainer = fit(data, tmp_path, epochs=3)
    assert trainer.global_step == 6
    assert [step for step, _, _ in witness.seen] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert all(len(index) == 2 for _, index, _ in witness.seen)
    drawn = [i for _, index, _ in witness.seen for i in index]
    videos = len(data.train_videos)
    assert sorted(drawn[:videos]) == list(range(videos))  # a pass takes every video once
    assert witness.validated == 3 * list(range(len(data.validation_videos)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_equals_an_undisturbed_one(split, tmp_path, workers):
    def module():
        return VideoDataModule(split, "rgb", recipe(workers=workers), seed=3)

    undisturbed, _ = fit(module(), tmp_path, epochs=3)
    first, trainer = fit(module(), tmp_path, epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    rest, _ = fit(module(), tmp_path, epochs=3, checkpoint=tmp_path / "last.ckpt")
    assert first.seen + rest.seen == undisturbed.seen
    assert len({total for _, _, total in undisturbed.seen}) == len(undisturbed.seen)


def test_a_run_resumed_from_a_callbacks_checkpoint_equals_an_undisturbed_one(split, tmp_path):
    """As the protocols save them: inside the epoch's end, before Lightning has counted it as completed."""

    def run(epochs, checkpoint=None):
        keep = L.pytorch.callbacks.ModelCheckpoint(tmp_path, filename="kept", save_on_train_epoch_end=True)
        witness = Witness()
        trainer = L.Trainer(
            max_epochs=epochs, accumulate_grad_batches=2, num_sanity_val_steps=0, callbacks=[keep],
            enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", logger=False,
        )  # fmt: skip
        trainer.fit(witness, VideoDataModule(split, "rgb", RECIPE, seed=3), ckpt_path=checkpoint)
        return witness.seen, keep.best_model_path

    first, path = run(2)
    rest, _ = run(3, path)
    undisturbed, _ = run(3)
    assert first + rest == undisturbed


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_every_step(world_size):
    share = 6 // world_size
    ranks = [
        StepSampler(lambda: 4 * share, steps=2, batch_size=6, rank=r, world_size=world_size)
        for r in range(world_size)
    ]
    assert all(len(rank) == len(list(rank)) == 2 * share for rank in ranks)
    for step in range(2):
        drawn = [draw for rank in ranks for draw in list(rank)[step * share : (step + 1) * share]]
        assert drawn == list(range(24 + 6 * step, 30 + 6 * step))


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_process_goes_on_where_it_stands_to_the_end_of_the_epoch(world_size):
    share = 6 // world_size
    for rank in range(world_size):
        whole = list(StepSampler(lambda: 0, steps=4, batch_size=6, rank=rank, world_size=world_size))
        for drawn in range(4 * share):
            rest = StepSampler(lambda d=drawn: d, steps=4, batch_size=6, rank=rank, world_size=world_size)
            assert list(rest) == whole[drawn:]
            assert len(rest) == len(whole)  # what Lightning counts up to


@pytest.mark.parametrize(
    ("batch_size", "device_batch", "world_size", "micro_batch", "accumulate"),
    [
        (96, 6, 1, 6, 16),
        (96, 6, 16, 6, 1),
        (96, 5, 1, 4, 24),
        (16, 64, 1, 16, 1),
        (14, 4, 2, 1, 7),
        (8, 4, 8, 1, 1),
    ],
)
def test_micro_batches(split, batch_size, device_batch, world_size, micro_batch, accumulate):
    data = VideoDataModule(
        split, "rgb", recipe(batch_size=batch_size, reference_batch=batch_size, device_batch=device_batch), 0
    )
    assert data.micro_batch(world_size) == micro_batch
    assert data.accumulate(world_size) == accumulate


def test_a_batch_that_does_not_divide(data):
    with pytest.raises(InputError, match=r"batch_size 4 cannot be divided among 3 devices"):
        data.micro_batch(3)


def test_test_batches_are_whole_videos(data, split):
    groups = [group for batch in data.test_dataloader() for group in batch["groups"]]
    assert [group["index"].item() for group in groups] == list(range(len(split.test)))
    assert all(group["clips"][0].shape == (1, 3, 12, 24, 24) for group in groups)
    assert all(group["clips"][0].dtype == torch.uint8 for group in groups)


@pytest.mark.parametrize(("device_batch", "videos"), [(1, 1), (2, 1), (4, 3), (100, 75)])
def test_a_test_batch_has_no_more_frames_than_a_training_batch(split, device_batch, videos):
    """Of 9 frames a training clip and at most 12 a whole video."""
    settings = recipe(device_batch=device_batch)
    settings = dataclasses.replace(settings, clips=dataclasses.replace(settings.clips, test_frames=12))
    data = VideoDataModule(split, "rgb", settings, 0)
    assert data.test_dataloader().batch_size == videos


def test_videos_of_one_size_are_tested_together():
    """Each is in one group, as it is alone, whatever the others; a broken one is named."""
    clips = [torch.randint(0, 255, (3, frames, 8, 8), dtype=torch.uint8) for frames in (12, 10, 12)]
    sound = {"label": 0, "error": None, "partly": None, "looped": False}
    items = [{**sound, "clips": (clip,), "index": i} for i, clip in enumerate(clips)]
    items.insert(1, {**sound, "clips": None, "index": 3, "error": "broken"})
    items[2]["partly"] = "10 of 12 frames"
    batch = collate_whole(items)
    assert [group["index"].tolist() for group in batch["groups"]] == [[0, 2], [1]]
    assert torch.equal(batch["groups"][0]["clips"][0], torch.stack([clips[0], clips[2]]))
    assert torch.equal(batch["groups"][1]["clips"][0], clips[1][None])
    assert batch["unreadable"] == {3: "broken"}
    assert batch["partly"] == {1: "10 of 12 frames"}


def test_any_videos_are_read_like_test_videos(data, split):
    chosen = data.whole(split.train[3:5])
    for position, batch in enumerate(chosen.test_dataloader()):
        (group,) = batch["groups"]
        assert group["index"].item() == position
        expected = WholeVideos(split.train[3:5], data.sources, data.clips)[position]["clips"][0]
        assert torch.equal(group["clips"][0][0], expected)


def test_a_broken_test_video_is_not_dropped(with_a_broken_video):
    data = VideoDataModule(with_a_broken_video, "rgb", RECIPE, 0)
    first, second, *_ = data.test_dataloader()
    assert first["groups"] == []
    assert "broken.avi cannot be read as a video" in first["unreadable"][0]
    assert second["groups"][0]["index"].item() == 1
    assert second["unreadable"] == {}


def test_a_broken_training_video_is_named_once(with_a_broken_video, tmp_path, caplog):
    data = VideoDataModule(
        with_a_broken_video, "rgb", recipe(steps=20, validate_every=20, validation_fraction=0.0), 0
    )
    with caplog.at_level(logging.WARNING):
        witness, _ = fit(data, tmp_path, epochs=1, limit_val_batches=0)
    assert sum("broken.avi" in record.getMessage() for record in caplog.records) == 1
    drawn = {i for _, index, _ in witness.seen for i in index}
    assert drawn == set(range(1, len(data.train_videos)))


def test_videos_read_in_part_are_remembered_across_an_interruption(split, tmp_path):
    """The worst reading of each, also where a resumed run does not meet it again."""
    torn = tmp_path / "torn.avi"
    content = split.train[0].path.read_bytes()
    torn.write_bytes(content[: int(0.9 * len(content))])
    train = tuple(dataclasses.replace(v, path=torn, sha256="", bytes=-1) for v in split.train[:1])
    spoilt = dataclasses.replace(split, train=train + split.train[1:])
    data = VideoDataModule(spoilt, "rgb", RECIPE, 0)
    _, trainer = fit(data, tmp_path, epochs=3)
    ((video, damage),) = data.partly.items()
    assert video == split.train[0].id
    assert 0 < damage.read < damage.of
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = VideoDataModule(spoilt, "rgb", RECIPE, 0)
    fit(resumed, tmp_path, epochs=3, checkpoint=tmp_path / "last.ckpt")
    assert resumed.partly == data.partly


def test_no_readable_video_at_all_is_one_sentence(split, tmp_path):
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no video")
    train = tuple(dataclasses.replace(v, path=broken) for v in split.train)
    data = VideoDataModule(dataclasses.replace(split, train=train), "rgb", recipe(workers=1), 0)
    with pytest.raises(
        InputError, match=r"^Too many videos in a row could not be read, .*broken\.avi"
    ) as error:
        fit(data, tmp_path, epochs=1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("part", ["fit", "validate", "test", "predict"])
def test_what_is_wrong_stops_the_run_in_one_sentence(split, tmp_path, part, workers):
    """And not with the traceback of a data-loading process, nor as a video that cannot be read."""
    changed = tmp_path / "changed.avi"
    changed.write_bytes(split.train[0].path.read_bytes())
    size = changed.stat().st_size

    def spoil(videos):
        return tuple(dataclasses.replace(v, path=changed, bytes=size, modified=1) for v in videos)

    spoilt = dataclasses.replace(split, train=spoil(split.train), test=spoil(split.test))
    data = VideoDataModule(spoilt, "rgb", recipe(workers=workers), 0)
    witness = Witness()
    trainer = L.Trainer(
        max_epochs=1, num_sanity_val_steps=0, logger=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    with pytest.raises(ChangedFileError, match=r"changed\.avi has changed .* touch") as error:
        getattr(trainer, part)(witness, datamodule=data)
    assert "\n" not in str(error.value)


def test_a_wrong_folder_of_flow_is_no_unreadable_video(split, tmp_path):
    flow = dataclasses.replace(RECIPE.flow, source=str(tmp_path))
    data = VideoDataModule(split, "flow", dataclasses.replace(RECIPE, flow=flow), 0)
    with pytest.raises(InputError, match="there are 0 flow images of v_"):
        fit(data, tmp_path, epochs=1)
    other = dataclasses.replace(RECIPE, flow=dataclasses.replace(RECIPE.flow, source="nowhere"))
    with pytest.raises(InputError, match=r"flow\.source is nowhere, but must be stored, computed"):
        VideoDataModule(split, "flow", other, 0)


def test_batches_travel_to_devices_whole(data):
    whole = next(iter(data.test_dataloader()))
    for batch in (data.on_before_batch_transfer(next(iter(data.train_dataloader())), 0), whole):
        moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
        part, original = (moved["groups"][0], batch["groups"][0]) if "groups" in batch else (moved, batch)
        assert moved.keys() == batch.keys()
        assert part["clips"][0].device.type == part["index"].device.type == "meta"
        assert part["clips"][0].shape == original["clips"][0].shape


def test_flow(split, tmp_path):
    data = VideoDataModule(split, "flow", RECIPE, 0, flow_root=tmp_path)
    store = FlowStore(tmp_path, RECIPE.flow, RECIPE.clips.fps, RECIPE.clips.short_side)
    with pytest.raises(InputError, match="has not been computed"):
        data.on_before_batch_transfer(next(iter(data.test_dataloader())), 0)
    store.compute([v.file for v in (*split.train, *split.test)], progress=False)
    (group,) = next(iter(data.test_dataloader()))["groups"]
    assert group["clips"][0].shape == (1, 2, 11, 24, 24)
    batch = next(iter(data.train_dataloader()))
    assert batch["clips"][0].shape == (2, 2, 9, 24, 24)
    assert batch["clips"][0].float().std() > 1


def on_device(data, batch):
    batch = data.on_after_batch_transfer(batch, 0)
    return [clip for part in batch.get("groups", [batch]) for clip in part["clips"]]


@pytest.mark.parametrize("stream", ["flow", "joint"])
def test_flow_computed_of_each_batch_is_the_stored_flow(split, tmp_path, stream):
    """Of the same clips, cropped and mirrored alike; and nothing is kept."""
    flipped = dataclasses.replace(RECIPE, clips=dataclasses.replace(RECIPE.clips, flip=True))
    computed = dataclasses.replace(flipped, flow=dataclasses.replace(RECIPE.flow, source="computed"))
    store = FlowStore(tmp_path / "flow", RECIPE.flow, RECIPE.clips.fps, RECIPE.clips.short_side)
    store.compute([v.file for v in (*split.train, *split.test)], progress=False)
    kept = VideoDataModule(split, stream, flipped, 0, flow_root=tmp_path / "flow")
    anew = VideoDataModule(split, stream, computed, 0, flow_root=tmp_path / "none")
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        pairs = zip(getattr(kept, loader)(), getattr(anew, loader)(), strict=True)
        for number, (one, other) in enumerate(pairs):
            if number == 5:
                break
            for expected, found in zip(on_device(kept, one), on_device(anew, other), strict=True):
                assert found.shape == expected.shape
                different = (found.int() - expected.int()).abs()
                assert different.max() <= 1  # where rounding falls otherwise
                assert different.float().mean() < 0.001
            assert expected.float().std() > 1
    assert not (tmp_path / "none").exists()


def test_flow_of_videos_of_different_sizes_is_computed_in_one_batch():
    waiting = [
        FlowToCome(torch.randint(0, 256, (3, 4, height, 40), dtype=torch.uint8), 5, (2, 3, 20), mirrored)
        for height, mirrored in ((32, False), (36, True), (32, True))
    ]
    clips = compute_all(waiting, RECIPE.flow)
    assert clips.shape == (3, 2, 5, 20, 20)
    for item, clip in zip(waiting, clips, strict=True):
        (alone,) = compute_all([item], RECIPE.flow)
        assert (alone.int() - clip.int()).abs().max() <= 1
        assert torch.equal(clip[:, 3:], clip[:, :2])  # three fields, looped


def test_on_the_real_ten_classes(assets):
    split = read_dataset("ucf101", assets / "ucf101", 1)
    clips = Clips(fps=25.0, short_side=64, crop=56, train_frames=16, test_frames=250)
    data = VideoDataModule(split, "rgb", dataclasses.replace(RECIPE, clips=clips), 0)
    batch = next(iter(data.train_dataloader()))
    assert batch["clips"][0].shape == (2, 3, 16, 56, 56)
    assert batch["label"].tolist() == [data.train_videos[i].label for i in batch["index"]]
    (whole,) = next(iter(data.test_dataloader()))["groups"]
    assert whole["clips"][0].shape == (1, 3, 118, 56, 56)  # 141 frames at 30000 / 1001 fps


@pytest.mark.parametrize("workers", [0, 2])
def test_training_and_test_go_on_after_videos_that_crash_the_decoder_or_hang(
    split, tmp_path, monkeypatch, caplog, workers
):
    """With the same clips as if these videos could not have been read from the start."""

    def module(*names):
        def spoil(videos):
            spoilt = [dataclasses.replace(video, path=tmp_path / name) for video, name in zip(videos, names)]  # noqa: B905
            return (*spoilt, *videos[2:])

        spoilt = dataclasses.replace(split, train=spoil(split.train), test=spoil(split.test))
        return VideoDataModule(spoilt, "rgb", recipe(workers=workers), seed=3)

    def tested(data):
        batches = list(data.test_dataloader())
        return (
            [int(group["clips"][0].long().sum()) for batch in batches for group in batch["groups"]],
            {index: why for batch in batches for index, why in batch["unreadable"].items()},
        )

    for name in ("crashes.avi", "hangs.avi"):
        shutil.copyfile(split.train[0].path, tmp_path / name)
    for name in ("no.avi", "none.avi"):
        (tmp_path / name).write_bytes(b"no video")
    monkeypatch.setattr(decoding, "read_frames", broken.read_frames)
    monkeypatch.setattr(boundary, "CPU_SECONDS", 0.5)
    hostile, unreadable = module("crashes.avi", "hangs.avi"), module("no.avi", "none.avi")
    assert fit(hostile, tmp_path, epochs=3)[0].seen == fit(unreadable, tmp_path, epochs=3)[0].seen
    assert "crashes.avi crashes the decoder" in caplog.text
    assert "hangs.avi takes too long to decode" in caplog.text
    (sums, why), (expected, _) = tested(hostile), tested(unreadable)
    assert sums == expected
    assert "crashes the decoder" in why[0]
    assert "takes too long" in why[1]
