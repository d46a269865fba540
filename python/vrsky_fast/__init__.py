"""Message pipelines per customer: XML and JSON in, filtered, scripted and delivered.

    xml_to_json, json_to_xml    one payload, converted
    Filter                      one expression on a payload
    Script                      one script on a message
    Pipeline                    a whole pipeline file on messages, without NATS
    VrskyError                  what all of them raise; the tree is in `errors`

Everything here is immutable and may be used by several threads at once; the interpreter is released
while the native core works.
"""

from ._native import (
    Filter,
    Limits,
    Message,
    Output,
    Pipeline,
    Result,
    Script,
    XmlOptions,
    __version__,
    json_to_xml,
    xml_to_json,
)
from .errors import Place, VrskyError

__all__ = [
    "Filter",
    "Limits",
    "Message",
    "Output",
    "Pipeline",
    "Place",
    "Result",
    "Script",
    "VrskyError",
    "XmlOptions",
    "__version__",
    "json_to_xml",
    "xml_to_json",
]
