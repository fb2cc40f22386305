"""What weights can have seen, by the words that name it.

A data set that is trained on here says itself what it teaches (`datasets.registry.Dataset.teaches`); these
are the words of weights that others published. A new word is one registration:

    register(Corpus("my-videos", "My videos, masked autoencoding", labels=False))
"""

from __future__ import annotations

from dataclasses import dataclass

from i3d_lightning.registry import Registry


@dataclass(frozen=True)
class Corpus:
    """What weights were trained on, and how, as one stage of their pretraining.

    Attributes:
        name: The word for it.
        title: What it is, for tables.
        video: Whether it is video; else images.
        labels: Whether its labels were learnt; else weights are self-supervised.
    """

    name: str
    title: str
    video: bool = True
    labels: bool = True


CORPORA: Registry[Corpus] = Registry("pretraining")
register = CORPORA.register

register(Corpus("imagenet", "ImageNet-1k", video=False))
register(Corpus("imagenet22k", "ImageNet-22k", video=False))
register(Corpus("kinetics", "Kinetics-400"))
register(Corpus("kinetics600", "Kinetics-600"))
register(Corpus("kinetics700", "Kinetics-700"))
register(Corpus("kinetics700-2020", "Kinetics-700-2020"))
register(Corpus("kinetics-byol", "Kinetics-400, BYOL", labels=False))
register(Corpus("ucf101-mae", "UCF-101, masked autoencoding", labels=False))
register(Corpus("hmdb51-mae", "HMDB-51, masked autoencoding", labels=False))


def self_supervised(stages: tuple[str, ...]) -> bool:
    """Say whether weights that went through these stages have seen no labels at all."""
    known = [CORPORA.get(stage) for stage in stages]
    return bool(known) and all(corpus is not None and not corpus.labels for corpus in known)
