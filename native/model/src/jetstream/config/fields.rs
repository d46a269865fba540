//! A request's JSON object, taken apart field by field.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::jetstream::error::{self, ApiError};

pub struct Fields(Map<String, Value>);

impl Fields {
    /// # Errors
    /// When `json` is not an object. An empty text is one without fields.
    pub fn parse(json: &[u8]) -> Result<Fields, ApiError> {
        if json.trim_ascii().is_empty() {
            return Ok(Fields(Map::new()));
        }
        match serde_json::from_slice(json) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            Ok(_) => Err(error::invalid_json("json: cannot unmarshal into an object")),
            Err(fault) => Err(error::invalid_json(&fault.to_string())),
        }
    }

    /// The value of a field; its default where the request has none.
    ///
    /// # Errors
    /// When the value is of another type.
    pub fn take<T: DeserializeOwned + Default>(&mut self, name: &str) -> Result<T, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(T::default()),
            Some(value) => serde_json::from_value(value).map_err(|fault| error::invalid_json(&fault.to_string())),
        }
    }

    /// An object in this object.
    ///
    /// # Errors
    /// When it is something else.
    pub fn take_fields(&mut self, name: &str) -> Result<Fields, ApiError> {
        Ok(Fields(self.take(name)?))
    }

    /// Refuses what is left: fields that the server does not know, and those that the model does not have.
    ///
    /// # Errors
    /// Names the first of them.
    pub fn finish(self, not_modelled: &[&str]) -> Result<(), ApiError> {
        for (name, value) in self.0 {
            if !not_modelled.contains(&name.as_str()) {
                return Err(error::invalid_json(&format!("json: unknown field \"{name}\"")));
            }
            if !is_default(&value) {
                return Err(error::not_modelled(&name));
            }
        }
        Ok(())
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_with_their_types() {
        let mut fields = Fields::parse(br#"{"a": 1, "b": null, "c": false, "d": {"e": "x"}}"#).unwrap();
        assert_eq!(fields.take::<u64>("a"), Ok(1));
        assert_eq!(fields.take::<String>("b"), Ok(String::new()));
        assert_eq!(fields.take_fields("d").unwrap().take::<String>("e"), Ok("x".into()));
        assert_eq!(fields.finish(&["c"]), Ok(()));
        assert!(Fields::parse(b"").is_ok() && Fields::parse(b"[]").is_err() && Fields::parse(b"{").is_err());
    }

    #[test]
    fn what_is_left_is_refused() {
        let finish = |json: &[u8]| Fields::parse(json).unwrap().finish(&["known"]).map_err(|error| error.err_code);
        assert_eq!(finish(br#"{"known": []}"#), Ok(()));
        assert_eq!(finish(br#"{"known": [1]}"#), Err(0));
        assert_eq!(finish(br#"{"other": 0}"#), Err(10025));
    }
}
