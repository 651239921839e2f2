//! Writes the JSON Schema of suite files, with which an editor completes and checks them; made of the grammar that the reader goes by.

use serde_json::{Map, Value, json};

use super::grammar::{Form, SUITE, Shape};

/// The schema (draft 2020-12) of a suite file.
pub fn suite_schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = form(&SUITE, &mut definitions);
    let top = schema.as_object_mut().expect("the schema of a map is an object");
    top.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    top.insert("title".into(), "tiltmeter suite".into());
    top.insert("$defs".into(), Value::Object(definitions));
    schema
}

fn form(form: &Form, definitions: &mut Map<String, Value>) -> Value {
    let properties = form.fields.iter().map(|field| {
        let mut value = shape(&field.shape, definitions);
        let object = value.as_object_mut().expect("every shape is an object");
        object.insert("description".into(), field.doc.into());
        (field.name.to_string(), value)
    });
    let properties: Map<String, Value> = properties.collect();
    let required: Vec<&str> = form.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

fn shape(of: &Shape, definitions: &mut Map<String, Value>) -> Value {
    match of {
        Shape::Text => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Count(least) => json!({ "type": "integer", "minimum": least }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Nothing => json!({ "type": "null" }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::List(item) => json!({ "type": "array", "items": shape(item, definitions) }),
        Shape::Named(value) => json!({ "type": "object", "additionalProperties": shape(value, definitions) }),
        Shape::Either(shapes) => {
            let shapes: Vec<Value> = shapes.iter().map(|one| shape(one, definitions)).collect();
            json!({ "anyOf": shapes })
        }
        Shape::Map(inner) => {
            if !definitions.contains_key(inner.name) {
                definitions.insert(inner.name.into(), Value::Null); // so that a form within itself ends
                let made = form(inner, definitions);
                definitions.insert(inner.name.into(), made);
            }
            json!({ "$ref": format!("#/$defs/{}", inner.name) })
        }
    }
}
