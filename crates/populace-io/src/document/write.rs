//! JSON values as YAML.

use serde_json::Value;

/// Writes a value as a YAML document that reads back to the same value.
pub(super) fn to_yaml(value: &Value) -> String {
    // Folding long text would need its spaces to survive a reader's idea of folding; quotes need nothing.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options).expect("JSON has nothing that YAML cannot hold")
}
