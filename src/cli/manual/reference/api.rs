//! The API's calls and what they carry, from its OpenAPI document.

use serde_json::Value;
use utoipa::OpenApi;

use super::{begin, head, row};
use crate::http::api::openapi::Api;

pub(super) fn page() -> String {
    let about = "Every call, and every object in bodies and answers, as `GET /api/v1/openapi.json` describes them. \
                 [The HTTP API](../api.md) says what they mean, and how lists, errors and times are written.";
    let mut page = begin("Every call", about);
    let Ok(document) = serde_json::to_value(Api::openapi()) else {
        return page;
    };
    for tag in items(&document["tags"]) {
        let name = text(&tag["name"]);
        page.push_str(&format!("\n## Calls: {name}\n\n{}.\n", text(&tag["description"])));
        for (path, method, call) in calls(&document, name) {
            page.push_str(&format!("\n### `{} {path}`\n", method.to_uppercase()));
            call_page(&mut page, call);
        }
    }
    page.push_str("\n## Objects\n");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        page.push_str(&format!("\n### `{name}`\n"));
        schema_page(&mut page, schema);
    }
    page
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn calls<'a>(document: &'a Value, tag: &'a str) -> impl Iterator<Item = (&'a String, &'a String, &'a Value)> {
    entries(&document["paths"])
        .flat_map(|(path, methods)| entries(methods).map(move |(method, call)| (path, method, call)))
        .filter(move |(_, _, call)| items(&call["tags"]).iter().any(|of| of == tag))
}

fn call_page(page: &mut String, call: &Value) {
    for key in ["summary", "description"] {
        if let Some(text) = call[key].as_str() {
            page.push_str(&format!("\n{}.\n", text.trim_end_matches('.')));
        }
    }
    let parameters = items(&call["parameters"]);
    if !parameters.is_empty() {
        page.push_str(&head(&["parameter", "in", "type", ""]));
    }
    for parameter in parameters {
        page.push_str(&row(&[
            &format!("`{}`", text(&parameter["name"])),
            text(&parameter["in"]),
            &kind(&parameter["schema"]),
            text(&parameter["description"]),
        ]));
    }
    let body = &call["requestBody"];
    for (media, content) in entries(&body["content"]) {
        let schema = kind(&content["schema"]);
        let optional = if body["required"] == true { "" } else { ", optional" };
        page.push_str(&format!(
            "\nBody{optional}: {schema}, `{media}`. {}\n",
            text(&body["description"])
        ));
    }
    page.push_str(&head(&["answer", "", "body"]));
    for (status, response) in entries(&call["responses"]) {
        let bodies: Vec<String> = entries(&response["content"])
            .map(|(media, content)| match kind(&content["schema"]) {
                kind if kind.is_empty() => format!("`{media}`"),
                kind => kind,
            })
            .collect();
        page.push_str(&row(&[status, text(&response["description"]), &bodies.join(", ")]));
    }
}

fn schema_page(page: &mut String, schema: &Value) {
    if let Some(about) = schema["description"].as_str() {
        page.push_str(&format!("\n{about}\n"));
    }
    if schema["properties"].is_null() {
        page.push_str(&format!("\n{}.\n", kind(schema)));
        return;
    }
    let required = items(&schema["required"]);
    page.push_str(&head(&["field", "type", ""]));
    for (name, property) in entries(&schema["properties"]) {
        let mut kind = kind(property);
        if !required.iter().any(|field| field == name) {
            kind.push_str(", may be absent");
        }
        page.push_str(&row(&[&format!("`{name}`"), &kind, text(&property["description"])]));
    }
}

/// A type in words, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for (key, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        let parts: Vec<String> = items(&schema[key]).iter().map(kind).collect();
        if !parts.is_empty() {
            return parts.join(between);
        }
    }
    let words: Vec<String> = items(&schema["enum"])
        .iter()
        .map(|word| format!("`{}`", text(word)))
        .collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    let named = match &schema["type"] {
        Value::Array(types) => types.iter().map(|name| one(text(name), schema)).collect(),
        name => vec![one(text(name), schema)],
    };
    named.join(" or ")
}

fn one(name: &str, schema: &Value) -> String {
    match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if !kind(&schema["additionalProperties"]).is_empty() => {
            format!("object of {}", kind(&schema["additionalProperties"]))
        }
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        name => name.to_owned(),
    }
}
