//! Texts of a certain format. Each is a plain string in the file; its schema names the format,
//! which format.rs checks.

use connectors::texts;

texts! {
    /// A CEL expression.
    Expression = "expression";
    /// A field's path: `order.items[0].price`, `order["@id"]`.
    FieldPath = "path";
    /// The name of an out.
    OutName = "name";
    /// A file beside the pipeline file.
    FileName = "file";
    /// Messages per time: `5000/s`, `300/m`, `10/h`.
    Rate = "rate";
}
