use proptest::prelude::*;

use super::{Extra, Fault, Link, append, read, sha256};
use crate::clock::UnixTime;
use crate::observe::audit::{Action, Actor, Event, Origin, Target};

const NOW: UnixTime = UnixTime::from_secs(1_767_225_600);

fn line_of(event: &Event, link: &mut Link) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, link, event, &Extra::default());
    out.pop_if(|byte| *byte == b'\n').expect("a line end");
    out
}

/// The format is a promise: whoever keeps old files must be able to check them.
#[test]
fn the_first_record_has_exactly_these_bytes() {
    let event = Event::success(Action::Start, NOW).on(Target::Config("0123456789abcdef".into()));
    let line = String::from_utf8(line_of(&event, &mut Link::origin())).unwrap();
    let zeros = "0".repeat(64);
    let body = format!(
        r#"{{"seq":1,"time":"2026-01-01T00:00:00.000Z","action":"start","outcome":"success","actor":"system","target":"config:0123456789abcdef","prev":"{zeros}""#
    );
    assert_eq!(line, format!(r#"{body},"hash":"{}"}}"#, sha256(body.as_bytes())));
}

#[test]
fn nothing_can_stand_behind_what_is_hashed() {
    let line = String::from_utf8(line_of(&Event::success(Action::Stop, NOW), &mut Link::origin())).unwrap();
    let record = read(line.as_bytes()).unwrap();
    let cases = [
        line.replace(r#","hash":"#, r#", "hash":"#),
        line.replace('}', " }"),
        format!("{line} "),
        line.replace('}', r#","count":2}"#),
        line.replace(r#""hash":""#, &format!(r#""hash":"{}","hash":""#, record.hash)),
        String::new(),
        "{}".into(),
        "null".into(),
    ];
    for case in cases {
        assert_eq!(read(case.as_bytes()), Err(Fault::NoRecord), "{case}");
    }
}

fn events() -> impl Strategy<Value = Event> {
    let text = proptest::option::of(".{0,300}");
    (0..Action::ALL.len(), any::<[u8; 16]>(), text.clone(), text.clone(), text, 1..5_u64).prop_map(
        |(action, address, id, target, detail, count)| Event {
            target: target.map(Target::Client),
            detail,
            count,
            ..Event::refused(Action::ALL[action], "a \"reason\"\n", NOW)
                .by(Actor::Client(id.clone().unwrap_or_default()))
                .from(Origin { client: address.into(), request_id: id })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(event in events()) {
        let mut link = Link::origin();
        let line = line_of(&event, &mut link);
        let record = read(&line).unwrap();
        prop_assert!(!String::from_utf8(line).unwrap().chars().any(char::is_control));
        prop_assert_eq!((record.seq, &record.hash, record.prev), (1, &link.hash, "0".repeat(64)));
        prop_assert_eq!((record.action.as_str(), record.count), (event.action.name(), event.count));
        prop_assert_eq!(record.client, event.origin.map(|origin| origin.client.to_string()));
    }

    #[test]
    fn one_byte_that_is_changed_is_found(event in events(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut line = line_of(&event, &mut Link::origin());
        let at = at.index(line.len());
        prop_assume!(line[at] != byte);
        line[at] = byte;
        prop_assert!(read(&line).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn the_beginning_of_a_record_is_none(event in events(), at in any::<prop::sample::Index>()) {
        let line = line_of(&event, &mut Link::origin());
        prop_assert_eq!(read(&line[..at.index(line.len())]), Err(Fault::NoRecord));
    }
}
