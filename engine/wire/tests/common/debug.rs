//! Reads what `derive(Debug)` prints, so that two codecs' messages can be compared field by field: structs and maps as
//! objects, `Some(x)` and newtypes as x, `None` as null, ids as 32 hex digits, byte strings as arrays, a range as its
//! length.
#![allow(clippy::unwrap_used, reason = "what does not parse has failed the test")]

use ringlog_wire::Uuid;
use serde_json::{Map, Value, json};

pub(crate) fn parse(text: &str) -> Value {
    let mut parser = Parser { rest: text };
    let value = parser.value();
    assert!(parser.rest.is_empty(), "{}", parser.rest);
    value
}

/// An id as 32 hex digits.
pub(crate) fn id(id: Uuid) -> Value {
    json!(format!("{:032x}", u128::from_be_bytes(id.0)))
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find([' ', ',', '(', ')', '{', '}', '[', ']', ':', '"']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn list(&mut self) -> Value {
        let mut elements = Vec::new();
        while !self.eat("]") {
            elements.push(self.value());
            self.eat(", ");
        }
        Value::Array(elements)
    }

    /// Fields or entries up to `end`.
    fn object(&mut self, end: &str) -> Value {
        let mut fields = Map::new();
        while !self.eat(end) {
            let name = self.word().to_owned();
            assert!(self.eat(": "), "{}", self.rest);
            fields.insert(name, self.value());
            self.eat(", ");
        }
        Value::Object(fields)
    }

    /// The inside of a quoted string, whose opening quote is eaten.
    fn quoted(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let c = self.rest.chars().next().unwrap();
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '"' => return out,
                '\\' => self.escape(&mut out),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) {
        let c = self.rest.chars().next().unwrap();
        self.rest = &self.rest[c.len_utf8()..];
        match c {
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            '0' => out.push(0),
            'x' => {
                out.push(u8::from_str_radix(&self.rest[..2], 16).unwrap());
                self.rest = &self.rest[2..];
            }
            'u' => {
                let (code, rest) = self.rest.trim_start_matches('{').split_once('}').unwrap();
                let c = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                self.rest = rest;
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    fn value(&mut self) -> Value {
        if self.eat("[") {
            return self.list();
        }
        if self.eat("{") {
            return self.object("}");
        }
        if self.eat("(") {
            let first = self.value();
            assert!(self.eat(", "));
            let second = self.value();
            assert!(self.eat(")"));
            return json!([first, second]);
        }
        if self.eat("b\"") {
            return json!(self.quoted());
        }
        if self.eat("\"") {
            return json!(String::from_utf8(self.quoted()).unwrap());
        }
        let word = self.word();
        if self.eat(" { ") {
            return self.object(" }");
        }
        if self.eat("(") {
            let inner = if word == "Uuid" { id(self.word().parse().unwrap()) } else { self.value() };
            assert!(self.eat(")"), "{}", self.rest);
            return inner;
        }
        plain(word)
    }
}

fn plain(word: &str) -> Value {
    if let Some((from, to)) = word.split_once("..") {
        return json!(to.parse::<i64>().unwrap() - from.parse::<i64>().unwrap());
    }
    match word {
        "None" | "Null" => Value::Null,
        hyphenated if hyphenated.len() == 36 => json!(hyphenated.replace('-', "")),
        word => serde_json::from_str(word).unwrap_or_else(|_| panic!("'{word}' is no value")),
    }
}
