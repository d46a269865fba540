"""Pipeline files, from YAML to what the node installs.

    bytes ──reader──► nodes with places ──emit──► JSON ──► Rust: check_pipeline ──► canonical JSON
             │ refuses    ▲      reads scalars by      │
             │ aliases,   │      the JSON Schema       │ JSON pointer, column
             ▼ tags ...   │                            ▼
          problem ◄───────┴───── locate ◄──────── ConfigError
     file:line:column, the line with a caret, a hint

Rust owns the model and validates; nothing here knows which keys exist. `snippets` and `variables` are put in their
places first, `files` reads scripts and tables beside the YAML, `secrets` looks up what `{secret: NAME}` names, `folder`
does all files of a folder.
"""

from .folder import examine, load_all
from .pipeline import PipelineFile, load, parse
from .problem import InvalidConfig, Problem

__all__ = ["InvalidConfig", "PipelineFile", "Problem", "examine", "load", "load_all", "parse"]
