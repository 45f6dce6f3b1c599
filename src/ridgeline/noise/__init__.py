"""Counter-based random streams, and the regularizers that draw from them."""

from ridgeline.noise._counter import draws16 as draws16
from ridgeline.noise._counter import normal as normal
from ridgeline.noise._counter import permutation as permutation
from ridgeline.noise._counter import stream_key as stream_key
from ridgeline.noise._counter import uniform as uniform
from ridgeline.noise._counter import words as words
from ridgeline.noise._dropout import Clock as Clock
from ridgeline.noise._dropout import Dropout as Dropout
from ridgeline.noise._dropout import install_dropout as install_dropout
