"""The mini-web: a procedural stand-in for the web, drawn from a seed.

``world``     what exists: classes, visual domains, the character of each source and test set
``objects``   how each class is drawn
``scenes``    how a drawing becomes an image of a visual domain
``captions``  how each source writes about what it shows
``pages``     what lies behind the URLs of a source
``rows``      the rows of its list, usable ones and traps
``lists``     the released format of each source
``server``    answers HTTP as the web does, faults included
"""
