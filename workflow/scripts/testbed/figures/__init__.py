"""Figures for print: style, axes and panels."""
