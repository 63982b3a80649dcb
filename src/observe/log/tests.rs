use std::sync::Arc;

use serde_json::Value;

use super::*;

/// An output whose bytes a test can read.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn logged(level: &str, form: Form, act: impl FnOnce(&LogHandle)) -> String {
    let output = Captured::default();
    let (subscriber, handle) = build(level, form, Box::new(output.clone())).unwrap();
    tracing::subscriber::with_default(subscriber, || act(&handle));
    output.text()
}

#[test]
fn json_is_flat_and_keeps_dotted_names() {
    let text = logged("info", Form::Json, |_| {
        tracing::info!(client.addr = "192.0.2.1", count = 3_u64, below = -1_i64, ready = true, "two\nlines");
    });
    assert_eq!(text.lines().count(), 1);
    let line: Value = serde_json::from_str(&text).unwrap();
    let mut object = line.as_object().unwrap().clone();
    let time = object.remove("time").unwrap();
    assert_eq!(time.as_str().unwrap().len(), "2026-01-31T12:00:00.000Z".len());
    let expected = serde_json::json!({
        "level": "INFO", "target": "portcullis::observe::log::tests", "message": "two\nlines",
        "client.addr": "192.0.2.1", "count": 3, "below": -1, "ready": true,
    });
    assert_eq!(Value::Object(object), expected);
}

#[test]
fn text_is_one_line_and_cannot_move_the_cursor() {
    let text = logged("info", Form::Plain, |_| {
        tracing::warn!(user = %"a\u{1b}[2J b", "it's {:?}\n\u{1b}[31m", "x");
    });
    let (_, rest) = text.split_once(' ').unwrap();
    let escaped = r#" WARN it's "x"\n\u{1b}[31m user="a\u{1b}[2J b" target=portcullis::observe::log::tests"#;
    assert_eq!(rest, format!("{escaped}\n"));
}

#[test]
fn a_bare_level_leaves_libraries_at_warn() {
    let text = logged("debug", Form::Json, |_| {
        tracing::debug!("ours");
        tracing::info!(target: "h2::frame", "header: authorization");
        tracing::warn!(target: "h2::frame", "theirs");
    });
    assert!(text.contains("ours") && text.contains("theirs"), "{text}");
    assert!(!text.contains("authorization"), "{text}");
}

#[test]
fn the_level_can_be_changed_while_it_runs() {
    let text = logged("warn", Form::Json, |handle| {
        tracing::info!("first");
        assert!(handle.set_level("loud").is_err());
        handle.set_level("info").unwrap();
        tracing::info!("second");
        handle.set_level("off,portcullis::other=info").unwrap();
        tracing::error!("third");
    });
    assert!(text.contains("second"), "{text}");
    assert!(!text.contains("first") && !text.contains("third"), "{text}");
}

#[test]
fn what_is_no_level_is_refused() {
    for level in ["", "infoo", "3", "portcullis", "info=loud", "info,portcullis=loud"] {
        assert!(parse_level(level).is_err(), "{level}");
    }
    for level in ["error", "warn", "info", "debug", "trace", "off", "INFO", "warn,portcullis=debug"] {
        assert!(parse_level(level).is_ok(), "{level}");
    }
}
