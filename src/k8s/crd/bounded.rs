//! Strings with a bound, for the schema of maps: CEL's cost is estimated from the largest value that the schema lets through.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! bounded_string {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "maxLength": $max })
            }
            fn inline_schema() -> bool {
                true
            }
        }
    };
}

bounded_string!(
    /// The value of a label.
    LabelValue, 63
);
bounded_string!(
    /// The value of an annotation.
    AnnotationValue, 4096
);
bounded_string!(
    /// A key of a record, or something as long.
    KeyText, 253
);
bounded_string!(
    /// A URI.
    UriText, 2048
);
bounded_string!(
    /// A sealed value.
    SealedText, 65536
);
