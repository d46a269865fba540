"""One node from start to drain.

cli/run, cli/node ──► settings    what this run was asked for: data folder, server, secrets, profile
                      profile     what a node serves and may reach; a value that each deployment fills its own way
                      options     whether all of it can be used, before anything runs
                      origin      where its pipelines come from: a folder, or a bucket
                      following   the topology that the bucket of the deployment's settings says, while it runs
               │
               ▼
serve:  origin: first ─► lock ─► server ─► provision ─► engine: install, start ─► polling ... signals ─► drain ─► stop
                                 embedded   streams,     the only caller of        stats and events
                                 or named   consumers    `_native.Node`            to the Watcher

cli/check ──► preview: what `serve` would run of some files, without anything that runs
"""

from .bucket import of_bucket
from .folder import of_folder
from .options import check_free, checked
from .origin import MakeOrigin
from .polling import Watcher
from .profile import Profile
from .serve import serve
from .settings import Settings

__all__ = [
    "MakeOrigin",
    "Profile",
    "Settings",
    "Watcher",
    "check_free",
    "checked",
    "of_bucket",
    "of_folder",
    "serve",
]
