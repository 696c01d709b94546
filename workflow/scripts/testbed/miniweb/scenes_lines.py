"""Renditions in lines: pen and pencil sketches, engravings, and chalk on a board."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from testbed.miniweb.objects import Drawing, draw_object
from testbed.miniweb.scenes_photos import SETTING_OF
from testbed.miniweb.scenes_raster import Placed, Pose, blurred, grid, mix, oversampling, place, step, texture, to_image

PAPERS = ((1.0, 1.0, 1.0), (0.97, 0.97, 0.95), (0.95, 0.92, 0.85), (0.90, 0.88, 0.86), (0.93, 0.90, 0.80))
INKS = ((0.08, 0.08, 0.10), (0.25, 0.25, 0.27), (0.12, 0.14, 0.32), (0.30, 0.20, 0.14))
BOARDS = ((0.12, 0.24, 0.19), (0.11, 0.12, 0.13), (0.14, 0.18, 0.28), (0.22, 0.25, 0.25))


@dataclass(frozen=True)
class Lines:
    """A line drawing, as arrays of side x side in 0..1: ink of its lines, brightness of its parts, silhouette."""

    lines: np.ndarray
    tone: np.ndarray
    inside: np.ndarray


def sketch(label: str, rng: Generator, size: int) -> Image.Image:
    """A drawing in pen or pencil on paper: bare lines, lines with hatching, or pencil shading."""
    drawing = draw_object(label, rng)
    style, factor = rng.random(), oversampling(size)
    side = size * factor
    unit = side / 128
    wobble = rng.uniform(0.004, 0.014)
    width = max(1, round((rng.uniform(1.2, 3.2) if style < 0.7 else rng.uniform(1.0, 1.6)) * unit))
    pose = _pose(rng)
    drawn = trace(drawing, _shaken(place(drawing, pose, side), side, wobble, rng), side, width)
    marks = drawn.lines
    if style < 0.3 and rng.random() < 0.4:
        again = trace(drawing, _shaken(place(drawing, pose, side), side, wobble * 1.5, rng), side, width)
        marks = np.maximum(marks, again.lines * 0.8)
    u, v = grid(side)
    dark = np.clip(1.05 - drawn.tone * _form(drawn.inside, rng, unit), 0, 1) * drawn.inside
    if 0.35 <= style < 0.7:
        marks = np.maximum(marks, _hatching(dark, u, v, rng) * rng.uniform(0.6, 0.95))
    elif style >= 0.7:
        grain = texture(rng, u, v, 1.0, 0.4)
        strokes = texture(rng, u + v, u - v, (0.15, 1.2), 0.9)
        pencil = dark * np.clip(0.35 + 0.6 * strokes + 0.7 * (grain - 0.4), 0, 1)
        marks = np.maximum(marks * rng.uniform(0.6, 1.0), np.clip(pencil * rng.uniform(0.9, 1.3), 0, 0.95))
        if SETTING_OF[label] not in ("sky", "sea"):
            marks = np.maximum(marks, _ground_scribble(drawn.inside, u, v, rng))
    marks = _reduced(marks, factor) * (0.85 + 0.15 * texture(rng, *grid(size), 1.0, 0.5))
    return to_image(mix(_paper(rng, size, PAPERS), _one_of(rng, INKS), marks))


def engraving(label: str, rng: Generator, size: int) -> Image.Image:
    """Ruled lines whose weight follows the tone, on yellowed paper."""
    drawing = draw_object(label, rng)
    factor = oversampling(size)
    side = size * factor
    unit = side / 128
    drawn = trace(drawing, place(drawing, _pose(rng), side), side, max(1, round(1.3 * unit)))
    u, v = grid(side)
    bulge = blurred(drawn.inside, 6 * unit)
    dark = np.clip(1.12 - drawn.tone * _form(drawn.inside, rng, unit), 0.1, 0.95) * drawn.inside
    if rng.random() < 0.6:
        level = rng.uniform(0.1, 0.3) * (1 - v) if rng.random() < 0.5 else rng.uniform(0.08, 0.25) * np.ones_like(v)
        floor = step(v - rng.uniform(0.7, 0.85)) * texture(rng, u, v, (0.4, 1.0), 1.2) * 0.7
        # A clear margin keeps the lines of the ground from joining those of the object.
        clear = np.clip(1 - 3 * blurred(drawn.inside, 2.5 * unit), 0, 1)
        dark = np.maximum(dark, (level + floor) * clear)
    pitch = rng.uniform(19, 27)
    turn = rng.choice([0.0, rng.uniform(-0.9, 0.9)])
    ruled = _rule(dark, (v * np.cos(turn) + u * np.sin(turn)) * pitch + bulge * rng.uniform(0.4, 1.6))
    crossed = _rule(np.clip(dark - 0.45, 0, 1), (v * np.cos(turn + 1.0) + u * np.sin(turn + 1.0)) * pitch)
    marks = _reduced(np.maximum(np.maximum(ruled, crossed), drawn.lines), factor)
    aged = texture(rng, *grid(size), 0.4, 1.8)
    paper = mix(
        np.float32([0.93, 0.87, 0.72]),
        np.float32([0.78, 0.68, 0.50]),
        np.clip(aged * 1.6 - 0.4 + rng.uniform(-0.2, 0.3), 0, 1),
    )
    return to_image(mix(paper, np.float32([0.16, 0.12, 0.09]), marks * rng.uniform(0.75, 0.95)))


def chalk(label: str, rng: Generator, size: int) -> Image.Image:
    """Light, grainy lines on a dark board; sometimes coloured, sometimes filled with strokes."""
    drawing = draw_object(label, rng)
    factor = oversampling(size)
    side = size * factor
    unit = side / 128
    placed = _shaken(place(drawing, _pose(rng), side), side, rng.uniform(0.006, 0.014), rng)
    drawn = trace(drawing, placed, side, max(1, round(rng.uniform(2.0, 3.8) * unit)))
    u, v = grid(side)
    marks = drawn.lines
    if rng.random() < 0.45:
        rubbed = texture(rng, u + v, u - v, (0.2, 1.5), 0.9)
        marks = np.maximum(marks, drawn.inside * drawn.tone * np.clip(rubbed * 2.4 - 0.7, 0, 1) * rng.uniform(0.5, 0.9))
    grain = np.clip(texture(rng, u, v, 1.0, 0.3) * 2.6 - 0.35, 0.15, 1)
    marks = _reduced(marks * grain, factor)
    board = _one_of(rng, BOARDS) * (0.85 + 0.3 * texture(rng, *grid(size), (0.3, 0.6), 1.8))[..., None]
    smears = np.clip(texture(rng, *grid(size), (0.2, 0.5), 1.8) - 0.5, 0, 1) * rng.uniform(0.1, 0.6)
    stick = np.float32([0.96, 0.96, 0.92])
    if rng.random() < 0.4:
        stick = mix(stick, drawing.colours["main"].astype(np.float32), 0.55) * np.float32(1.08)
    return to_image(mix(mix(board, stick, smears), stick, np.clip(marks * 1.15, 0, 1)))


def trace(drawing: Drawing, placed: list[Placed], side: int, width: int) -> Lines:
    """Draw the outlines of all shapes, nearer ones hiding those behind, with lines ``width`` pixels wide."""
    lines, tone, inside = (Image.new("L", (side, side), start) for start in (0, 255, 0))
    pens = [ImageDraw.Draw(image) for image in (lines, tone, inside)]
    bright = {
        role: int(255 * float(np.clip(colour @ (0.3, 0.59, 0.11), 0, 1))) for role, colour in drawing.colours.items()
    }
    for shape in placed:
        points = shape.points.ravel().tolist()
        if shape.width:
            # Details are finer than outlines, or small objects would fill with ink.
            pens[0].line(
                points, fill=255 if shape.role == "dark" else 200, width=max(1, min(width, round(shape.width)))
            )
            continue
        hole = shape.role == "hole"
        pens[0].polygon(points, fill=0)
        pens[1].polygon(points, fill=255 if hole else bright[shape.role])
        pens[2].polygon(points, fill=0 if hole else 255)
        if shape.role == "dark":
            pens[0].polygon(points, fill=190)
        pens[0].line(points + points[:4], fill=255, width=width)
    return Lines(*(np.asarray(image, dtype=np.float32) / 255 for image in (lines, tone, inside)))


def _pose(rng: Generator) -> Pose:
    return Pose(
        *(0.5 + rng.uniform(-0.05, 0.05, 2)),
        size=rng.uniform(0.68, 0.88),
        turn=rng.normal(0, 7),
        flip=rng.random() < 0.5,
        stretch=(rng.uniform(0.85, 1.08), rng.uniform(0.92, 1.08)),
        recede=tuple(rng.normal(0, 0.06, 2)),
    )


def _shaken(placed: list[Placed], side: int, amount: float, rng: Generator) -> list[Placed]:
    """Move points as an unsteady hand would: neighbours together, each shape a little on its own."""
    waves, phases = rng.uniform(0.04, 0.3, (3, 2)) * 128 / side, rng.uniform(0, 6.28, (3, 2))
    offsets = rng.normal(0, amount * 0.35 * side, (len(placed), 2))
    shaken = []
    for shape, offset in zip(placed, offsets, strict=True):
        dense = _dense(shape.points, side / 24, closed=not shape.width)
        push = sum(np.sin(dense[:, ::-1] * wave + phase) for wave, phase in zip(waves, phases, strict=True))
        shaken.append(Placed(shape.role, dense + push * (amount * 0.45 * side) + offset, shape.width))
    return shaken


def _dense(points: np.ndarray, spacing: float, closed: bool) -> np.ndarray:
    path = np.concatenate([points, points[:1]]) if closed else points
    steps = np.hypot(*np.diff(path, axis=0).T)
    if steps.max() <= spacing:
        return points
    along = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.union1d(along, np.arange(0, along[-1], spacing))
    return np.stack([np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])], axis=1)


def _form(inside: np.ndarray, rng: Generator, unit: float) -> np.ndarray:
    form = blurred(inside, 9 * unit)
    reach = max(1, round(3 * unit))
    slope = form - np.roll(form, (-reach, reach * rng.choice([-1, 1])), axis=(0, 1))
    return np.clip(1.0 - slope * 2.2, 0.4, 1.6)


def _hatching(dark: np.ndarray, u: np.ndarray, v: np.ndarray, rng: Generator) -> np.ndarray:
    turn, pitch = rng.uniform(0.5, 1.1) * rng.choice([-1, 1]), rng.uniform(17, 26)
    wavy = texture(rng, u, v, 0.3, 2.0) * 1.5
    first = step(np.sin((u * np.cos(turn) + v * np.sin(turn)) * pitch * 6.28 + wavy) - 0.35, 0.7)
    second = step(np.sin((u * np.sin(turn) - v * np.cos(turn)) * pitch * 6.28 + wavy) - 0.35, 0.7)
    return np.maximum(first * step(dark - 0.35, 0.1), second * step(dark - 0.62, 0.1))


def _rule(dark: np.ndarray, phase: np.ndarray) -> np.ndarray:
    saw = np.abs(phase % 1 - 0.5) * 2
    return np.clip((dark - saw) * 4 + 0.5, 0, 1) * (dark > 0.03)


def _ground_scribble(inside: np.ndarray, u: np.ndarray, v: np.ndarray, rng: Generator) -> np.ndarray:
    rows = np.flatnonzero(inside.max(axis=1))
    base = (rows[-1] / len(inside)) if len(rows) else 1.0
    reach = 1 - ((u - 0.5) / 0.42) ** 2 - ((v - base) / 0.05) ** 2
    scribble = np.clip(reach * 2, 0, 1) * np.clip(texture(rng, u, v, (0.3, 2.0), 0.9) * 2 - 0.5, 0, 1)
    return scribble * (1 - inside) * rng.uniform(0, 0.7)


def _reduced(field: np.ndarray, factor: int) -> np.ndarray:
    side = len(field) // factor
    return field.reshape(side, factor, side, factor).mean(axis=(1, 3))


def _paper(rng: Generator, size: int, papers: tuple) -> np.ndarray:
    white = _one_of(rng, papers) if rng.random() < 0.6 else np.ones(3, dtype=np.float32)
    return white * (0.95 + 0.07 * texture(rng, *grid(size), 0.8, 0.9))[..., None]


def _one_of(rng: Generator, colours: tuple) -> np.ndarray:
    return np.asarray(colours[rng.integers(len(colours))], dtype=np.float32)
