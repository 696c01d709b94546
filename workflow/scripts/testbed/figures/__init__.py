"""Figures for print: style, layout, axes, panels and their background."""
