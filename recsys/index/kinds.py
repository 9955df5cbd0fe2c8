"""The ways of searching that an index may be built for; kept apart, since faiss loads slowly."""

from typing import Literal, TypeAlias

QuickKind: TypeAlias = Literal["float16", "cells"]
IndexKind: TypeAlias = Literal["auto", "exact", "float16", "cells"]
