//! Avro in Confluent's wire format: a zero, the number of the schema in four bytes, the row.

use super::client::{Answer, Client, Verdict};
use super::{FIRST_REACH, SinkError, Target};
use crate::percent::encode;
use crate::table::{Kind, Table, as_codes};
use crate::text::append_uuid;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use serde_json::{Value, json};
use std::time::Duration;

/// Rows of a table in Avro, under a schema that a registry knows.
pub(super) struct Avro {
    head: [u8; 5],
}

/// The schema of a table.
fn schema(table: &Table) -> Value {
    let fields = table.columns.iter().map(|column| {
        let of = match column.kind {
            Kind::Bool => json!("boolean"),
            Kind::Int16 | Kind::Int32 => json!("int"),
            Kind::Int64 => json!("long"),
            Kind::Float | Kind::Fixed(_) => json!("double"),
            Kind::Instant(_) => json!({ "type": "long", "logicalType": "timestamp-micros" }),
            Kind::Date => json!({ "type": "int", "logicalType": "date" }),
            Kind::Uuid => json!({ "type": "string", "logicalType": "uuid" }),
            Kind::Text | Kind::Json => json!("string"),
        };
        if column.nullable {
            json!({ "name": column.name, "type": ["null", of], "default": null, "doc": column.meaning })
        } else {
            json!({ "name": column.name, "type": of, "doc": column.meaning })
        }
    });
    json!({ "type": "record", "name": table.name, "namespace": "populace", "doc": table.meaning, "fields": fields.collect::<Vec<_>>() })
}

impl Avro {
    /// Registers the schema of `table` for the values of `topic`.
    pub(super) fn register(registry: &str, topic: &str, table: &Table, timeout: Duration) -> Result<Self, SinkError> {
        let target = Target::parse(registry).map_err(|error| SinkError::Refused(error.to_string().replace("--to", "registry")))?;
        let shown = target.shown();
        if !["http", "https"].contains(&target.scheme.as_str()) {
            return Err(SinkError::Refused(format!("registry: {shown}: must be the http or https URL of a schema registry")));
        }
        target.only(&[])?;
        let mut client = Client::new(&target.scheme, &target, 8081, timeout)?;
        if let Some(user) = &target.user {
            client = client.with_basic(user, target.password.as_deref().unwrap_or_default());
        }
        let body = json!({ "schema": schema(table).to_string(), "schemaType": "AVRO" }).to_string();
        let headers = [("Content-Type", "application/vnd.schemaregistry.v1+json")];
        let base = if target.path.is_empty() { String::new() } else { format!("/{}", target.path) };
        let subject = format!("{topic}-value");
        let path = format!("{base}/subjects/{}/versions", encode(&subject));
        let judge = |answer: &Answer| match answer.status {
            200 => Verdict::Done,
            429 | 500.. => Verdict::Again,
            status => {
                let told = told(answer);
                Verdict::Never(SinkError::Refused(match status {
                    401 | 403 => format!("{shown}: the schema registry refuses the user or the password (status {status})"),
                    409 => format!(
                        "{shown}: the subject `{subject}` has a schema that this one is not compatible with ({told}); send to another \
                         topic, or set the subject's compatibility to NONE"
                    ),
                    422 => format!("{shown}: the schema registry refuses the schema: {told}"),
                    _ => format!("{shown}: no schema registry answers there (status {status}: {told}); its URL may have a path"),
                }))
            }
        };
        let answer = client.request_within(FIRST_REACH, &path, (&headers, Some(body.as_bytes())), judge).map_err(|error| match error {
            SinkError::Unavailable(told) => SinkError::Unavailable(format!("{told}; is a schema registry running there?")),
            refused @ SinkError::Refused(_) => refused,
        })?;
        let id = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|answer| u32::try_from(answer["id"].as_u64()?).ok());
        let id = id.ok_or_else(|| SinkError::Refused(format!("{shown}: no schema registry: its answer has no id")))?;
        let mut head = [0; 5];
        head[1..].copy_from_slice(&id.to_be_bytes());
        Ok(Self { head })
    }

    /// Appends a row.
    pub(super) fn append(&self, table: &Table, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        for (column, array) in table.columns.iter().zip(batch.columns()) {
            if column.nullable {
                let null = array.is_null(row);
                out.push(if null { 0 } else { 2 });
                if null {
                    continue;
                }
            }
            value(column.kind, array.as_ref(), row, out);
        }
    }
}

/// What a registry says about its refusal.
fn told(answer: &Answer) -> String {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    body.and_then(|body| Some(body["message"].as_str()?.chars().take(400).collect())).unwrap_or_else(|| answer.first_line())
}

fn value(kind: Kind, array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    match kind {
        Kind::Bool => out.push(u8::from(array.as_boolean().value(row))),
        Kind::Int16 => long(array.as_primitive::<Int16Type>().value(row).into(), out),
        Kind::Int32 => long(array.as_primitive::<Int32Type>().value(row).into(), out),
        Kind::Int64 => long(array.as_primitive::<Int64Type>().value(row), out),
        Kind::Float | Kind::Fixed(_) => out.extend_from_slice(&array.as_primitive::<Float64Type>().value(row).to_le_bytes()),
        Kind::Instant(_) => long(array.as_primitive::<TimestampMicrosecondType>().value(row), out),
        Kind::Date => long(array.as_primitive::<Date32Type>().value(row).into(), out),
        Kind::Uuid => {
            let bytes: &[u8; 16] = array.as_fixed_size_binary().value(row).try_into().expect("a UUID has 16 bytes");
            long(36, out);
            append_uuid(bytes, out);
        }
        Kind::Text | Kind::Json => {
            let (codes, values) = as_codes(array);
            text(values.value(codes[row] as usize), out);
        }
    }
}

fn text(value: &str, out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value.as_bytes());
}

/// A zig-zag integer, seven bits a byte.
fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_the_specification() {
        // Avro 1.12, "Binary encoding", and the ends of the range.
        for (value, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::MIN, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ] {
            let mut out = Vec::new();
            long(value, &mut out);
            assert_eq!(out, bytes, "{value}");
        }
    }
}
