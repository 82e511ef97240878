use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use super::super::{Credentials, Registered, Registry, RegistryError, Settings};
use super::listener::{Listener, Reply, json_schema, schema_not_found};
use super::settings;

fn registry(url: &str) -> Registry {
    Registry::new(&settings(url)).unwrap()
}

#[test]
fn a_schema_comes_with_all_it_refers_to() {
    let listener = Listener::new(|request| match request.line.as_str() {
        "GET /apis/ccompat/v7/schemas/ids/7" => Reply::Json(
            200,
            json!({"schemaType": "JSON", "schema": "A", "references": [
                {"name": "b.json", "subject": "b/c ü", "version": 2},
            ]}),
        ),
        "GET /apis/ccompat/v7/subjects/b%2Fc%20%C3%BC/versions/2" => Reply::Json(
            200,
            json!({"id": 1, "schemaType": "JSON", "schema": "B", "references": [
                {"name": "c.json", "subject": "c", "version": 1},
                {"name": "b.json", "subject": "b/c ü", "version": 2},
            ]}),
        ),
        "GET /apis/ccompat/v7/subjects/c/versions/1" => {
            Reply::Json(200, json!({"id": 2, "schemaType": "JSON", "schema": "C"}))
        }
        other => panic!("{other}"),
    });
    for slash in ["", "/"] {
        let found = registry(&format!("{}/apis/ccompat/v7{slash}", listener.url)).schema(7).unwrap();
        assert_eq!(found.text, "A");
        let references: Vec<_> =
            found.references.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(references, [("b.json", "B"), ("c.json", "C")]);
    }
}

#[test]
fn only_json_schemas_are_read() {
    let listener = Listener::new(|request| match request.line.as_str() {
        "GET /schemas/ids/1" => Reply::Json(200, json!({"schema": "\"string\""})),
        "GET /schemas/ids/2" => Reply::Json(200, json!({"schemaType": "PROTOBUF", "schema": ""})),
        _ => Reply::Json(
            200,
            json!({"schemaType": "JSON", "schema": "{}", "references": [{"name": "x", "subject": "x", "version": 1}]}),
        ),
    });
    let registry = registry(&listener.url);
    for (id, word) in [(1, "AVRO"), (2, "PROTOBUF")] {
        let error = registry.schema(id).unwrap_err();
        assert!(matches!(&error, RegistryError::Unusable { what } if what.contains(word)), "{error}");
    }
    let asked = listener.lines().len();
    assert!(registry.schema(3).is_ok(), "a schema that refers to itself comes to an end");
    assert_eq!(listener.lines().len(), asked + 2);
}

#[test]
fn errors_are_told_apart() {
    type Case = (&'static str, fn() -> Reply, &'static str, usize);
    let cases: [Case; 10] = [
        ("absent", schema_not_found, "Schema not found", 1),
        // Another server's 404 must never make dead letters of good records.
        ("refused", || Reply::Json(404, json!({"error": "no route"})), "another path", 1),
        (
            "refused",
            || Reply::Json(404, json!({"error_code": 404, "message": "HTTP 404"})),
            "another path",
            1,
        ),
        (
            "refused",
            || Reply::Json(401, json!({"error_code": 40101, "message": "who?"})),
            "credentials: who?",
            1,
        ),
        ("refused", || Reply::Json(307, json!({})), "redirect", 1),
        (
            "refused",
            || Reply::Json(500, json!({"error_code": 50001, "message": "store"})),
            "has failed: store",
            4,
        ),
        ("garbage", || Reply::Json(200, json!([1])), "it begins with `[1]`", 4),
        ("garbage", || Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "no registry's answer", 4),
        (
            "garbage",
            || Reply::Raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 2 << 20]].concat()),
            "more than 1048576 bytes",
            4,
        ),
        (
            "unreachable",
            || Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
            "end of file",
            4,
        ),
    ];
    std::thread::scope(|scope| {
        for (label, reply, word, tries) in cases {
            scope.spawn(move || {
                let listener = Listener::new(move |_| reply());
                let error = registry(&listener.url).schema(1).unwrap_err();
                assert_eq!(error.label(), label, "{error}");
                assert!(error.to_string().contains(word), "{error}");
                assert!(error.to_string().contains(&listener.url), "{error}");
                assert_eq!(listener.requests().len(), tries, "{error}");
            });
        }
    });
}

#[test]
fn a_registry_that_is_not_there_is_unreachable_and_a_silent_one_is_slow() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = registry(&format!("http://{closed}")).schema(1).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");

    let listener = Listener::new(|_| Reply::Hang);
    let settings = Settings { timeout: Duration::from_millis(50), ..settings(&listener.url) };
    let error = Registry::new(&settings).unwrap().schema(1).unwrap_err();
    assert!(matches!(error, RegistryError::Slow { .. }), "{error}");
    assert_eq!(listener.requests().len(), 4);
}

#[test]
fn a_passing_failure_is_tried_again() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let listener = Listener::new(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 | 1 => Reply::Json(503, json!({"error_code": 503, "message": "starting"})),
        _ => json_schema(&json!({"type": "object"})),
    });
    assert_eq!(registry(&listener.url).schema(1).unwrap().text, r#"{"type":"object"}"#);
}

#[test]
fn schemas_are_registered_and_looked_up() {
    let stored = || json!({"subject": "s-value", "id": 5, "version": 3, "schema": "{}", "guid": "x"});
    let listener = Listener::new(move |request| match request.line.as_str() {
        "POST /subjects/s-value/versions" if request.body.contains("string") => {
            Reply::Json(409, json!({"error_code": 409, "message": "incompatible: TYPE_CHANGED"}))
        }
        "POST /subjects/s-value/versions" => Reply::Json(200, json!({"id": 5})),
        "POST /subjects/s-value" | "GET /subjects/s-value/versions/latest" => Reply::Json(200, stored()),
        "POST /compatibility/subjects/s-value/versions/latest?verbose=true" => {
            Reply::Json(200, json!({"is_compatible": false, "messages": ["TYPE_CHANGED"]}))
        }
        _ => Reply::Json(404, json!({"error_code": 40401, "message": "Subject not found"})),
    });
    let registry = registry(&listener.url);
    let expected = Registered { subject: "s-value".into(), id: 5, version: 3, schema: "{}".into() };
    assert_eq!(registry.register("s-value", "{}").unwrap(), 5);
    assert_eq!(registry.find("s-value", "{}").unwrap(), expected);
    assert_eq!(registry.latest("s-value").unwrap(), expected);
    let refused = registry.register("s-value", r#"{"type":"string"}"#).unwrap_err();
    assert!(matches!(&refused, RegistryError::Refused { status: 409, code: Some(409), .. }), "{refused}");
    assert!(refused.to_string().contains("TYPE_CHANGED"), "{refused}");
    assert_eq!(registry.compatibility("s-value", "{}").unwrap().messages, ["TYPE_CHANGED"]);
    assert!(registry.compatibility("new-value", "{}").unwrap().compatible);
    let body: serde_json::Value = serde_json::from_str(&listener.requests()[0].body).unwrap();
    assert_eq!(body, json!({"schemaType": "JSON", "schema": "{}"}));
}

#[test]
fn credentials_are_said_and_never_shown() {
    let listener = Listener::new(|_| schema_not_found());
    let basic = Credentials::Basic { user: "grid".into(), password: "s3cret".into() };
    for (credentials, header) in
        [(basic, "Basic Z3JpZDpzM2NyZXQ="), (Credentials::Token("s3cret".into()), "Bearer s3cret")]
    {
        let settings = Settings { credentials: Some(credentials), ..settings(&listener.url) };
        let registry = Registry::new(&settings).unwrap();
        let error = registry.schema(1).unwrap_err();
        assert_eq!(listener.requests().last().unwrap().authorization.as_deref(), Some(header));
        for shown in [format!("{settings:?}"), format!("{registry:?}"), error.to_string()] {
            assert!(!shown.contains("s3cret") && !shown.contains("Z3JpZDpzM2NyZXQ"), "{shown}");
        }
    }
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    for (url, word) in [
        ("127.0.0.1:8080", "http"),
        ("ftp://127.0.0.1", "http or https"),
        ("http://user:s3cret@host", "user or a password"),
        ("ftp://user:s3cret@host", "user or a password"),
        ("http://user:s3cret@ho st", "no URL"),
        ("http://host/?a=b", "query"),
        ("", "no URL"),
    ] {
        let error = Registry::new(&settings(url)).unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains("s3cret"), "{error}");
    }
    let token = Some(Credentials::Token("two\nlines".into()));
    assert!(Registry::new(&Settings { credentials: token, ..settings("http://host") }).is_err());
}
