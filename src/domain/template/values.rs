//! What a template sees, as objects of the engine. They note what was looked for in vain, so that an error can name it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

use super::{Context, FetchedRecord};
use crate::domain::path::RecordPath;
use crate::domain::record::{RecordData, Value as RecordValue};

/// What went wrong while rendering, beyond what the engine tells.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    missing: Option<Missing>,
    bytes_as_text: Option<String>,
}

/// The last look-up that found nothing.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    pub(super) key: Option<String>,
    pub(super) within: String,
}

impl Notes {
    pub(super) fn missing(&self) -> Option<Missing> {
        self.noted().missing.clone()
    }

    pub(super) fn bytes_as_text(&self) -> Option<String> {
        self.noted().bytes_as_text.clone()
    }

    /// Notes a look-up that found nothing. A default or a condition may deal with it; if rendering fails, what was looked for last is
    /// the best thing to name, and it is not there in any case.
    fn looked_up(&self, found: Option<Value>, key: &Value, within: &str) -> Option<Value> {
        if found.is_none() {
            self.noted().missing = Some(Missing {
                key: key.as_str().map(str::to_owned),
                within: within.to_owned(),
            });
        }
        found
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `data`, `records` and `meta`.
pub(super) struct Root {
    data: Option<Value>,
    records: Value,
    meta: Value,
    notes: Arc<Notes>,
}

impl Root {
    /// `named` is what stands in `records["…"]`, with the path that it means.
    pub(super) fn new(context: &Context, named: &BTreeMap<String, RecordPath>) -> Self {
        let notes = Arc::new(Notes::default());
        let records = named.iter().filter_map(|(text, path)| {
            let record = context.records.get(path)?;
            let data = Data::value(record, format!("records[\"{text}\"].data"), &notes);
            let fields = BTreeMap::from([("data", data), ("version", Value::from(record.version.number()))]);
            Some((text.clone(), Fields::value(fields, "a record", &notes)))
        });
        let records = Records {
            records: records.collect(),
            notes: Arc::clone(&notes),
        };
        let mut meta = BTreeMap::from([
            ("namespace", Value::from(context.meta.namespace.as_str())),
            ("name", Value::from(context.meta.name.as_str())),
            ("path", Value::from(context.meta.path.as_str())),
        ]);
        if let Some(own) = &context.own {
            meta.insert("version", Value::from(own.version.number()));
        }
        Self {
            data: context
                .own
                .as_ref()
                .map(|own| Data::value(own, "data".to_owned(), &notes)),
            records: Value::from_object(records),
            meta: Fields::value(meta, "meta", &notes),
            notes,
        }
    }

    pub(super) fn notes(&self) -> Arc<Notes> {
        Arc::clone(&self.notes)
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "data" => self.data.clone(),
            "records" => Some(self.records.clone()),
            "meta" => Some(self.meta.clone()),
            _ => None,
        }
    }
}

/// The records that a template names.
struct Records {
    records: BTreeMap<String, Value>,
    notes: Arc<Notes>,
}

impl Object for Records {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let found = key.as_str().and_then(|key| self.records.get(key)).cloned();
        self.notes.looked_up(found, key, "records")
    }
}

/// A fixed set of fields.
struct Fields {
    fields: BTreeMap<&'static str, Value>,
    label: &'static str,
    notes: Arc<Notes>,
}

impl Fields {
    fn value(fields: BTreeMap<&'static str, Value>, label: &'static str, notes: &Arc<Notes>) -> Value {
        Value::from_object(Self {
            fields,
            label,
            notes: Arc::clone(notes),
        })
    }
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let found = key.as_str().and_then(|key| self.fields.get(key)).cloned();
        self.notes.looked_up(found, key, self.label)
    }
}

/// The keys of a record.
struct Data {
    data: Arc<RecordData>,
    label: String,
    notes: Arc<Notes>,
}

impl Data {
    fn value(record: &FetchedRecord, label: String, notes: &Arc<Notes>) -> Value {
        Value::from_object(Self {
            data: Arc::clone(&record.data),
            label,
            notes: Arc::clone(notes),
        })
    }
}

impl Object for Data {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str().unwrap_or_default();
        let found = self.data.get(name).map(|value| match value {
            RecordValue::Text(text) => Value::from(text.as_str()),
            RecordValue::Bytes(bytes) => {
                let bytes = zeroize::Zeroizing::new(bytes.to_vec());
                Value::from_object(Bytes {
                    bytes,
                    key: name.to_owned(),
                    notes: Arc::clone(&self.notes),
                })
            }
            // A record holds JSON that was checked when it was written; as text it is at least not lost.
            RecordValue::Json(text) => serde_json::from_str(text).map_or_else(
                |_| Value::from(text.as_str()),
                |json| {
                    structure(
                        json,
                        Some(&(Arc::clone(&self.notes), format!("a JSON value of {}", self.label))),
                    )
                },
            ),
        });
        self.notes.looked_up(found, key, &self.label)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys: Vec<Value> = self.data.iter().map(|(key, _)| Value::from(key.as_str())).collect();
        Enumerator::Iter(Box::new(keys.into_iter()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        as_json(&Value::from_dyn_object(Arc::clone(self)), f)
    }
}

/// A value of bytes: only `b64encode` takes it. Wherever it is written as text instead, that is noted, and rendering fails.
pub(super) struct Bytes {
    bytes: zeroize::Zeroizing<Vec<u8>>,
    key: String,
    notes: Arc<Notes>,
}

impl Bytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

impl Object for Bytes {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notes.noted().bytes_as_text = Some(self.key.clone());
        Ok(())
    }
}

/// An object or a list of a JSON value; written as text, it is compact JSON again.
struct Structure {
    content: Content,
    notes: Option<(Arc<Notes>, String)>,
}

enum Content {
    Map(BTreeMap<String, Value>),
    List(Vec<Value>),
}

/// A value of the engine from JSON that belongs to no record.
pub(super) fn from_json(json: serde_json::Value) -> Value {
    structure(json, None)
}

fn structure(json: serde_json::Value, notes: Option<&(Arc<Notes>, String)>) -> Value {
    let content = match json {
        serde_json::Value::Object(map) => Content::Map(
            map.into_iter()
                .map(|(key, value)| (key, structure(value, notes)))
                .collect(),
        ),
        serde_json::Value::Array(items) => {
            Content::List(items.into_iter().map(|item| structure(item, notes)).collect())
        }
        serde_json::Value::Null => return Value::from(()),
        serde_json::Value::Bool(bool) => return Value::from(bool),
        serde_json::Value::Number(number) => return scalar(&number),
        serde_json::Value::String(text) => return Value::from(text),
    };
    Value::from_object(Structure {
        content,
        notes: notes.cloned(),
    })
}

fn scalar(number: &serde_json::Number) -> Value {
    let whole = number
        .as_i64()
        .map(Value::from)
        .or_else(|| number.as_u64().map(Value::from));
    whole
        .or_else(|| number.as_f64().map(Value::from))
        .unwrap_or_else(|| Value::from(number.to_string()))
}

impl Object for Structure {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.content {
            Content::Map(_) => ObjectRepr::Map,
            Content::List(_) => ObjectRepr::Seq,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let found = match &self.content {
            Content::Map(map) => map.get(key.as_str().unwrap_or_default()),
            Content::List(items) => key.as_usize().and_then(|index| items.get(index)),
        };
        match &self.notes {
            Some((notes, label)) => notes.looked_up(found.cloned(), key, label),
            None => found.cloned(),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.content {
            Content::Map(map) => {
                let keys: Vec<Value> = map.keys().map(|key| Value::from(key.as_str())).collect();
                Enumerator::Iter(Box::new(keys.into_iter()))
            }
            Content::List(items) => Enumerator::Seq(items.len()),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        as_json(&Value::from_dyn_object(Arc::clone(self)), f)
    }
}

fn as_json(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // What has no form in JSON has been noted where it matters; a failing `Display` would panic in `to_string`.
    f.write_str(&serde_json::to_string(value).unwrap_or_default())
}

/// Writes a value into the output.
pub(super) fn format(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let written = match value.as_str() {
        Some(text) => out.write_str(text),
        None => out.write_str(&plain(value)),
    };
    written.map_err(|_| ErrorKind::WriteFailure.into())
}

/// A value as text: null, true and false as JSON writes them, everything else as it stands.
pub(super) fn plain(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => value.is_true().to_string(),
        _ => value.to_string(),
    }
}

/// Values never show, in whatever way the engine prints its objects for debugging.
macro_rules! hidden {
    ($($object:ident),*) => {$(
        impl fmt::Debug for $object {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("…")
            }
        }
    )*};
}

hidden!(Root, Records, Fields, Data, Bytes, Structure);
