"""Which cells exist, and what each starts from, as networks, data sets and protocols have it."""

from __future__ import annotations

from i3d_lightning.datasets.registry import DATASETS, is_video, teacher
from i3d_lightning.errors import InputError, check_known
from i3d_lightning.experiment import NONE, RANDOM, STREAMS, UNTAUGHT, Experiment, stages
from i3d_lightning.networks.registry import ARCHITECTURES
from i3d_lightning.pretraining import CORPORA
from i3d_lightning.protocols.base import PROTOCOLS, Protocol
from i3d_lightning.weights.registry import published_pretraining


def sees_video(pretraining: str) -> bool:
    """Say whether weights with this pretraining have seen video."""
    return any(is_video(stage) for stage in stages(pretraining))


def known_pretraining(architecture: str) -> list[str]:
    """List the pretraining that weights of a network may have: none, images, video, one after the other."""
    network = ARCHITECTURES[architecture]
    able = network.images or network.from_images is not None
    images = list(dict.fromkeys(d.teaches for d in DATASETS if d.teaches and d.images)) if able else []
    videos = list(dict.fromkeys(d.teaches for d in DATASETS if d.teaches and not d.images))
    videos = [] if network.images else videos
    words = [NONE, *images, *videos, *(f"{i}+{v}" for i in images for v in videos)]
    words += published_pretraining(architecture)
    return list(dict.fromkeys(words))


def all_pretraining() -> list[str]:
    """List the pretraining that weights of any network may have."""
    words = dict.fromkeys(word for a in ARCHITECTURES for word in known_pretraining(a.name))
    return [*words, RANDOM]


def pretrainings(architecture: str, protocol: str, dataset: str) -> tuple[str, ...]:
    """List the pretraining that a protocol may start from (Tables 3 and 4), or the control on a target."""
    network, way, data = ARCHITECTURES[architecture], PROTOCOLS[protocol], DATASETS[dataset]
    if data.teaches is not None and not way.pretrains:
        return ()
    known = known_pretraining(architecture)
    if network.images and data.images:
        return () if way.from_video else (NONE,)
    control = (RANDOM,) if way.control and data.teaches is None else ()
    if network.images and way.control:
        return (*(word for word in known if word != NONE and not sees_video(word)), *control)
    if network.images or data.images:
        return ()
    return (*(word for word in known if sees_video(word) == way.from_video), *control)


def is_control(experiment: Experiment) -> bool:
    """Say whether a cell is a control: the network of images on videos, or random features."""
    if experiment.pretraining == RANDOM:
        return True
    return ARCHITECTURES[experiment.architecture].images and not DATASETS[experiment.dataset].images


def check(experiment: Experiment) -> None:
    """Refuse an experiment that does not exist.

    Raises:
        InputError: A word is unknown, or the words do not go together; the valid ones are named.
    """
    architecture = ARCHITECTURES[experiment.architecture]
    protocol = PROTOCOLS[experiment.protocol]
    dataset = DATASETS[experiment.dataset]
    check_known("stream", experiment.stream, STREAMS)
    if experiment.stream not in architecture.streams:
        raise InputError(
            f"Architecture '{experiment.architecture}' has no stream '{experiment.stream}'; "
            f"it has {', '.join(architecture.streams)}."
        )
    given = _is_said_of_weights(experiment)
    if not given:
        check_known("pretraining", experiment.pretraining, all_pretraining())
    valid = pretrainings(experiment.architecture, experiment.protocol, experiment.dataset)
    if experiment.pretraining not in valid and not given:
        raise InputError(
            f"Protocol '{experiment.protocol}' on {experiment.dataset} with {experiment.architecture} does "
            f"not exist from pretraining '{experiment.pretraining}': {_why(experiment, protocol)}; "
            f"valid pretraining: {', '.join(valid) or 'none at all'}."
        )
    if experiment.split not in dataset.splits:
        known = ", ".join(map(str, dataset.splits))
        raise InputError(f"{dataset.name} has no split {experiment.split}: it has {known}.")


def _is_said_of_weights(experiment: Experiment) -> bool:
    """Whether the pretraining is what may be said of a network's own weights, which the user is to give.

    Those of a library may have begun with images, whichever way.
    """
    network, way = ARCHITECTURES[experiment.architecture], PROTOCOLS[experiment.protocol]
    data, seen = DATASETS[experiment.dataset], stages(experiment.pretraining)
    if network.images or data.images or not (data.teaches is None or way.pretrains):
        return False
    if not (network.library or all(is_video(stage) for stage in seen)):
        return False
    known = bool(seen) and len(set(seen)) == len(seen) and all(stage in CORPORA for stage in seen)
    return known and sees_video(experiment.pretraining) == way.from_video


def _why(experiment: Experiment, protocol: Protocol) -> str:
    network, data = ARCHITECTURES[experiment.architecture], DATASETS[experiment.dataset]
    if network.images != data.images and not (network.images and protocol.control):
        return (
            "networks of images are trained on images alone, and on images no others; on videos their frozen "
            "features are the control"
        )
    if data.teaches is not None and not protocol.pretrains:
        return f"training on {data.name} is itself the pretraining"
    if experiment.pretraining == RANDOM:
        return "random features are a control, which only frozen ones of a target can be"
    known = known_pretraining(experiment.architecture)
    if experiment.pretraining not in known:
        images = {d.teaches for d in DATASETS if d.images}
        if network.from_images is None and images & set(stages(experiment.pretraining)):
            return f"{network.name} has no counterpart among image networks"
        return f"known pretraining of {network.name}: {', '.join(known)}"
    return protocol.reason or f"{protocol.name} does not start from it"


def default_pretraining(architecture: str, protocol: str, dataset: str) -> str:
    """Choose what a protocol starts from where nothing is said: scratch, or Kinetics, or what was published.

    Raises:
        InputError: It cannot start from anything.
    """
    valid = pretrainings(architecture, protocol, dataset)
    if not valid:
        check(Experiment(architecture, ARCHITECTURES[architecture].streams[0], NONE, protocol, dataset))
    published = published_pretraining(architecture)
    taught_here = bool(DATASETS[dataset].family)
    if taught_here or not PROTOCOLS[protocol].from_video:
        return valid[0]
    return next((word for word in valid if word in published), valid[0])


def pretraining_of(experiment: Experiment) -> Experiment | None:
    """Name the run that makes the weights an experiment starts from, None where no data set teaches them."""
    if experiment.pretraining in UNTAUGHT:
        return None
    *earlier, last = stages(experiment.pretraining)
    dataset = teacher(last, DATASETS[experiment.dataset].family) or teacher(last, "")
    if dataset is None:
        return None
    way = next(p.name for p in PROTOCOLS if p.pretrains)
    seed = experiment.pretraining_seed
    if dataset.images:
        known = ARCHITECTURES[experiment.architecture]
        if known.from_images is None and not known.images:
            return None
        network = known.image_network
        return Experiment(network, "rgb", NONE, way, dataset.name, seed=seed)
    start = "+".join(earlier) or NONE
    made = Experiment(experiment.architecture, experiment.stream, start, way, dataset.name)
    return made.at(seed, seed)
