"""The mini-web: a procedurally generated substitute for the web, determined by a seed.

``world``     classes, visual domains, and the profile of each source and test set
``objects``   how each class is drawn
``scenes``    how a drawing becomes an image of a visual domain
``captions``  captions in the style of each source
``pages``     the images and server responses of the URLs of a source
``rows``      the rows of its list, usable and invalid ones
``lists``     the released format of each source
``testsets``  test sets
``origins``   files of the hosts of published test sets, tables and weights
``server``    an HTTP server that responds as the web does, errors included
"""
