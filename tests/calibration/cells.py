"""The cells of the calibration: simulated worlds, and what may be said of each."""

from dataclasses import dataclass

from scipy.special import expit
from worlds import World

SUPPORTED, CONTRADICTED = "supported", "contradicted"
FOUR, THREE, SIX = (600, 1200, 2400, 4800), (600, 1200, 4800), (600, 1000, 1600, 2400, 3600, 4800)
SOURCES = [f"s{number}" for number in range(6)]
SAME = [(0.9, -0.3), (1.0, -0.8), (0.8, -1.2), (0.95, -0.6)]
SOURCE_CLAIMS = ("sources_differ", "no_best_source", "best_on_shift_1")
MIXING_CLAIMS = ("mixing_dilutes", "mixing_beats_the_worst", "output_mixing_predicts")
FILTER_CLAIMS = ("filtering_moves_the_line", "filtering_moves_models_along", "selection_moves_the_line")
CLAIMS = (*SOURCE_CLAIMS, *MIXING_CLAIMS, *FILTER_CLAIMS, "not_from_duplicates")
UNMOVED = {"filtering_moves_the_line": CONTRADICTED, "filtering_moves_models_along": CONTRADICTED}
"""What is right about a filter that changes nothing."""


@dataclass(frozen=True)
class Cell:
    """A world, the verdicts that are right about it (besides undecided), and how often it is drawn.

    `mixtures` are (name, members, ensemble), `filters` (name, origin). `controls` are (random pool, filter that it is the
    control of), and `clean` the pools without near-duplicates of the images of all shifts. `fraction` is the true dilution
    fraction.
    """

    name: str
    world: World
    right: dict[str, str]
    runs: int
    sources: tuple[str, ...] = tuple(SOURCES)
    mixtures: tuple[tuple[str, tuple[str, ...], str | None], ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    controls: tuple[tuple[str, str], ...] = ()
    clean: tuple[str, ...] = ()
    fraction: float | None = None


def shifted(lines, by):
    """The lines moved by `by` (one number for each shift) on the scale."""
    return [(slope, intercept + step) for (slope, intercept), step in zip(lines, by, strict=True)]


def between(one, other, fraction):
    """The lines at `fraction` of the way from the lower to the higher of two lines, on each shift."""
    found = []
    for first, second in zip(one, other, strict=True):
        low, high = sorted((first, second), key=lambda line: line[1])
        found.append(tuple(a + fraction * (b - a) for a, b in zip(low, high, strict=True)))
    return found


def null_cells() -> list[Cell]:
    """Six sources and a filter on one line or curve: a difference that is found is wrong."""
    cells = []
    variants = {
        "": {},
        ", 3 sizes": {"sizes": {None: THREE}},
        ", 6 sizes": {"sizes": {None: SIX}},
        ", trainsets differ by 0.1": {"trainset": 0.1, "seed": 0.05},
        ", every second pool twice as noisy": {"uneven": 2.0},
        ", no effect of initialisation": {"block": 0.0},
        # As ObjectNet on published models, whose slope is 0.39 from 2 to 15 % and 0.68 from 8 to 45 %.
        ", one curve, half of the sources lower": {"bend": 0.1, "gains": dict.fromkeys(SOURCES[3:], -1.0)},
    }
    for name, variant in variants.items():
        for seeds in (1, 3, 10):
            for images in (500, 1000, 4000, 50_000) if not name else (1000,):
                if images == 50_000 and seeds == 10:
                    continue
                world = World(
                    dict.fromkeys([*SOURCES, "kept"], SAME),
                    **{"sizes": {None: FOUR}, "seeds": seeds, "images": images, **variant},
                )
                runs = {500: 400, 1000: 400, 4000: 300, 50_000: 100}[images] // (2 if seeds == 10 else 1)
                cells.append(
                    Cell(
                        f"no difference, {seeds} seeds, {images} images{name}",
                        world,
                        {"sources_differ": CONTRADICTED, **UNMOVED},
                        runs,
                        filters=(("kept", "s0"),),
                    )
                )
    return cells


def mixing_cells() -> list[Cell]:
    """Two sources at a distance, and two mixtures of them at a fraction of it, the ensembles at the same fraction."""
    cells = []
    for distance in (0.15, 0.3, 1.0):
        for fraction in (0.0, 0.5, 1.0):
            for seeds in (1, 3):
                one, other = SAME, shifted(SAME, [distance, -distance, distance, -distance])
                mixed = between(one, other, fraction)
                lines = {"s0": one, "s1": other, "s2": SAME, "m1": mixed, "m2": mixed, "e1": mixed, "e2": mixed}
                right = {"sources_differ": SUPPORTED, "no_best_source": SUPPORTED, "best_on_shift_1": CONTRADICTED}
                right["output_mixing_predicts"] = SUPPORTED
                if fraction < 1:
                    right["mixing_dilutes"] = SUPPORTED
                if fraction > 0:
                    right["mixing_beats_the_worst"] = SUPPORTED
                cells.append(
                    Cell(
                        f"members {distance:g} apart, mixtures at {fraction:g}, {seeds} seeds, 1000 images",
                        World(lines, {None: FOUR}, seeds=seeds),
                        right,
                        300,
                        sources=("s0", "s1", "s2"),
                        mixtures=(("m1", ("s0", "s1"), "e1"), ("m2", ("s0", "s1"), "e2")),
                        fraction=fraction,
                    )
                )
    one, other = SAME, shifted(SAME, [1.0, -1.0, 1.0, -1.0])
    for seeds in (1, 3):
        lines = {"s0": one, "s1": other, "s2": SAME}
        lines |= {"m1": between(one, other, 0.6), "e1": between(one, other, 0.35)}
        cells.append(
            Cell(
                f"ensembles a quarter of the distance below, {seeds} seeds, 1000 images",
                World(lines, {None: FOUR}, seeds=seeds),
                {
                    "sources_differ": SUPPORTED,
                    "no_best_source": SUPPORTED,
                    "best_on_shift_1": CONTRADICTED,
                    "mixing_dilutes": SUPPORTED,
                    "mixing_beats_the_worst": SUPPORTED,
                },
                300,
                sources=("s0", "s1", "s2"),
                mixtures=(("m1", ("s0", "s1"), "e1"),),
                fraction=0.6,
            )
        )
    return cells


def true_cells() -> list[Cell]:
    """Sources that differ: nobody is best everywhere, s0 is best on the first shift, and lines that cross."""
    cells = []
    for spread in (0.3, 0.6):
        lines = {}
        for number, pool in enumerate(SOURCES):
            up = [spread * (number == place) for place in (0, 1, 2)] + [spread * (number == 3) - spread * (number == 0)]
            lines[pool] = shifted(SAME, up)
        mixed = between(lines["s0"], lines["s1"], 0.5)
        lines |= {"m1": mixed, "e1": mixed, "kept": lines["s0"]}
        right = dict.fromkeys((*SOURCE_CLAIMS, *MIXING_CLAIMS), SUPPORTED) | UNMOVED
        for seeds, images in ((1, 1000), (1, 4000), (3, 1000), (3, 4000), (10, 4000)):
            cells.append(
                Cell(
                    f"sources {spread:g} apart, {seeds} seeds, {images} images",
                    World(lines, {None: FOUR}, seeds=seeds, images=images),
                    right,
                    100 if seeds < 10 else 50,
                    mixtures=(("m1", ("s0", "s1"), "e1"),),
                    filters=(("kept", "s0"),),
                )
            )
    crossing = {
        pool: [(0.5 if number % 2 else 1.1, intercept - (0.18 if number % 2 else 0.0)) for _, intercept in SAME]
        for number, pool in enumerate(SOURCES)
    }
    for seeds in (1, 3):
        cells.append(
            Cell(
                f"lines that cross, {seeds} seeds, 1000 images",
                World(crossing, {None: FOUR}, seeds=seeds),
                {"sources_differ": SUPPORTED},
                100,
            )
        )
    return cells


def paper_cells() -> list[Cell]:
    """The grid of config/paper.yaml, with claims that are true."""
    million = 1_000_000
    sizes = {
        "yfcc": (1, 2.7, 5, 7.5, 9.6),
        "laion": (1, 2.7, 5, 7.5, 9.6, 15),
        "cc12m": (1, 2.7, 5, 7.5),
        "redcaps": (1, 2.7, 5),
        "wit": (1, 2.7, 5),
        "shutterstock": (1, 2.7, 5, 7.5, 9.6),
    }
    # Offsets on V2, ImageNet-R, Sketch and ObjectNet: plausible, not measured.
    offsets = {
        "yfcc": (0, -0.7, -0.9, -0.1),
        "laion": (0.05, 0.3, 0.2, 0.0),
        "cc12m": (0.0, 0.1, 0.1, -0.1),
        "redcaps": (0.0, -0.2, -0.3, 0.3),
        "wit": (-0.05, -0.4, -0.5, -0.3),
        "shutterstock": (0.0, 0.25, 0.6, -0.2),
    }
    base = [(1.0, -0.4), (0.9, -0.4), (0.95, -0.9), (0.95, -0.9)]
    lines = {pool: shifted(base, own) for pool, own in offsets.items()}
    mixtures = []
    for (one, other), small in ((("yfcc", "laion"), False), (("redcaps", "shutterstock"), True)):
        for share in (25, 50, 75):
            name = f"{one}_{other}_{share}"
            weights = share / 100, 1 - share / 100
            mixed = [
                tuple(weights[0] * a + weights[1] * b for a, b in zip(first, second, strict=True))
                for first, second in zip(lines[one], lines[other], strict=True)
            ]
            lines |= {name: mixed, f"{name}_output": mixed}
            grid = (1, 2.7, 5) if small else (1, 2.7, 5, 7.5, 9.6)
            sizes |= {name: grid, f"{name}_output": grid}
            mixtures.append((name, (one, other), f"{name}_output"))
    right = dict.fromkeys((*SOURCE_CLAIMS, *MIXING_CLAIMS), SUPPORTED)
    # YFCC is not best on the first shift: LAION is above it by 0.05.
    right["best_on_shift_1"] = CONTRADICTED
    whole = {pool: tuple(int(size * million) for size in own) for pool, own in sizes.items()}
    return [
        Cell(
            f"the paper's grid, {seeds} seeds",
            World(
                lines,
                whole,
                reach=(-1.9, 0.2),
                seeds=seeds,
                images=(50_000, 10_000, 30_000, 50_889, 18_574),
                trainset=0.01,
                seed=0.02,
                block=0.01,
            ),
            right,
            runs,
            sources=tuple(offsets),
            mixtures=tuple(mixtures),
        )
        for seeds, runs in ((1, 100), (3, 50))
    ]


def filter_cells() -> list[Cell]:
    """A filter and a pool without near-duplicates of the same source, each with its random control, which is on its line."""
    still = {"selection_moves_the_line": CONTRADICTED, "not_from_duplicates": SUPPORTED}
    # Percentage points at the middle of the reference accuracies, by the slope of the logistic function there.
    middle = -0.3
    heights = [expit(slope * middle + intercept) for slope, intercept in SAME]
    point_below = shifted(SAME, [-0.01 / (height * (1 - height)) for height in heights])
    variants = {
        "filters without effect": (SAME, SAME, 0.0, UNMOVED | still),
        "a filter that moves models along the line": (
            *(SAME, SAME, 0.5),
            {"filtering_moves_the_line": CONTRADICTED, "filtering_moves_models_along": SUPPORTED, **still},
        ),
        "a filter that moves the line by 0.3, and robustness from duplicates": (
            *(shifted(SAME, [0.3, -0.3, 0.3, -0.3]), shifted(SAME, [0.0, -0.4, 0.0, 0.0]), 0.0),
            {
                "filtering_moves_the_line": SUPPORTED,
                "filtering_moves_models_along": CONTRADICTED,
                "selection_moves_the_line": SUPPORTED,
                "not_from_duplicates": CONTRADICTED,
            },
        ),
        "without duplicates a point lower": (
            *(SAME, point_below, 0.0),
            {
                "filtering_moves_the_line": SUPPORTED,
                "filtering_moves_models_along": CONTRADICTED,
                **still,
                "not_from_duplicates": CONTRADICTED,
            },
        ),
    }
    cells = []
    for name, (kept, clean, gain, right) in variants.items():
        lines = dict.fromkeys(("s0", "s1", "s2", "drawn", "drawn_too"), SAME) | {"kept": kept, "clean": clean}
        for seeds, images in ((1, 1000), (3, 1000), (1, 4000), (3, 50_000)):
            world = World(lines, {None: FOUR}, seeds=seeds, images=images, gains={"kept": gain})
            cells.append(
                Cell(
                    f"{name}, {seeds} seeds, {images} images",
                    world,
                    {"sources_differ": CONTRADICTED, **right},
                    200 if images < 50_000 else 100,
                    sources=("s0", "s1", "s2"),
                    filters=(("kept", "s0"), ("clean", "s0")),
                    controls=(("drawn", "kept"), ("drawn_too", "clean")),
                    clean=("clean",),
                )
            )
    return cells


def all_cells() -> list[Cell]:
    """Every cell of the calibration."""
    return [*null_cells(), *mixing_cells(), *true_cells(), *filter_cells(), *paper_cells()]
