//! Where the parts of an object's JSON stand that an answer adds or leaves out, found without decoding it.

use std::fmt::Write;
use std::ops::Range;

/// The places in JSON that has the order in which [`super::entry::encode`] writes, and no blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where the resourceVersion goes: after the names and the uid.
    version: u32,
    /// The value of `labels`; nothing where there are none.
    labels: Range<u32>,
    /// `managedFields` with the comma before it.
    managers: Range<u32>,
}

/// The fields of metadata that come before the resourceVersion.
const BEFORE_VERSION: [&[u8]; 4] = [b"name", b"generateName", b"namespace", b"uid"];

impl Layout {
    /// `None` where it is not written that way, or has a resourceVersion already.
    pub fn of(json: &[u8]) -> Option<Layout> {
        let mut cursor = Cursor { json, at: 0 };
        cursor.skip(b"{\"apiVersion\":")?;
        cursor.string()?;
        cursor.skip(b",\"kind\":")?;
        cursor.string()?;
        cursor.skip(b",\"metadata\":{")?;
        let (mut version, mut labels, mut managers) = (0, 0..0, 0..0);
        let mut is_head = true;
        loop {
            let start = cursor.at;
            let name = cursor.string()?;
            cursor.skip(b":")?;
            let value = cursor.value()?;
            is_head &= BEFORE_VERSION.contains(&name);
            match name {
                _ if is_head => version = value.end,
                b"resourceVersion" => return None,
                name if BEFORE_VERSION.contains(&name) => return None,
                b"labels" => labels = value,
                b"managedFields" => managers = start.checked_sub(1)?..value.end,
                _ => {}
            }
            match cursor.next()? {
                b',' => {}
                b'}' if version > 0 => break,
                _ => return None,
            }
        }
        let short = |at: usize| u32::try_from(at).ok();
        let range = |range: Range<usize>| Some(short(range.start)?..short(range.end)?);
        Some(Layout { version: short(version)?, labels: range(labels)?, managers: range(managers)? })
    }

    /// The JSON with a revision (0: without), with or without its managers, at the end of `into`.
    pub fn write(&self, json: &[u8], revision: i64, managed_fields: bool, into: &mut Vec<u8>) {
        let at = |place: u32| place as usize;
        into.extend_from_slice(&json[..at(self.version)]);
        if revision > 0 {
            let mut version = String::with_capacity(40);
            write!(version, ",\"resourceVersion\":\"{revision}\"").expect("a string takes all");
            into.extend_from_slice(version.as_bytes());
        }
        if managed_fields || self.managers.is_empty() {
            into.extend_from_slice(&json[at(self.version)..]);
        } else {
            into.extend_from_slice(&json[at(self.version)..at(self.managers.start)]);
            into.extend_from_slice(&json[at(self.managers.end)..]);
        }
    }

    /// The labels as a JSON object; nothing where there are none.
    pub fn labels<'a>(&self, json: &'a [u8]) -> &'a [u8] {
        &json[self.labels.start as usize..self.labels.end as usize]
    }
}

/// A place in JSON that is known to be well-formed; where it is not, the places that are found are of no use, but
/// nothing worse comes of it.
struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.json.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.json.get(self.at..)?.strip_prefix(text)?;
        self.at += text.len();
        Some(())
    }

    /// The text of a string as it is written.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.skip(b"\"")?;
        let start = self.at;
        self.end_of_string()?;
        Some(&self.json[start..self.at - 1])
    }

    fn end_of_string(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }

    /// Where a value stands.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        match self.next()? {
            b'"' => self.end_of_string()?,
            b'{' | b'[' => {
                let mut depth = 1;
                while depth > 0 {
                    match self.next()? {
                        b'"' => self.end_of_string()?,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                }
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                while !matches!(self.json.get(self.at)?, b',' | b'}') {
                    self.at += 1;
                }
            }
            _ => return None,
        }
        Some(start..self.at)
    }
}
