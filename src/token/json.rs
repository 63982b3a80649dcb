//! JSON objects from strangers, read strictly: every member once, not too many, not too deep, each of its own type.
//!
//! Two readers that disagree about a duplicate member disagree about what was signed, so duplicates are refused, those of
//! members that mean nothing to us too (RFC 8725 §2.4 and §3.2, RFC 7519 §4).

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Members of one object. A token of ours has eleven.
const MAX_MEMBERS: usize = 64;

/// Objects and arrays within each other, the outermost included. A token of ours has two.
const MAX_DEPTH: usize = 8;

/// What is wrong with an object. It holds nothing of the text, which may be a stranger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No JSON, no UTF-8, or no object.
    #[error("is not a JSON object in UTF-8")]
    Syntax,
    /// Objects and arrays within each other, more than eight levels deep.
    #[error("is nested too deeply")]
    TooDeep,
    /// More than 64 members.
    #[error("has too many members")]
    TooMany,
    /// Two members with the same name.
    #[error("has a member twice")]
    Duplicate,
    /// A member has another type than it must have, or a value that it cannot have.
    #[error("has a bad `{0}`")]
    Member(&'static str),
    /// A member that must be there is not.
    #[error("has no `{0}`")]
    Missing(&'static str),
}

/// An object's members, as one kind of it needs them.
pub(crate) trait Members<'de> {
    /// The names that mean something. At most 32.
    const NAMES: &'static [&'static str];

    /// Takes the value of the member with this name. It comes at most once for each.
    fn take<A: MapAccess<'de>>(&mut self, name: &'static str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads the one object that `json` consists of into `members`. Members without a meaning are checked and skipped.
pub(crate) fn read<'de, M: Members<'de>>(json: &'de [u8], members: &mut M) -> Result<(), Fault> {
    let text = std::str::from_utf8(json).map_err(|_| Fault::Syntax)?;
    // Few brackets are not deep however they stand. To count them takes 620 instructions less for the header of a token alone.
    let brackets = json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if brackets > MAX_DEPTH && depth(text) > MAX_DEPTH {
        return Err(Fault::TooDeep);
    }
    let mut fault = Fault::Syntax;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let reader = Reader { members, fault: &mut fault };
    // What serde says quotes the text, so only our own finding goes out.
    reader.deserialize(&mut deserializer).map_err(|_| fault)?;
    deserializer.end().map_err(|_| Fault::Syntax)
}

/// Reads a whole document whose members are not known beforehand, as strictly: one object, no member twice in any object, not too
/// deep. How many members there may be is bounded by the bytes that the caller takes.
pub(crate) fn document(json: &[u8]) -> Result<Map<String, Value>, Fault> {
    let text = std::str::from_utf8(json).map_err(|_| Fault::Syntax)?;
    if depth(text) > MAX_DEPTH {
        return Err(Fault::TooDeep);
    }
    let mut fault = Fault::Syntax;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Tree { fault: &mut fault }.deserialize(&mut deserializer);
    match (read.map_err(|_| fault)?, deserializer.end()) {
        (Value::Object(members), Ok(())) => Ok(members),
        _ => Err(Fault::Syntax),
    }
}

/// How deep the brackets of a JSON text go. For a text that is no JSON the number means nothing, and the parser says so.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => quoted = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
    }
    deepest
}

struct Reader<'a, M> {
    members: &'a mut M,
    /// What a failure at the present place means.
    fault: &'a mut Fault,
}

impl<'de, M: Members<'de>> DeserializeSeed<'de> for Reader<'_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, M: Members<'de>> Visitor<'de> for Reader<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen: Vec<Cow<'de, str>> = Vec::with_capacity(M::NAMES.len());
        while let Some(Text(name)) = map.next_key()? {
            if seen.len() == MAX_MEMBERS {
                return Err(fail(self.fault, Fault::TooMany));
            }
            if seen.contains(&name) {
                return Err(fail(self.fault, Fault::Duplicate));
            }
            match M::NAMES.iter().find(|known| **known == name) {
                Some(known) => {
                    *self.fault = Fault::Member(known);
                    self.members.take(known, &mut map)?;
                    *self.fault = Fault::Syntax;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            seen.push(name);
        }
        Ok(())
    }
}

/// Any value. serde_json's own would keep the last of two members with the same name.
struct Tree<'a> {
    fault: &'a mut Fault,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(Tree { fault: &mut *self.fault })? {
            array.push(element);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(Text(name)) = map.next_key()? {
            if members.contains_key(&*name) {
                return Err(fail(self.fault, Fault::Duplicate));
            }
            let value = map.next_value_seed(Tree { fault: &mut *self.fault })?;
            members.insert(name.into_owned(), value);
        }
        Ok(members.into())
    }
}

fn fail<E: Error>(place: &mut Fault, fault: Fault) -> E {
    *place = fault;
    E::custom("refused")
}

/// A string, borrowed where it has no escapes.
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::MapAccess;

    use super::{Fault, Members, depth, document, read};
    use crate::token::testing::many;

    #[derive(Default, Debug)]
    struct Number(Option<u64>);

    impl<'de> Members<'de> for Number {
        const NAMES: &'static [&'static str] = &["n"];

        fn take<A: MapAccess<'de>>(&mut self, _: &'static str, map: &mut A) -> Result<(), A::Error> {
            self.0 = Some(map.next_value()?);
            Ok(())
        }
    }

    fn number(text: &str) -> Result<Option<u64>, Fault> {
        let mut number = Number::default();
        read(text.as_bytes(), &mut number).map(|()| number.0)
    }

    #[test]
    fn reads_what_it_knows_and_skips_the_rest() {
        let cases = [
            ("{}", Ok(None)),
            (r#" {"a":[{"b":null}],"n":3,"z":1e300} "#, Ok(Some(3))),
            (r#"{"\u006e":4}"#, Ok(Some(4))),
            (r#"{"s":"\"}]{[{[{[{[{[","n":1}"#, Ok(Some(1))),
            (r#"{"n":1,"n":1}"#, Err(Fault::Duplicate)),
            (r#"{"n":1,"\u006e":1}"#, Err(Fault::Duplicate)),
            (r#"{"x":1,"n":1,"x":2}"#, Err(Fault::Duplicate)),
            (r#"{"n":"1"}"#, Err(Fault::Member("n"))),
            (r#"{"n":null}"#, Err(Fault::Member("n"))),
            (r#"{"n":-1}"#, Err(Fault::Member("n"))),
            (r#"{"n":1.0}"#, Err(Fault::Member("n"))),
            (r#"{"n":1e1}"#, Err(Fault::Member("n"))),
            (r#"{"n":18446744073709551616}"#, Err(Fault::Member("n"))),
            (r#"{"n":1}x"#, Err(Fault::Syntax)),
            (r#"{"n":1}{}"#, Err(Fault::Syntax)),
            (r#"{"n":1,}"#, Err(Fault::Syntax)),
            ("[]", Err(Fault::Syntax)),
            ("", Err(Fault::Syntax)),
            ("\u{feff}{}", Err(Fault::Syntax)),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), expected, "{text}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}", &mut Number::default()), Err(Fault::Syntax));
    }

    #[test]
    fn depth_and_number_of_members_are_bounded() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(number(&nested(7)), Ok(None));
        assert_eq!(number(&nested(8)), Err(Fault::TooDeep));
        assert_eq!(number(&nested(3000)), Err(Fault::TooDeep));
        let wide = |count: usize| {
            format!("{{{}}}", (0..count).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(","))
        };
        assert_eq!(number(&wide(64)), Ok(None));
        assert_eq!(number(&wide(65)), Err(Fault::TooMany));
    }

    #[test]
    fn a_document_has_no_member_twice_anywhere() {
        let text = r#"{"a":[1,-2,0.5,"x",null,true,{"b":{"c":[]}}],"\u0062":{}}"#;
        let read = document(text.as_bytes()).unwrap();
        assert_eq!(serde_json::Value::Object(read), serde_json::from_str::<serde_json::Value>(text).unwrap());
        for (text, expected) in [
            (r#"{"a":1,"a":1}"#, Fault::Duplicate),
            (r#"{"a":[{"b":1,"\u0062":2}]}"#, Fault::Duplicate),
            (r#"[{"a":1}]"#, Fault::Syntax),
            (r#"{"a":1}{}"#, Fault::Syntax),
            (r#"{"a":1} x"#, Fault::Syntax),
            (r#"{"a":1"#, Fault::Syntax),
            ("", Fault::Syntax),
            (r#"{"a":[[[[[[[[1]]]]]]]]}"#, Fault::TooDeep),
        ] {
            assert_eq!(document(text.as_bytes()), Err(expected), "{text}");
        }
    }

    proptest! {
        #![proptest_config(many())]

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,200}") {
            let _ = number(&text);
            let _ = document(text.as_bytes());
        }

        #[test]
        fn brackets_within_strings_do_not_count(inside in "[\\[\\]{}\\\\\"a]{0,40}") {
            let text = serde_json::to_string(&[&inside]).unwrap();
            prop_assert_eq!(depth(&text), 1);
        }
    }
}
