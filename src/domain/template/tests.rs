//! Tests of templates: what people write, what goes wrong, and what must never show.

use base64::Engine as _;
use proptest::prelude::*;

use super::*;
use crate::domain::record::{KeyName, Value};

fn record(entries: &[(&str, Value)]) -> FetchedRecord {
    let map = entries
        .iter()
        .map(|(key, value)| (KeyName::parse(*key).unwrap(), value.clone()))
        .collect();
    FetchedRecord {
        version: Version::new(7).unwrap(),
        data: Arc::new(RecordData::new(map).unwrap()),
    }
}

fn json(text: &str) -> Value {
    Value::Json(Zeroizing::new(text.into()))
}

fn context() -> Context {
    let own = record(&[
        ("username", Value::text("app")),
        ("password", Value::text("p@s/s 'w\"ö%")),
        ("ca.crt", Value::text("-----BEGIN-----\nMIIB\n-----END-----\n")),
        ("encoded", Value::text("aGVs\nbG8=")),
        ("notext", Value::text("/w==")),
        (
            "config",
            json(r#"{"hosts":["a","b"],"port":5432,"tls":true,"note":null,"ratio":1.5}"#),
        ),
        ("raw", Value::Bytes(Zeroizing::new(vec![0xff, 0x00]))),
        ("long", Value::text("x".repeat(100_000))),
    ]);
    let smtp = record(&[
        ("host", Value::text("mail.example")),
        ("deep", json(r#"{"a":{"b":"c"}}"#)),
    ]);
    Context {
        own: Some(own),
        records: [("shared/smtp", smtp.clone()), ("k8s/shop/other", smtp)]
            .map(|(path, record)| (RecordPath::parse(path).unwrap(), record))
            .into(),
        meta: Meta {
            namespace: "shop".into(),
            name: "orders-db".into(),
            path: RecordPath::parse("k8s/shop/orders-db").unwrap(),
        },
    }
}

fn parse(source: &str) -> Result<Template, TemplateError> {
    Template::parse(source, Some(&PathPrefix::parse("k8s/shop").unwrap()))
}

fn render(source: &str) -> Result<String, String> {
    let bytes = parse(source)
        .and_then(|template| template.render(&context()))
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn what_people_write_comes_out() {
    for (source, expected) in [
        ("plain", "plain"),
        ("ends\n", "ends\n"),
        ("{{ data.username }}", "app"),
        ("{{ data['ca.crt'] | trim | replace('-----', '') | length }}", "14"),
        (
            "postgres://{{ data.username }}:{{ data.password | urlencode }}@db/orders",
            "postgres://app:p%40s%2Fs%20%27w%22%C3%B6%25@db/orders",
        ),
        (
            "PGPASSWORD={{ data.password | quote }}",
            "PGPASSWORD='p@s/s '\\''w\"ö%'",
        ),
        ("{{ data.password | tojson }}", "\"p@s/s 'w\\\"ö%\""),
        (
            "{{ data.username | b64encode }} {{ data.raw | b64encode }} {{ data.encoded | b64decode }}",
            "YXBw /wA= hello",
        ),
        (
            "{{ data.config }}",
            r#"{"hosts":["a","b"],"note":null,"port":5432,"ratio":1.5,"tls":true}"#,
        ),
        (
            "{{ data.config.port + 1 }} {{ data.config.tls }} {{ data.config.note }} {{ data.config.ratio }}",
            "5433 true null 1.5",
        ),
        (
            "{{ data.config.hosts | join(',') }} {{ data.config.hosts | first }}{{ data.config.hosts[1] | upper }}",
            "a,b aB",
        ),
        (
            "{% for host in data.config.hosts %}{{ loop.index }}={{ host }};{% endfor %}",
            "1=a;2=b;",
        ),
        (
            "{% for key, value in data.config | items %}{{ key }} {% endfor %}",
            "hosts note port ratio tls ",
        ),
        ("{% if data.nothing is defined %}yes{% else %}no{% endif %}", "no"),
        ("{{ data.nothing | default('none') }}", "none"),
        (
            "{{ 'yes' if data.config is mapping and data.username is string }}",
            "yes",
        ),
        (
            "{% set url = data.username ~ '@' ~ records['shared/smtp'].data.host %}{{ url }}",
            "app@mail.example",
        ),
        (
            "{{ records[\"~/other\"].data.deep.a.b }} v{{ records['shared/smtp'].version }}",
            "c v7",
        ),
        (
            "{{ meta.namespace }}/{{ meta.name }} {{ meta.path }} {{ meta.version }}",
            "shop/orders-db k8s/shop/orders-db 7",
        ),
        (
            "{{ '{\"a\": [1]}' | fromjson }}{{ ('[3]' | fromjson)[0] }}",
            "{\"a\":[1]}3",
        ),
        (
            "{{ 'a=b' | split('=') | last }}{{ [3, 1] | sort | join }}{{ '7' | int + 1 }}",
            "b138",
        ),
        (
            "key: |\n  {{ data['ca.crt'] | indent(2) }}",
            "key: |\n  -----BEGIN-----\n  MIIB\n  -----END-----",
        ),
        ("{% raw %}{{ data.x }}{% endraw %}{# {{ data.y }} #}", "{{ data.x }}"),
        (
            "{{ data.config.tls | quote }}{{ data.config.port | b64encode }}",
            "'true'NTQzMg==",
        ),
        ("<b>{{ '<&>' }}</b>", "<b><&></b>"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn faults_say_what_to_do_and_where() {
    let messages = [
        "{{ data.username",
        "a\n{% if %}",
        "{% include 'x' %}",
        "{% macro x() %}{% endmacro %}",
        "\n{{ env.HOME }}",
        "{{ range(3) }}",
        "{{ data.username.upper() }}",
        "{{ data.username | shout }}",
        "{{ data.username is loud }}",
        "{{ records.smtp }}",
        "\n{{ records['shared//smtp'].data }}",
        "\n{{ data.pasword }}",
        "{{ data['pasword'] | upper }}",
        "{{ records['shared/smtp'].data.port }}",
        "{{ data.config.hots[0] }}",
        "{{ data.config.hosts[9] }}",
        "{{ data.nothing.more | default('x') }}",
        "{{ data[data.username] }}",
        "{{ meta.uid }}",
        "{{ records['shared/smtp'].host }}",
        "{{ data.raw }}",
        "{{ 'x' ~ data.raw }}",
        "{{ data.raw | upper }}",
        "{{ data | tojson }}",
        "{{ data.notext | b64decode }}",
        "{{ data.username | b64decode }}",
        "{{ data.config | urlencode }}",
        "{{ data.username | fromjson }}",
        "{{ data.username | replace('a') }}",
        "{{ data.username + 1 }}",
        "{{ data.config.port | length }}",
    ]
    .map(|source| format!("{source:?} → {}", render(source).unwrap_or_else(|error| error)));
    insta::assert_snapshot!(messages.join("\n"), @r##"
    "{{ data.username" → line 1: syntax error: unexpected end of input, expected end of variable block
    "a\n{% if %}" → line 2: syntax error: unexpected end of block
    "{% include 'x' %}" → line 1: syntax error: unknown statement include
    "{% macro x() %}{% endmacro %}" → line 1: syntax error: unknown statement macro
    "\n{{ env.HOME }}" → line 2: there is no 'env'; a template has data, records["path"].data and .version, meta.namespace, .name, .path and .version, and no functions
    "{{ range(3) }}" → line 1: there is no 'range'; a template has data, records["path"].data and .version, meta.namespace, .name, .path and .version, and no functions
    "{{ data.username.upper() }}" → line 1: there are no functions and methods; use filters, as in … | upper
    "{{ data.username | shout }}" → line 1: unknown filter; there are b64decode, b64encode, default, first, fromjson, indent, int, items, join, last, length, lower, quote, replace, sort, split, tojson, trim, upper, urlencode
    "{{ data.username is loud }}" → line 1: unknown test; there are boolean, defined, endingwith, mapping, none, number, sequence, startingwith, string, undefined
    "{{ records.smtp }}" → line 1: write the path of a record in quotes, as in records["shared/smtp"].data.host
    "\n{{ records['shared//smtp'].data }}" → line 2: records["…"]: the path has an empty segment; remove the leading, trailing or doubled '/'
    "\n{{ data.pasword }}" → line 2: there is no 'pasword' in data; add the key to the record, or give a default: … | default("")
    "{{ data['pasword'] | upper }}" → line 1: there is no 'pasword' in data; add the key to the record, or give a default: … | default("")
    "{{ records['shared/smtp'].data.port }}" → line 1: there is no 'port' in records["shared/smtp"].data; add the key to the record, or give a default: … | default("")
    "{{ data.config.hots[0] }}" → line 1: there is no 'hots' in a JSON value of data; add the key to the record, or give a default: … | default("")
    "{{ data.config.hosts[9] }}" → line 1: a key that the template asks for is not in a JSON value of data; add it to the record, or give a default: … | default("")
    "{{ data.nothing.more | default('x') }}" → line 1: there is no 'nothing' in data; add the key to the record, or give a default: … | default("")
    "{{ data[data.username] }}" → line 1: a key that the template asks for is not in data; add it to the record, or give a default: … | default("")
    "{{ meta.uid }}" → line 1: there is no 'meta.uid'; a template has data, records["path"].data and .version, meta.namespace, .name, .path and .version, and no functions
    "{{ records['shared/smtp'].host }}" → line 1: there is no 'records["shared/smtp"].host'; a template has data, records["path"].data and .version, meta.namespace, .name, .path and .version, and no functions
    "{{ data.raw }}" → key 'raw' holds bytes, not text; use … | b64encode, or give the Secret's key a `from` instead of a template
    "{{ 'x' ~ data.raw }}" → key 'raw' holds bytes, not text; use … | b64encode, or give the Secret's key a `from` instead of a template
    "{{ data.raw | upper }}" → key 'raw' holds bytes, not text; use … | b64encode, or give the Secret's key a `from` instead of a template
    "{{ data | tojson }}" → a key holds bytes, not text; use … | b64encode, or give the Secret's key a `from` instead of a template
    "{{ data.notext | b64decode }}" → line 1: b64decode: the decoded bytes are not text; use `from` with `decode: base64` instead of a template
    "{{ data.username | b64decode }}" → line 1: b64decode: the value is not standard base64
    "{{ data.config | urlencode }}" → line 1: urlencode takes text; make text of a structure with tojson first
    "{{ data.username | fromjson }}" → line 1: fromjson: the value is not JSON
    "{{ data.username | replace('a') }}" → line 1: a filter or an operator does not fit what it is given: too many or too few arguments, or a structure where text or a number belongs (… | tojson makes text of it)
    "{{ data.username + 1 }}" → line 1: a filter or an operator does not fit what it is given: too many or too few arguments, or a structure where text or a number belongs (… | tojson makes text of it)
    "{{ data.config.port | length }}" → line 1: a filter or an operator does not fit what it is given: too many or too few arguments, or a structure where text or a number belongs (… | tojson makes text of it)
    "##);
}

#[test]
fn r33_templates_have_these_filters_and_tests_and_no_functions() {
    insta::assert_snapshot!(filter_names().join(" "), @"b64decode b64encode default first fromjson indent int items join last length lower quote replace sort split tojson trim upper urlencode");
    insta::assert_snapshot!(test_names().join(" "), @"boolean defined endingwith mapping none number sequence startingwith string undefined");
    assert_eq!(ENVIRONMENT.globals().count(), 0);
    // The lists are what is registered, and nothing else is: every other name of the engine is refused.
    let builtin = [
        "abs",
        "attr",
        "batch",
        "bool",
        "capitalize",
        "chain",
        "d",
        "dictsort",
        "e",
        "escape",
        "float",
        "format",
        "groupby",
        "lines",
        "list",
        "map",
        "max",
        "min",
        "pprint",
        "reject",
        "reverse",
        "round",
        "safe",
        "select",
        "slice",
        "string",
        "sum",
        "title",
        "unique",
        "zip",
    ];
    for name in filter_names() {
        let fault = ENVIRONMENT
            .render_str(&format!("{{{{ 'x' | {name} }}}}"), ())
            .err()
            .map(|error| error.kind());
        assert_ne!(fault, Some(minijinja::ErrorKind::UnknownFilter), "{name}");
    }
    for name in builtin {
        let fault = ENVIRONMENT
            .render_str(&format!("{{{{ 'x' | {name} }}}}"), ())
            .err()
            .map(|error| error.kind());
        assert_eq!(fault, Some(minijinja::ErrorKind::UnknownFilter), "{name}");
    }
    for name in test_names() {
        let fault = ENVIRONMENT
            .render_str(&format!("{{{{ 'x' is {name} }}}}"), ())
            .err()
            .map(|error| error.kind());
        assert_ne!(fault, Some(minijinja::ErrorKind::UnknownTest), "{name}");
    }
    for name in [
        "range",
        "dict",
        "debug",
        "namespace",
        "lipsum",
        "env",
        "now",
        "lookup",
        "self",
        "super",
        "caller",
    ] {
        let error = parse(&format!("{{{{ {name}() }}}}"))
            .and_then(|template| template.render(&context()))
            .unwrap_err();
        let refused = matches!(
            error.fault,
            TemplateFault::UnknownName(_) | TemplateFault::Syntax(_) | TemplateFault::NoCalls
        );
        assert!(refused, "{name}: {error}");
    }
}

#[test]
fn r33_size_and_steps_are_bounded() {
    let fault = |source: &str| {
        parse(source)
            .and_then(|template| template.render(&context()))
            .unwrap_err()
            .fault
    };
    assert_eq!(
        fault(&"x".repeat(MAX_TEMPLATE_BYTES + 1)),
        TemplateFault::SourceTooLarge
    );
    assert!(parse(&"x".repeat(MAX_TEMPLATE_BYTES)).is_ok());
    assert_eq!(fault(&"{{ data.long }}".repeat(11)), TemplateFault::OutputTooLarge);
    assert!(render(&"{{ data.long }}".repeat(10)).is_ok());
    let each = "{% for a in data.long | split('') %}";
    assert_eq!(
        fault(&format!("{each}{}{{% endfor %}}", "{% set b = a %}".repeat(4))),
        TemplateFault::TooCostly
    );
    let loops = each.repeat(4) + &"{% endfor %}".repeat(4);
    assert_eq!(fault(&loops), TemplateFault::TooCostly);
    let grows = "{% set a = data.long %}".to_owned() + &"{% set a = a ~ a %}".repeat(40);
    assert_eq!(fault(&grows), TemplateFault::TooCostly);
    assert_eq!(
        fault("{{ data.long | replace('x', data.long) | length }}"),
        TemplateFault::TooCostly
    );
    assert_eq!(fault("{{ data.long * 100000 }}"), TemplateFault::TooCostly);
    let nested = "(".repeat(20_000);
    assert!(matches!(
        parse(&format!("{{{{ {nested}")).unwrap_err().fault,
        TemplateFault::Syntax(_)
    ));
    let recursive = "{% for a in [[[1]]] recursive %}{{ loop([[[1]]]) }}{% endfor %}";
    assert!(matches!(
        fault(recursive),
        TemplateFault::BadOperation | TemplateFault::TooCostly
    ));
}

#[test]
fn references_are_known_before_rendering() {
    let template = parse("{{ records['~/other'].data.x }}{{ records[\"shared/smtp\"].data.y }}").unwrap();
    let records: Vec<_> = template.records().into_iter().map(RecordPath::as_str).collect();
    assert_eq!(
        (template.uses_own(), records),
        (false, vec!["k8s/shop/other", "shared/smtp"])
    );
    assert!(parse("{{ data.x }}").unwrap().uses_own());
    assert!(matches!(
        Template::parse("{{ records['~/x'].data }}", None).unwrap_err().fault,
        TemplateFault::BadPath(_)
    ));
}

/// Fragments of templates, sound and broken, that put values into every place where an error can come from.
fn fragment() -> impl Strategy<Value = String> {
    let value = "data\\.(canary|json|bytes|none)|records\\['shared/x'\\]\\.data\\.(canary|json)|data\\[data\\.canary\\]|data\\.json\\[data\\.canary\\]";
    let filter = "b64decode|b64encode|default|first|fromjson|indent|int|items|join|last|length|lower|quote|replace\\(data\\.canary\\)|sort|split|tojson|trim|upper|urlencode|shout";
    prop_oneof![
        (value, filter).prop_map(|(value, filter)| format!("{{{{ {value} | {filter} }}}}")),
        (value, "\\+|~|-|\\*|/|//|%|<|in|and", value).prop_map(|(a, op, b)| format!("{{{{ {a} {op} {b} }}}}")),
        (value, "defined|loud|startingwith\\(3\\)|mapping")
            .prop_map(|(value, test)| format!("{{{{ {value} is {test} }}}}")),
        value.prop_map(|value| format!("{{{{ {value}() }}}}{{{{ {value}.x.y }}}}")),
        value.prop_map(|value| format!("{{% for a, b in {value} %}}{{{{ a }}}}{{% endfor %}}")),
        value.prop_map(|value| format!("{{{{ {value}[{{}}] }}}}{{{{ {value}(1, x=2) }}}}")),
        value.prop_map(|value| format!("{{% set x, y = {value} %}}{{{{ -{value} }}}}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn r24_no_error_holds_a_value(fragments in proptest::collection::vec(fragment(), 1..4)) {
        const CANARY: &str = "c4n4ry-Zq";
        let canary = record(&[
            ("canary", Value::text(CANARY)),
            ("json", json(&format!(r#"{{"{CANARY}":["{CANARY}"],"k":"{CANARY}"}}"#))),
            ("bytes", Value::Bytes(Zeroizing::new(CANARY.as_bytes().to_vec()))),
        ]);
        let mut context = context();
        context.records = BTreeMap::from([(RecordPath::parse("shared/x").unwrap(), canary.clone())]);
        context.own = Some(canary);
        let outcome = parse(&fragments.concat()).and_then(|template| template.render(&context));
        if let Err(error) = outcome {
            let texts = [error.to_string(), format!("{error:?}")].join(" ").to_lowercase();
            let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY).to_lowercase();
            prop_assert!(!texts.contains("c4n4ry") && !texts.contains(&encoded), "{}", texts);
        }
    }

    #[test]
    fn r31_no_template_panics(source in "([{}%#'\"|.() a-c]|data|records|\\[|\\]|for|in|if|set|endfor|raw|[{]{2}|[}]{2}|[{]%|%[}]){0,24}") {
        if let Ok(template) = parse(&source) {
            let _ = template.render(&context());
        }
    }

    #[test]
    fn urlencode_is_undone_by_decoding(text in any::<String>()) {
        let encoded = ENVIRONMENT.render_str("{{ t | urlencode }}", minijinja::context!(t => text.clone())).unwrap();
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        let mut bytes = Vec::new();
        let mut rest = encoded.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            if *first == b'%' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                rest = &rest[2..];
            } else {
                bytes.push(*first);
            }
        }
        prop_assert_eq!(bytes, text.into_bytes());
    }
}
